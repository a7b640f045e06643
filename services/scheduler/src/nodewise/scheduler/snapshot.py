"""What a look of the scheduler decides on, and what it decides. Pure values."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from nodewise.core.model.decision import Reason, ReasonCode
from nodewise.core.model.ids import NodeName, TaskRef
from nodewise.core.model.node import Cluster
from nodewise.core.model.situation import Occupancy, OpenRun
from nodewise.core.model.task import TaskSpec, WaitingTask


@dataclass(frozen=True, slots=True, kw_only=True)
class Queued:
    """A READY task with its back-off, if any, and the reason that its row shows now."""

    task: WaitingTask
    not_before: datetime | None = None
    reason: Reason | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AdmittedTask:
    """A task that was let pass and that no placer has taken yet. `allowed_nodes`: where it may go (None: anywhere)."""

    ref: TaskRef
    spec: TaskSpec
    allowed_nodes: tuple[NodeName, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """What a cycle decides on.

    `queue` are all READY tasks, `runs` the open runs whose strategy is a planner, `running` what holds booked room.
    """

    queue: tuple[Queued, ...]
    cluster: Cluster
    admitted: tuple[AdmittedTask, ...] = ()
    runs: tuple[OpenRun, ...] = ()
    running: tuple[Occupancy, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Admission:
    """A task that may be placed now, and on which nodes (None: on any)."""

    ref: TaskRef
    nodes: tuple[NodeName, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What to do: whom to admit, in this order, and the reasons that differ from what the rows show."""

    admitted: tuple[Admission, ...] = ()
    reasons: Mapping[TaskRef, Reason] = field(default_factory=dict)
    waiting: Mapping[ReasonCode, int] = field(default_factory=dict)
    """How many stay in the queue, by the reason why."""
