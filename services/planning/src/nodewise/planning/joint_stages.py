"""Stage after stage: each is planned in the room that the earlier ones have left."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from random import Random
from typing import Final

from nodewise.core.model.ids import NodeName
from nodewise.core.model.problem import (
    Assignment,
    Held,
    Objective,
    Planner,
    PlanningContext,
    Problem,
    ProblemPipeline,
    TaskId,
)
from nodewise.planning.decoder import Decoder, Solution
from nodewise.planning.indexed import IndexedPlanner
from nodewise.planning.instance import Instance, ground, index
from nodewise.planning.joint_problem import Posed
from nodewise.planning.list_scheduling import PartialPlan
from nodewise.planning.memory import Expected, Memory, News, Recall, believed, joined, news, written
from nodewise.planning.portfolio import Effort, Portfolio, improve

SURPRISED: Final = 10
"""After a surprise the search may place so many times as many tasks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """By whom and how is planned."""

    planners: Mapping[str, Planner]
    objective: Objective
    rng: Random
    out_of_time: Callable[[], bool]
    placements: int

    @property
    def context(self) -> PlanningContext:
        return PlanningContext(rng=self.rng, objective=self.objective, out_of_time=self.out_of_time)


@dataclass(frozen=True, slots=True)
class Staged:
    """The plan of all stages: what waits, how long its data travels (where it does), and what to remember."""

    planned: Mapping[TaskId, Assignment]
    transfers: Mapping[TaskId, float]
    memory: Memory


def plan_in_stages(posed: Posed, terms: Terms, memory: Memory, *, now: datetime) -> Staged:
    """Plan every stage of a problem."""
    living = believed(posed.problem, now, posed.others)
    heard = news(memory, posed.problem, living, now=now)
    works = _Works(posed, terms, Recall(memory), heard)
    for stage, pipelines in posed.stages:
        works.plan(terms.planners[stage.planner], pipelines)
    waiting = {
        key: Expected(at.node, now + timedelta(seconds=at.end), at.end - at.start, True)
        for key, at in works.planned.items()
    }
    if heard is not News.SURPRISE:
        living = {key: _as_first_expected(memory.expected.get(key), found) for key, found in living.items()}
    kept = Memory(
        solutions=joined(works.solutions),
        nodes=posed.problem.nodes,
        expected={**living, **waiting},
        rows=posed.rows,
    )
    return Staged(works.planned, works.transfers, kept)


def _as_first_expected(before: Expected | None, found: Expected) -> Expected:
    """Small delays add up: each is measured by what was expected when the task was planned."""
    return found if before is None else replace(before, waits=False)


