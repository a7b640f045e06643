"""The independent check of schedules: what it reports is wrong, whichever planner says otherwise.

It shares no code with the planners and imports only the contract. Times are compared with a tolerance of `TOLERANCE_S`,
absolute: what overlaps or is early by less counts as touching. (Doubles near 1.8e9, today's epoch seconds, are 2.4e-7
apart, so nothing much finer could be told.)
"""

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from typing import TypeAlias

from nodewise.core.model.ids import NodeName
from nodewise.core.model.problem import (
    Assignment,
    Problem,
    ProblemNode,
    ProblemPipeline,
    ProblemTask,
    Schedule,
    TaskId,
)
from nodewise.core.model.resources import Resources

TOLERANCE_S = 1e-6

_Tasks: TypeAlias = Mapping[TaskId, tuple[ProblemPipeline, ProblemTask]]
_Timed: TypeAlias = Mapping[TaskId, Assignment]


def violations(problem: Problem, schedule: Schedule) -> tuple[str, ...]:
    """Everything that is wrong with `schedule` as an answer to `problem`, in words; nothing for a valid one.

    A task holds its node's room from its start until just before its end, so a task may start where another ends. Room
    that fixed tasks and what is held overbook among themselves is not held against the schedule; using more of it is.
    O(t log t + d) for t tasks with d dependencies.
    """
    tasks = {
        TaskId(pipeline=pipeline.name, task=task.name): (pipeline, task)
        for pipeline in problem.pipelines
        for task in pipeline.tasks
    }
    found = schedule.assignments
    timed = {key: at for key, at in found.items() if math.isfinite(at.start) and math.isfinite(at.end)}
    planned = {key: at for key, at in timed.items() if key in tasks and key not in problem.fixed}
    return tuple(
        chain(
            _ill_posed(problem),
            _not_exactly_once(problem, tasks, found),
            (f"{_word(key)} has no finite start and end" for key in found if key not in timed),
            _moved(problem, found),
            _misplaced(problem, tasks, planned),
            _mistimed(problem, tasks, planned),
            _too_early(problem, tasks, planned=planned, timed=timed),
            _overbooked(problem, tasks, timed),
        )
    )


def _word(key: TaskId) -> str:
    return f"{key.pipeline}/{key.task}"


def _ill_posed(problem: Problem) -> Iterator[str]:
    """Names that are ambiguous or lead nowhere: of such a problem nothing can be proved."""
    pipelines = Counter(pipeline.name for pipeline in problem.pipelines)
    yield from (f"the problem has {n} pipelines named {name}" for name, n in pipelines.items() if n > 1)
    nodes = Counter(node.name for node in problem.nodes)
    yield from (f"the problem has {n} nodes named {name}" for name, n in nodes.items() if n > 1)
    for pipeline in problem.pipelines:
        names = Counter(task.name for task in pipeline.tasks)
        yield from (
            f"pipeline {pipeline.name} has {n} tasks named {name}" for name, n in names.items() if n > 1
        )
        for task in pipeline.tasks:
            missing = [parent.task for parent in task.after if parent.task not in names]
            yield from (f"{pipeline.name}/{task.name} waits for {name}, which is no task" for name in missing)


def _not_exactly_once(problem: Problem, tasks: _Tasks, found: Mapping[TaskId, Assignment]) -> Iterator[str]:
    yield from (f"{_word(key)} is not in the schedule" for key in tasks if key not in found)
    for key, at in found.items():
        if key not in tasks and key not in problem.fixed:
            yield f"{_word(key)} is in the schedule, but no task of the problem"
        if at.id != key:
            yield f"{_word(key)} is kept as the assignment of {_word(at.id)}"


def _moved(problem: Problem, found: Mapping[TaskId, Assignment]) -> Iterator[str]:
    for key, before in problem.fixed.items():
        after = found.get(key, before)
        if after != before:
            yield f"{_word(key)} is fixed on {_span(before)}, but the schedule has it on {_span(after)}"


def _span(at: Assignment) -> str:
    return f"{at.node} from {at.start} to {at.end}"


