"""What is on record of a run that KFP runs, and what a look changes of it. Pure values."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from nodewise.core.estimates.learning import NodeFacts, Observation, Query
from nodewise.core.lifecycle import AttemptState, RunEvent, TaskEvent, TaskState
from nodewise.core.model.decision import Reason
from nodewise.core.model.ids import NodeName, TaskPath


@dataclass(frozen=True, slots=True, kw_only=True)
class Placed:
    """The latest attempt at a task, and what its outcome is learned with (None: unknown)."""

    number: int
    node: NodeName
    node_class: str
    policy: str
    strategy: str
    placed_at: datetime
    started_at: datetime | None = None
    accelerator: str | None = None
    capacity_millicores: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownTask:
    """A task on record. `placed` is None where it has no attempt."""

    path: TaskPath
    state: TaskState
    task_class: str
    placed: Placed | None = None
    upstream: tuple[TaskPath, ...] = ()
    reason: Reason | None = None
    effort_flops: float | None = None
    input_bytes: float | None = None

    @property
    def attempt(self) -> int:
        return 0 if self.placed is None else self.placed.number


@dataclass(frozen=True, slots=True, kw_only=True)
class Birth:
    """A task that KFP has and the record has not: an iteration, or another try of a sub-pipeline. `like` is its sibling on record."""

    path: TaskPath
    like: TaskPath
    node: NodeName | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One move of one task; the moves of a task follow each other.

    `attempt_state` is what its latest attempt becomes (None: it stays). `number` is that of the attempt that begins, of
    RESTART and SIGHT. `node`: where it was seen (None: not seen). `seconds`: how long it ran by KFP's own clock, if it ended well.
    """

    path: TaskPath
    event: TaskEvent
    reason: Reason
    attempt_state: AttemptState | None = None
    number: int | None = None
    failures: int | None = None
    node: NodeName | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None
    seconds: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What a look changes of one run: births first, then the steps in their order, what tasks say, the run's own end."""

    births: tuple[Birth, ...] = ()
    steps: tuple[Step, ...] = ()
    says: Mapping[TaskPath, Reason] = field(default_factory=dict)
    end: RunEvent | None = None
    error: str | None = None
    """Why it ends FAILED, where no task says it."""


def observation(task: KnownTask, placed: Placed, seconds: float) -> Observation:
    """What is learned of a task that ended well on the node of `placed`."""
    cores = None if placed.capacity_millicores is None else placed.capacity_millicores / 1000
    return Observation(
        query=Query(
            task_class=task.task_class,
            node_class=placed.node_class,
            effort_flops=task.effort_flops,
            input_bytes=task.input_bytes,
            node=NodeFacts(cores=cores, accelerator=placed.accelerator),
        ),
        seconds=seconds,
    )
