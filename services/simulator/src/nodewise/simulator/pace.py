"""How long decisions in a hurry will take, tried on the beginning of the problem: what must be kept of a budget for the rest."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Final

from nodewise.core.model.problem import Problem, ProblemPipeline, ProblemTask
from nodewise.simulator.budget import Budget, Timed
from nodewise.simulator.engine import World, run
from nodewise.simulator.hurried import HurriedDecider
from nodewise.simulator.tables import tables_of

_TRIED: Final = 300
"""Tasks: their decisions take a hundredth of a second, enough to be measured."""


def hurried_pace(believed: Problem, clock: Callable[[], float]) -> float:
    """Seconds for a task."""
    part = beginning_of(believed, tasks=_TRIED)
    tried, world = Budget(clock), World(tables_of(part))
    decider = HurriedDecider(world.tables, part, {})
    run(world, Timed(decider, tried, instead=lambda: decider))
    return tried.spent / max(1, decider.placed)


def beginning_of(problem: Problem, *, tasks: int) -> Problem:
    """Its first tasks, so many at most, with all that they wait for."""
    return replace(problem, pipelines=tuple(_beginnings(problem, tasks)))


def _beginnings(problem: Problem, left: int) -> Iterator[ProblemPipeline]:
    for pipeline in problem.pipelines:
        if left <= 0:
            return
        names: set[str] = set()
        kept: list[ProblemTask] = []
        for task in pipeline.tasks:
            if len(kept) < left and all(item.task in names for item in task.after):
                names.add(task.name)
                kept.append(task)
        left -= len(kept)
        yield replace(pipeline, tasks=tuple(kept))
