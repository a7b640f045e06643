"""A problem as it is and as the decision sees it, and what goes wrong on the way."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from nodewise.core.errors import Unplannable
from nodewise.core.model.ids import NodeName
from nodewise.core.model.problem import Assignment, Problem, ProblemNode, ProblemTask, TaskId


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """A node that is gone from `start` on, until `until` (infinity: for good). What runs on it is lost."""

    node: NodeName
    start: float
    until: float = math.inf

    def __post_init__(self) -> None:
        if not 0 <= self.start < self.until:
            raise ValueError(f"a failure must end after it starts, got {self.start} to {self.until}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """`truth` holds the real seconds, `believed` what the decision may see. Both have the same tasks in the same order.

    `believed is truth` where nothing is estimated.
    """

    truth: Problem
    believed: Problem
    failures: tuple[Failure, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What happened: the attempt of each task that ended well, and when each became ready.

    `unplanned` attempts were decided without planning, since the budget was spent.
    """

    assignments: Mapping[TaskId, Assignment]
    ready_at: Mapping[TaskId, float]
    unplanned: int = 0


def runnable(task: ProblemTask, nodes: Mapping[NodeName, ProblemNode]) -> list[NodeName]:
    """The nodes that have a run time of the task and are large enough for it."""
    return [name for name in task.seconds if task.resources.fits_in(nodes[name].capacity)]


def check_plannable(problem: Problem) -> None:
    """Refuse tasks that fit on no node, before anything is simulated. O(tasks x nodes).

    Raises:
        Unplannable: Some task does; carries their names.
    """
    nodes = {node.name: node for node in problem.nodes}
    homeless = [
        f"{pipeline.name}/{task.name}"
        for pipeline in problem.pipelines
        for task in pipeline.tasks
        if not runnable(task, nodes)
    ]
    if homeless:
        raise Unplannable(homeless)


def with_seconds(problem: Problem, seconds: Sequence[Mapping[NodeName, float] | None]) -> Problem:
    """The problem with other run times, task by task in its order; None keeps a task's own."""
    given = iter(seconds)
    pipelines = tuple(
        replace(pipeline, tasks=tuple(_with(task, next(given)) for task in pipeline.tasks))
        for pipeline in problem.pipelines
    )
    return replace(problem, pipelines=pipelines)


def _with(task: ProblemTask, seconds: Mapping[NodeName, float] | None) -> ProblemTask:
    return task if seconds is None else replace(task, seconds=seconds)