def _misplaced(problem: Problem, tasks: _Tasks, planned: _Timed) -> Iterator[str]:
    nodes = {node.name: node for node in problem.nodes}
    for key, at in planned.items():
        task, node = tasks[key][1], nodes.get(at.node)
        if node is None:
            yield f"{_word(key)} is on {at.node}, which is no node"
            continue
        if at.node not in task.seconds:
            yield f"{_word(key)} is on {at.node}, which cannot run it"
        if not task.resources.fits_in(node.capacity):
            yield f"{_word(key)} needs more than {at.node} has"


def _mistimed(problem: Problem, tasks: _Tasks, planned: _Timed) -> Iterator[str]:
    for key, at in planned.items():
        pipeline, task = tasks[key]
        seconds = task.seconds.get(at.node)
        if seconds is not None and abs(at.end - (at.start + seconds)) > TOLERANCE_S:
            yield f"{_word(key)} takes {seconds} s on {at.node}, but is there from {at.start} to {at.end}"
        if at.start < problem.now - TOLERANCE_S:
            yield f"{_word(key)} starts at {at.start}, before now ({problem.now})"
        if at.start < pipeline.submitted_at - TOLERANCE_S:
            yield f"{_word(key)} starts at {at.start}, before it was submitted ({pipeline.submitted_at})"
        if at.start < task.not_before - TOLERANCE_S:
            yield f"{_word(key)} starts at {at.start}, which it may not before {task.not_before}"


def _too_early(problem: Problem, tasks: _Tasks, *, planned: _Timed, timed: _Timed) -> Iterator[str]:
    for key, at in planned.items():
        for dependency in tasks[key][1].after:
            parent = timed.get(TaskId(pipeline=key.pipeline, task=dependency.task))
            if parent is None:
                continue
            arrival = parent.end + problem.links.seconds(dependency.mib, parent.node, at.node)
            if at.start < arrival - TOLERANCE_S:
                yield (
                    f"{_word(key)} starts at {at.start}, but what it needs of {dependency.task} "
                    f"is on {at.node} only at {arrival}"
                )


@dataclass(frozen=True, slots=True)
class _Use:
    """What something takes of its node, and whether the plan put it there. Of strangers only the slot is known."""

    start: float
    end: float
    needs: Resources
    planned: bool


def _overbooked(problem: Problem, tasks: _Tasks, timed: _Timed) -> Iterator[str]:
    uses: dict[NodeName, list[_Use]] = defaultdict(list)
    for key, at in timed.items():
        needs = tasks[key][1].resources if key in tasks else Resources()
        uses[at.node].append(_Use(at.start, at.end, needs, key not in problem.fixed))
    for held in problem.held:
        uses[held.node].append(_Use(held.start, held.end, held.resources, False))
    for node in problem.nodes:
        for what, capacity, amount_of in _limited(node):
            amounts = [(use, amount_of(use.needs)) for use in uses[node.name]]
            yield from _over(amounts, where=f"{what} of {node.name}", capacity=capacity)


def _limited(node: ProblemNode) -> Iterator[tuple[str, int, Callable[[Resources], int]]]:
    """What is limited on the node: its name, how much there is, and what somebody with certain needs takes of it."""
    yield "millicores", node.capacity.millicores, lambda needs: needs.millicores
    yield "MiB", node.capacity.memory_mib, lambda needs: needs.memory_mib
    yield "gpus", node.capacity.gpus, lambda needs: needs.gpus
    if node.slots is not None:
        yield "slots", node.slots, lambda _: 1


def _over(amounts: Iterable[tuple[_Use, int]], *, where: str, capacity: int) -> Iterator[str]:
    """The first instant at which a task of the plan shares more of this than there is.

    Intervals are cut short by the tolerance, at their end; what is then empty takes nothing. At equal times ends come
    before starts. The usage of planned tasks is counted beside the total, to tell when only others collide.
    """
    changes: list[tuple[float, int, int]] = []
    for use, amount in amounts:
        if amount and use.end - TOLERANCE_S > use.start:
            planned = amount if use.planned else 0
            changes += [(use.start, amount, planned), (use.end - TOLERANCE_S, -amount, -planned)]
    used = of_plan = 0
    for instant, amount, planned in sorted(changes):
        used, of_plan = used + amount, of_plan + planned
        if amount > 0 and used > capacity and of_plan > 0:
            yield f"at {instant} the tasks take {used} {where}, which has {capacity}"
            return
