"""What is kept from one plan for the next, so that looking again is cheap and plans do not jump about."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import IntEnum
from typing import Final

from nodewise.core.model.ids import NodeName
from nodewise.core.model.problem import Problem, ProblemNode, ProblemTask, TaskId
from nodewise.planning.decoder import ANY, Solution
from nodewise.planning.instance import Instance
from nodewise.planning.moves import Neighbour, parents_first
from nodewise.planning.rows import Rows

SURPRISE_SHARE: Final = 0.1
SURPRISE: Final = timedelta(seconds=0.5)
"""What ends earlier or later than planned by more than this share of its run time, and by more than this, is a surprise."""


class News(IntEnum):
    """How much has happened since the last plan."""

    NOTHING = 0
    AS_EXPECTED = 1
    SURPRISE = 2


@dataclass(frozen=True, slots=True)
class Expected:
    """What was believed of a task: of one that waits, by the plan."""

    node: NodeName
    end: datetime
    seconds: float
    waits: bool

    def met(self, end: datetime) -> bool:
        """Whether this end is about the one that was expected."""
        return abs(end - self.end) <= max(SURPRISE, timedelta(seconds=SURPRISE_SHARE * self.seconds))


Solutions = tuple[tuple[tuple[TaskId, NodeName], ...], ...]
"""Tasks in the order in which they are placed, each with its node: first the plan, then what it was measured by."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """What the last plan leaves to the next one; opaque. `Memory()` knows nothing.

    Attributes:
        solutions: What was found.
        nodes: The nodes that there were.
        expected: What was believed of whatever waited or lived, others' attempts included.
        rows: The run times that it rested on.
    """

    solutions: Solutions = ()
    nodes: tuple[ProblemNode, ...] = ()
    expected: Mapping[TaskId, Expected] = field(default_factory=dict)
    rows: Rows = field(default_factory=Rows)


def believed(problem: Problem, now: datetime, others: Mapping[TaskId, Expected]) -> dict[TaskId, Expected]:
    """What is expected of all that does not wait: the tasks that are fixed, and the attempts of others."""
    fixed = {
        key: Expected(at.node, now + timedelta(seconds=at.end), at.end - at.start, False)
        for key, at in problem.fixed.items()
    }
    return {**others, **fixed}


def news(memory: Memory, problem: Problem, living: Mapping[TaskId, Expected], *, now: datetime) -> News:
    """What is new in `problem`, where `living` is what does not wait; O(tasks)."""
    if memory.nodes != problem.nodes:
        return News.SURPRISE
    waiting = {
        key: task
        for pipeline in problem.pipelines
        for task in pipeline.tasks
        if (key := TaskId(pipeline=pipeline.name, task=task.name)) not in problem.fixed
    }
    if not all(_still_waits(memory.expected.get(key), task) for key, task in waiting.items()):
        return News.SURPRISE
    if not all(_still_lives(memory.expected.get(key), found, now) for key, found in living.items()):
        return News.SURPRISE
    gone = [old for key, old in memory.expected.items() if key not in waiting and key not in living]
    if not all(old.met(now) or old.end < now for old in gone):
        return News.SURPRISE
    started = any(memory.expected[key].waits for key in living if key in memory.expected)
    return News.AS_EXPECTED if gone or started else News.NOTHING


def _still_waits(before: Expected | None, task: ProblemTask) -> bool:
    """Whether a task waited before, too, and would run as long where it was planned."""
    if before is None or not before.waits:
        return False
    seconds = task.seconds.get(before.node)
    return seconds is not None and abs(seconds - before.seconds) <= SURPRISE_SHARE * before.seconds


def _still_lives(before: Expected | None, found: Expected, now: datetime) -> bool:
    """Whether what lives was expected to, there and so long. What is long over is no news."""
    if before is None:
        return found.end < now
    return before.node == found.node and before.met(found.end)


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
