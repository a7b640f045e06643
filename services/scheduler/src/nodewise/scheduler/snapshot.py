"""What a look of the scheduler decides on, and what it decides. Pure values."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from nodewise.core.model.decision import Reason, ReasonCode
from nodewise.core.model.ids import NodeName, RunId, TaskRef
from nodewise.core.model.node import Cluster
from nodewise.core.model.problem import Objective, Planner
from nodewise.core.model.situation import Occupancy, OpenRun
from nodewise.core.model.task import TaskSpec, WaitingTask
from nodewise.core.ports import Predict
from nodewise.planning.joint import JointPlan, Memory, PlannedTask


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
    team: str = "default"


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """What a cycle decides on.

    `queue` are the READY tasks, `runs` the open runs whose strategy is a planner, `running` what holds booked room. Of a very long queue
    `queue` and `runs` are a part, and `beyond` says how many READY tasks there are besides.
    """

    queue: tuple[Queued, ...]
    cluster: Cluster
    admitted: tuple[AdmittedTask, ...] = ()
    runs: tuple[OpenRun, ...] = ()
    running: tuple[Occupancy, ...] = ()
    beyond: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Admission:
    """A task that may be placed now, and on which nodes (None: on any)."""

    ref: TaskRef
    nodes: tuple[NodeName, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LastPlan:
    """What one look leaves to the next: the plan, what it was made from, and when the first of its tasks is due."""

    plan: JointPlan | None = None
    failed: Mapping[RunId, Reason] = field(default_factory=dict)
    state: tuple[object, ...] | None = None
    predict: Predict | None = None
    next_due: datetime | None = None
    memory: Memory = field(default_factory=Memory)


@dataclass(frozen=True, slots=True, kw_only=True)
class Planning:
    """How runs whose strategy is a planner are planned.

    `out_of_time` ends the search for better plans; `placements` bounds it where nobody looks at a clock. `memory` is
    what the look before returned. `moves_data_after_placement`: who is placed fetches its inputs then, so it is placed
    ahead of its start by as long as that takes. `explains`: whether each task that waits gets a reason that says why; it
    changes no decision. `keeps`: the last plan stays, since nothing has happened but what it planned.
    """

    planners: Mapping[str, Planner]
    objective: Objective = Objective.BALANCED
    link_mib_per_s: float = 100.0
    horizon: int = 2000
    placements: int = 20_000
    out_of_time: Callable[[], bool] = lambda: False
    memory: LastPlan = field(default_factory=LastPlan)
    moves_data_after_placement: bool = True
    explains: bool = True
    keeps: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What to do: whom to admit, in this order, and the reasons that differ from what the rows show."""

    admitted: tuple[Admission, ...] = ()
    reasons: Mapping[TaskRef, Reason] = field(default_factory=dict)
    waiting: Mapping[ReasonCode, int] = field(default_factory=dict)
    """How many stay in the queue, by the reason why."""
    expected: Mapping[TaskRef, PlannedTask] = field(default_factory=dict)
    """Where and when everything that is planned is to run, what runs already included."""
    memory: LastPlan = field(default_factory=LastPlan)
    """For the `Planning` of the next look."""
