"""A planner in the middle of things: the plan is remade when something happens that it did not expect."""

from collections.abc import Callable
from dataclasses import replace
from random import Random
from typing import Final

from nodewise.core.model.problem import (
    Assignment,
    Objective,
    Planner,
    PlanningContext,
    Problem,
    ProblemPipeline,
    ProblemTask,
    TaskId,
)
from nodewise.simulator.engine import Attempt, World
from nodewise.simulator.following import PlanFollower

_SURPRISE: Final = 0.1
"""A task that ends so much of its believed seconds early or late makes the plan a new one."""


class RollingPlanner:
    """Plans what has arrived, follows the plan, and plans again at arrivals, failures and wrong estimates.

    Only what starts now is committed: a new plan takes over what runs and what has ended, nothing else. Pipelines that
    have ended are left out of later plans.
    """

    def __init__(
        self,
        believed: Problem,
        planner: Planner,
        *,
        seed: int,
        objective: Objective = Objective.BALANCED,
        share: Callable[[int], Callable[[], bool]] = lambda _: lambda: False,
    ) -> None:
        self._believed = believed
        self._seen = [task for pipeline in believed.pipelines for task in pipeline.tasks]
        self._planner = planner
        self._seed = seed
        self._objective = objective
        self._share = share
        self._followed: PlanFollower | None = None
        self._state: tuple[int, int, tuple[int, ...]] = (-1, -1, ())
        self._expected: dict[int, Attempt] = {}

    def decide(self, world: World) -> None:
        """Plan again where needed, then start what the plan starts now."""
        state = (len(world.arrived), world.losses, world.down)
        surprised = self._surprised(world)
        if self._followed is None or state != self._state or surprised:
            self._state = state
            self._followed = PlanFollower(world.tables, self._plan(world))
        self._followed.decide(world)
        self._expected = dict(world.running)

    def _surprised(self, world: World) -> bool:
        over = [attempt for task, attempt in self._expected.items() if task in world.ended]
        return any(self._off(world, attempt) > _SURPRISE for attempt in over)

    def _off(self, world: World, attempt: Attempt) -> float:
        """By which share of its believed seconds an attempt was longer or shorter."""
        believed = self._believed_seconds(world, attempt)
        return (
            abs(attempt.end - attempt.start - believed) / believed
            if believed
            else attempt.end - attempt.start
        )

    def _believed_seconds(self, world: World, attempt: Attempt) -> float:
        return self._seen[attempt.task].seconds[world.tables.nodes[attempt.node].name]

    def _plan(self, world: World) -> dict[TaskId, Assignment]:
        problem = self._problem(world)
        if not problem.pipelines:
            return {}
        context = PlanningContext(
            rng=Random(self._seed),  # noqa: S311 - chance for a planner, not a secret
            objective=self._objective,
            out_of_time=self._share(1 + len(self._believed.pipelines) - len(world.arrived)),
        )
        schedule = self._planner.plan(problem, context)
        return {name: at for name, at in schedule.assignments.items() if name not in problem.fixed}

    def _problem(self, world: World) -> Problem:
        """What is left to plan, as far as it is known now."""
        open_ones = {
            world.tables.pipeline_of[task] for task in range(len(self._seen)) if task not in world.ended
        }
        known = [self._believed.pipelines[i] for i in sorted(world.arrived) if i in open_ones]
        gone = frozenset(world.tables.nodes[i].name for i in world.down)
        pipelines = [_without(pipeline, gone) for pipeline in known] if gone else known
        fixed = self._fixed(world, {pipeline.name for pipeline in known})
        return replace(self._believed, pipelines=tuple(pipelines), fixed=fixed, now=world.now)

    def _fixed(self, world: World, pipelines: set[str]) -> dict[TaskId, Assignment]:
        ids = world.tables.ids
        over = {ids[task]: (done, done.end) for task, done in world.ended.items()}
        still = {
            ids[task]: (run, max(world.now, run.start + self._believed_seconds(world, run)))
            for task, run in world.running.items()
        }
        return {
            name: Assignment(
                id=name, node=world.tables.nodes[attempt.node].name, start=attempt.start, end=end
            )
            for name, (attempt, end) in (over | still).items()
            if name.pipeline in pipelines
        }


def _without(pipeline: ProblemPipeline, gone: frozenset[str]) -> ProblemPipeline:
    return replace(pipeline, tasks=tuple(_avoiding(task, gone) for task in pipeline.tasks))


def _avoiding(task: ProblemTask, gone: frozenset[str]) -> ProblemTask:
    """The task without run times on nodes that are gone; as it is where it has no others: it waits for them."""
    left = {name: seconds for name, seconds in task.seconds.items() if name not in gone}
    return replace(task, seconds=left) if left else task
