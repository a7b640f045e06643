"""A planning problem and its schedules: what the planners decide on, offline or in the middle of things.

Heterogeneity is *unrelated* (R|prec|.. in scheduling notation): each task has its own run time on each node, and no
node is faster as such. Times are seconds on one axis; data is in MiB. Moving data between different nodes takes
`mib / rate` after the parent ends; on the same node it takes nothing.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from math import inf
from random import Random
from typing import Protocol

from nodewise.core.model.ids import NodeName
from nodewise.core.model.resources import Resources


class Objective(StrEnum):
    """What a plan is judged by. `BALANCED` weighs the other two, each relative to its lower bound or best known value."""

    MAKESPAN = "makespan"
    MEAN_FLOW = "mean_flow"
    BALANCED = "balanced"


@dataclass(frozen=True, slots=True, kw_only=True)
class ProblemNode:
    """A node. `slots` bounds how many tasks run on it at once (None: only its resources do)."""

    name: NodeName
    node_class: str = "default"
    capacity: Resources
    slots: int | None = None

    def __post_init__(self) -> None:
        if self.slots is not None and self.slots < 1:
            raise ValueError(f"slots must be at least 1, got {self.slots}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Links:
    """Rates between nodes, in MiB per second, the same in both directions. `pairs` has its names in sorted order."""

    default_mib_per_s: float = 100.0
    pairs: Mapping[tuple[NodeName, NodeName], float] = field(default_factory=dict)

    def seconds(self, mib: float, source: NodeName, target: NodeName) -> float:
        """How long `mib` take from `source` to `target`."""
        if source == target or mib == 0:
            return 0.0
        pair = (source, target) if source < target else (target, source)
        return mib / self.pairs.get(pair, self.default_mib_per_s)


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class TaskId:
    """A task of a pipeline, by their names."""

    pipeline: str
    task: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Dependency:
    """A task of the same pipeline that must end before, and how much data comes from it."""

    task: str
    mib: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ProblemTask:
    """A task. `seconds` per node is what the decision believes; a node that is absent cannot run it.

    `not_before` is a time that it must not start before, whatever else allows it (a retry that rests, for example).
    """

    name: str
    task_class: str = "other"
    resources: Resources = field(default_factory=Resources)
    seconds: Mapping[NodeName, float]
    after: tuple[Dependency, ...] = ()
    not_before: float = -inf


@dataclass(frozen=True, slots=True, kw_only=True)
class ProblemPipeline:
    """A pipeline. Nothing of it may start before `submitted_at`; its flow time counts from there."""

    name: str
    submitted_at: float = 0.0
    priority: int = 0
    deadline: float | None = None
    team: str = "default"
    tasks: tuple[ProblemTask, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Assignment:
    """Where and when one task runs."""

    id: TaskId
    node: NodeName
    start: float
    end: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """Room on a node that something outside the problem holds for a while; it takes one of its slots, too."""

    node: NodeName
    resources: Resources
    start: float
    end: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """All that is to be planned, and all that is already fixed.

    `fixed` are tasks that run or have run (their node, start and end as known or believed): they hold their room until
    they end, and give their children the place of their data. `held` is room that nobody of the problem has. Nothing
    new may start before `now`.
    """

    nodes: tuple[ProblemNode, ...]
    pipelines: tuple[ProblemPipeline, ...]
    links: Links = field(default_factory=Links)
    fixed: Mapping[TaskId, Assignment] = field(default_factory=dict)
    held: tuple[Held, ...] = ()
    now: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """Where and when every task runs, those of `Problem.fixed` included."""

    assignments: Mapping[TaskId, Assignment]


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanningContext:
    """What a planner may use besides the problem. `out_of_time` is asked by anytime planners between improvements."""

    rng: Random
    objective: Objective = Objective.BALANCED
    out_of_time: Callable[[], bool] = lambda: False


class Planner(Protocol):
    """Maps a problem to a schedule. Pure: equal arguments give equal schedules (as long as time does not run out)."""

    name: str
    summary: str

    def plan(self, problem: Problem, context: PlanningContext) -> Schedule:
        """A valid schedule of every task.

        Raises:
            Unplannable: Some task can run on no node; carries the tasks.
        """
        ...