class _Works:
    """The room, and the plan so far."""

    def __init__(self, posed: Posed, terms: Terms, recall: Recall, heard: News) -> None:
        self.planned: dict[TaskId, Assignment] = {}
        self.transfers: dict[TaskId, float] = {}
        self.solutions: list[Sequence[list[tuple[TaskId, NodeName]]]] = []
        self._posed = posed
        self._terms = terms
        self._recall = recall
        self._heard = heard
        self._ground = ground(posed.problem)
        tasks = sum(len(pipeline.tasks) for pipeline in posed.problem.pipelines)
        self._all = max(1, tasks - len(posed.problem.fixed))

    def plan(self, planner: Planner, pipelines: Sequence[ProblemPipeline]) -> None:
        """Plan a stage, and take its room away from the later ones."""
        problem = self._part(pipelines)
        true = index(problem, self._ground)
        if not true.free:
            return
        wished = _as_wished(problem, self._posed.weighed)
        chosen = true if wished is problem else index(wished, self._ground)
        solutions = self._solutions(planner, chosen)
        best = solutions[0]
        if chosen is not true:
            best = Decoder(true).decode(best.order, best.plan.node)
        self.solutions.append([written(chosen, solution) for solution in solutions])
        self._take(true, best.plan)

    def _part(self, pipelines: Sequence[ProblemPipeline]) -> Problem:
        problem = self._posed.problem
        keys = (TaskId(pipeline=p.name, task=t.name) for p in pipelines for t in p.tasks)
        fixed = {key: problem.fixed[key] for key in keys if key in problem.fixed}
        return replace(problem, pipelines=tuple(pipelines), fixed=fixed, held=())

    def _solutions(self, planner: Planner, instance: Instance) -> list[Solution]:
        """The plan first, then what it was measured by, where the planner tells."""
        known = self._recall.of(instance)
        if self._heard is News.NOTHING and known:
            decoder = Decoder(instance)
            return [decoder.decode(*solution) for solution in known]
        if isinstance(planner, Portfolio):
            found = improve(instance, self._terms.context, self._effort(instance), known=known)
            return [found.best, found.shortest, found.soonest]
        if self._heard is News.AS_EXPECTED and known:
            return [Decoder(instance).decode(*known[0])]
        if isinstance(planner, IndexedPlanner):
            return [Decoder(instance).solution(planner.on(instance, self._terms.context))]
        return [Decoder(instance).solution(self._foreign(planner, instance))]

    def _effort(self, instance: Instance) -> Effort:
        """Each stage has its share of the placements."""
        surprised = self._heard is News.SURPRISE
        most = self._terms.placements * (SURPRISED if surprised else 1)
        return Effort(placements=most * len(instance.free) // self._all, afresh=surprised)

    def _foreign(self, planner: Planner, instance: Instance) -> PartialPlan:
        """The plan of a planner that knows only problems: what was planned before is held."""
        problem = self._posed.problem
        others = replace(instance.problem, held=(*problem.held, *self._held(instance)))
        schedule = planner.plan(others, self._terms.context)
        names = {node.name: j for j, node in enumerate(problem.nodes)}
        plan = PartialPlan(instance)
        for task in instance.free:
            at = schedule.assignments[instance.ids[task]]
            plan.place(task, names[at.node], at.start)
        return plan

    def _held(self, instance: Instance) -> list[Held]:
        """What is planned or fixed of other stages."""
        problem, own = self._posed.problem, set(instance.ids)
        needs = {
            TaskId(pipeline=p.name, task=t.name): t.resources for p in problem.pipelines for t in p.tasks
        }
        return [
            Held(node=at.node, resources=needs[key], start=at.start, end=at.end)
            for key, at in (*problem.fixed.items(), *self.planned.items())
            if key not in own
        ]

    def _take(self, instance: Instance, plan: PartialPlan) -> None:
        nodes = instance.problem.nodes
        for task in instance.free:
            node, start, end = plan.node[task], plan.start[task], plan.end[task]
            self._ground.room[node].book(start, end, instance.demand[task])
            key = instance.ids[task]
            self.planned[key] = Assignment(id=key, node=nodes[node].name, start=start, end=end)
            longest = max(
                (mib / instance.rates[plan.node[parent]][node] for parent, mib in instance.parents[task]),
                default=0.0,
            )
            if longest:
                self.transfers[key] = longest


def _as_wished(problem: Problem, weighed: Mapping[TaskId, Mapping[NodeName, float]]) -> Problem:
    """The problem with run times as they count for the choice of nodes; itself where nobody has wishes."""
    pipelines = tuple(_pipeline_as_wished(pipeline, weighed) for pipeline in problem.pipelines)
    if all(new is old for new, old in zip(pipelines, problem.pipelines, strict=True)):
        return problem
    return replace(problem, pipelines=pipelines)


def _pipeline_as_wished(
    pipeline: ProblemPipeline, weighed: Mapping[TaskId, Mapping[NodeName, float]]
) -> ProblemPipeline:
    own = {
        task.name: weighed[key]
        for task in pipeline.tasks
        if (key := TaskId(pipeline=pipeline.name, task=task.name)) in weighed
    }
    if not own:
        return pipeline
    tasks = (replace(t, seconds=own[t.name]) if t.name in own else t for t in pipeline.tasks)
    return replace(pipeline, tasks=tuple(tasks))
