"""A task that waits, with all that an answer may be derived from."""

from collections.abc import Sequence, Set
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from nodewise.api.others import NOBODY_ELSE
from nodewise.core.lifecycle import TaskState
from nodewise.core.model.decision import ReasonCode
from nodewise.core.model.ids import NodeName, RunId, TaskPath, TaskRef
from nodewise.core.model.node import Cluster
from nodewise.core.model.situation import Occupancy
from nodewise.core.model.task import TaskSpec


class ChangeKind(StrEnum):
    """Who or what could make the difference."""

    TIME = "time"
    """Nobody: it comes with time."""
    NODE = "node"
    """The operator: another node, or another label on one."""
    TASK = "task"
    """The author: a task that needs less, or allows more."""
    ORDER = "order"
    """The submitter: another place in the queue."""
    PLUGIN = "plugin"
    """The operator or the submitter: a policy or strategy that is at hand."""
    NOTHING = "nothing"
    """Nothing has to: it is about to move."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One thing that would let a task start, or start sooner. `node` and `at`: where and about when, if that is known."""

    kind: ChangeKind
    text: str
    node: NodeName | None = None
    at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Awaited:
    """An upstream task that has not succeeded. `expected_end_at` None: nobody knows yet."""

    path: TaskPath
    state: TaskState
    node: NodeName | None = None
    expected_end_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Rival:
    """Other runs under the same policy, `tasks` of which wait for a node: the highest priority and the first submission of them."""

    priority: int
    submitted_at: datetime
    tasks: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """Where and when the scheduler's latest plan has the task."""

    node: NodeName
    start_at: datetime
    end_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """A task that has no node, and the world around it. `code` and `text` are its stored reason.

    `canceling`: the run is being canceled, so nobody considers the task any more. `hidden` are other runs that are not
    to be told of. `looks`: so many looks of the scheduler it may take until one considers it. `all_teams`: whether who asks may know
    at what priorities others submit.
    """

    ref: TaskRef
    spec: TaskSpec
    code: ReasonCode | None
    text: str
    cluster: Cluster
    submitted_at: datetime
    priority: int = 0
    policy: str = "fifo"
    strategy: str = "greedy"
    not_before: datetime | None = None
    expected: Expected | None = None
    upstream: Sequence[Awaited] = ()
    running: Sequence[Occupancy] = ()
    rivals: Sequence[Rival] = ()
    hidden: Set[RunId] = NOBODY_ELSE
    canceling: bool = False
    looks: int = 1
    all_teams: bool = True

    @property
    def now(self) -> datetime:
        return self.cluster.taken_at


def clock(moment: datetime) -> str:
    """A time of day as sentences tell it."""
    return f"{moment:%H:%M:%S} UTC"
