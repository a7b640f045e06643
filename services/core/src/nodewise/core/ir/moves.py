"""What `advance` says: everything that follows from the rows of a run, as values."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from nodewise.core.ir.rows import Row, Rows
from nodewise.core.ir.tree import Leaf, Step
from nodewise.core.lifecycle import RunState, TaskState
from nodewise.core.model.artifact import TaskOutputs, Values
from nodewise.core.model.decision import ReasonCode
from nodewise.core.model.ids import TaskPath


class Cause(StrEnum):
    """Why a task will never run."""

    CONDITION = "condition"
    """Its own condition, or that of a branch, is not met. Nothing failed."""
    UPSTREAM_SKIPPED = "upstream skipped"
    UPSTREAM_FAILED = "upstream failed"
    UPSTREAM_CANCELED = "upstream canceled"
    RUN_CANCELED = "run canceled"
    TOO_LARGE = "run too large"


CODES: Final[Mapping[Cause, ReasonCode]] = MappingProxyType(
    {
        Cause.CONDITION: ReasonCode.CONDITION_NOT_MET,
        Cause.UPSTREAM_SKIPPED: ReasonCode.UPSTREAM_SKIPPED,
        Cause.UPSTREAM_FAILED: ReasonCode.UPSTREAM_FAILED,
        Cause.UPSTREAM_CANCELED: ReasonCode.UPSTREAM_FAILED,
        Cause.RUN_CANCELED: ReasonCode.RUN_CANCELED,
        Cause.TOO_LARGE: ReasonCode.RUN_TOO_LARGE,
    }
)
"""Each cause as it is stored with tasks, and told of what no task was made of."""


class GroupKind(StrEnum):
    DAG = "dag"
    LOOP = "loop"


@dataclass(frozen=True, slots=True, kw_only=True)
class NewTask:
    """A leaf task that was made just now. `after` are the paths of the steps beside it that it waits for, groups included."""

    path: TaskPath
    step: Step = field(repr=False)
    leaf: Leaf = field(repr=False)
    after: tuple[TaskPath, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadyTask:
    """A leaf task that may start, with all its inputs.

    `inputs` hold beside the declared ones those that only placeholders refer to. It should not start before `delay` from now
    (the back-off of a DAG that is tried again). `imported` are the outputs of an importer, which needs no node: who stores the rows
    may let it succeed at once.
    """

    path: TaskPath
    step: Step = field(repr=False)
    leaf: Leaf = field(repr=False)
    inputs: Values
    delay: timedelta = timedelta(0)
    imported: TaskOutputs | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SkippedTask:
    """A WAITING task that will never run. `RUN_CANCELED` makes it CANCELED, every other cause SKIPPED."""

    path: TaskPath
    cause: Cause
    reason: str

    @property
    def state(self) -> TaskState:
        return TaskState.CANCELED if self.cause is Cause.RUN_CANCELED else TaskState.SKIPPED


@dataclass(frozen=True, slots=True, kw_only=True)
class FailedTask:
    """A WAITING task that cannot be started, though its turn has come: an input has no value, or one of another type."""

    path: TaskPath
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """How a DAG or loop stands, for people. Nothing needs to be stored of it. `cause`: why nothing of it ever ran, if so."""

    path: TaskPath
    kind: GroupKind
    state: TaskState
    reason: str = ""
    cause: Cause | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Advance:
    """What follows from the rows. All of it counts as done: `outcome` is the run's end once nothing is left to do, else None.

    Tasks are in the order of the pipeline. `outputs` are the pipeline's own, with the outcome. `reason` says why a run FAILED.
    """

    new_tasks: tuple[NewTask, ...] = ()
    ready: tuple[ReadyTask, ...] = ()
    skipped: tuple[SkippedTask, ...] = ()
    failed: tuple[FailedTask, ...] = ()
    groups: tuple[Group, ...] = ()
    outcome: RunState | None = None
    outputs: Values = field(default_factory=Values)
    reason: str = ""

    @property
    def moves(self) -> int:
        """How many rows it makes or changes: none, once it was applied."""
        return len(self.new_tasks) + len(self.ready) + len(self.skipped) + len(self.failed)


def applied(rows: Rows, advance: Advance) -> dict[TaskPath, Row]:
    """The rows after all that an advance says was done to them. `advance` of the result says nothing new."""
    after: dict[TaskPath, Row] = dict(rows)
    after.update({task.path: Row() for task in advance.new_tasks})
    for ready in advance.ready:
        after[ready.path] = replace(after[ready.path], state=TaskState.READY)
    for skip in advance.skipped:
        after[skip.path] = replace(after[skip.path], state=skip.state, message=skip.reason)
    for failure in advance.failed:
        after[failure.path] = replace(after[failure.path], state=TaskState.FAILED, message=failure.reason)
    return after
