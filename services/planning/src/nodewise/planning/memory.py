"""What is kept from one plan for the next, so that looking again is cheap and plans do not jump about."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import IntEnum
from typing import Final

from nodewise.core.model.ids import NodeName, RunId, TaskPath, TaskRef
from nodewise.core.model.problem import Problem, ProblemNode, TaskId
from nodewise.planning.decoder import ANY, Solution
from nodewise.planning.instance import Instance
from nodewise.planning.list_scheduling import PartialPlan
from nodewise.planning.moves import Neighbour, parents_first
from nodewise.planning.rows import Rows

DRIFT: Final = 0.03
"""A plan that comes out later or earlier than planned by more than this share of the time left is made anew."""

Solutions = tuple[tuple[tuple[TaskId, NodeName], ...], ...]
"""Tasks in the order in which they are placed, each with its node: first the plan, then what it was measured by."""


class News(IntEnum):
    """How much has happened since the last plan."""

    NOTHING = 0
    AS_EXPECTED = 1
    SURPRISE = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """What the last plan leaves to the next one; opaque. `Memory()` knows nothing.

    Attributes:
        solutions: What was found.
        ground: The nodes that there were.
        nodes: Where each task that waited was to run, or each that lived did.
        living: Those of them that lived.
        beyond: Tasks that were behind the horizon.
        due: When each pipeline was to end when its plan was last made.
        rows: The run times that it rested on.
    """

    solutions: Solutions = ()
    ground: tuple[ProblemNode, ...] = ()
    nodes: Mapping[TaskId, NodeName] = field(default_factory=dict)
    living: frozenset[TaskId] = frozenset()
    beyond: frozenset[TaskRef] = frozenset()
    due: Mapping[str, datetime] = field(default_factory=dict)
    rows: Rows = field(default_factory=Rows)


def news(memory: Memory, problem: Problem) -> News:
    """What has happened since, but for the time that it took (see `drifted`); O(tasks).

    A surprise is another set of nodes, a task that is new or waits again, and one that runs where it was not to.
    """
    if memory.ground != problem.nodes:
        return News.SURPRISE
    fixed = problem.fixed
    for pipeline in problem.pipelines:
        for task in pipeline.tasks:
            key = TaskId(pipeline=pipeline.name, task=task.name)
            if key not in fixed and not _was_to_come(memory, key):
                return News.SURPRISE
    for key, at in fixed.items():
        if at.end > problem.now and memory.nodes.get(key) != at.node:
            return News.SURPRISE
    alive = {key for key, at in fixed.items() if at.end > problem.now}
    return News.NOTHING if alive == memory.living else News.AS_EXPECTED


def _was_to_come(memory: Memory, key: TaskId) -> bool:
    if key in memory.nodes:
        return key not in memory.living
    return TaskRef(run_id=RunId(key.pipeline), path=TaskPath(key.task)) in memory.beyond


def drifted(memory: Memory, instance: Instance, plan: PartialPlan, now: datetime) -> bool:
    """Whether a remembered plan, with what is known now, ends at other times than when it was made; O(tasks).

    By all ends together or by the last one: single tasks may be off by much without any harm.
    """
    pipelines = instance.problem.pipelines
    ends = [0.0] * len(pipelines)
    for task, pipeline in enumerate(instance.pipeline_of):
        ends[pipeline] = max(ends[pipeline], plan.end[task])
    pairs = [
        (end, (memory.due[pipeline.name] - now).total_seconds())
        for pipeline, end in zip(pipelines, ends, strict=True)
        if pipeline.name in memory.due
    ]
    found, planned = [end for end, _ in pairs], [end for _, end in pairs]
    return _off(sum(found), sum(planned)) or _off(max(found, default=0.0), max(planned, default=0.0))


def _off(found: float, planned: float) -> bool:
    return abs(found - planned) > DRIFT * max(found, planned)


class Recall:
    """The solutions of a memory as solutions of (a part of) another problem."""

    def __init__(self, memory: Memory) -> None:
        self._places = [
            {key: (place, node) for place, (key, node) in enumerate(solution)}
            for solution in memory.solutions
        ]

    def of(self, instance: Instance) -> list[Neighbour]:
        """Orders and nodes for the decoder, tasks that are new last; none where nothing is known. O(tasks log tasks)."""
        numbers = {node.name: j for j, node in enumerate(instance.problem.nodes)}
        found = []
        for places in self._places:
            known = [task for task in instance.free if instance.ids[task] in places]
            if not known:
                continue
            known.sort(key=lambda task: places[instance.ids[task]][0])
            nodes = [ANY] * len(instance.ids)
            for task in known:
                node = numbers.get(places[instance.ids[task]][1], ANY)
                nodes[task] = node if node in instance.choices[task] else ANY
            fresh = [task for task in instance.free if instance.ids[task] not in places]
            found.append((parents_first(instance, known + fresh), nodes))
        return found


def written(instance: Instance, solution: Solution) -> list[tuple[TaskId, NodeName]]:
    """A solution by names."""
    nodes = instance.problem.nodes
    return [(instance.ids[task], nodes[solution.plan.node[task]].name) for task in solution.order]


def joined(stages: Sequence[Sequence[list[tuple[TaskId, NodeName]]]]) -> Solutions:
    """The solutions of all stages, one after another. A stage with fewer of them than others repeats its first."""
    count = max((len(solutions) for solutions in stages), default=0)
    return tuple(
        tuple(entry for solutions in stages for entry in solutions[k if k < len(solutions) else 0])
        for k in range(count)
    )
