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
from nodewise.planning.decoder import ANY, Decoder, Solution
from nodewise.planning.indexed import IndexedPlanner
from nodewise.planning.instance import Instance, ground, index
from nodewise.planning.joint_problem import Posed
from nodewise.planning.list_scheduling import PartialPlan
from nodewise.planning.memory import Memory, News, Recall, drifted, joined, news, written
from nodewise.planning.moves import parents_first
from nodewise.planning.portfolio import Effort, Portfolio, improve

MORE_FOR_NEW: Final = 10
"""For a task that was never planned, the search may place so many times as many."""

VAIN_STEPS_PER_TASK: Final = 10
MOST_VAIN_STEPS: Final = 2000
VAIN_STEPS_WHILE_IT_HOLDS: Final = 100
"""A search ends after so many steps without improvement: soon, where only what is left of a good plan is looked at."""


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
    works = _Works(posed, terms, memory, now=now)
    for stage, pipelines in posed.stages:
        works.plan(terms.planners[stage.planner], pipelines)
    living = {key: at.node for key, at in posed.problem.fixed.items() if at.end > posed.problem.now}
    kept = Memory(
        solutions=joined(works.solutions),
        ground=posed.problem.nodes,
        nodes=living | {key: at.node for key, at in works.planned.items()},
        living=frozenset(living),
        beyond=posed.beyond,
        due=works.due,
        rows=posed.rows,
    )
    return Staged(works.planned, works.transfers, kept)


@dataclass(frozen=True, slots=True)
class _Made:
    """The plan of a stage; its solutions for the memory, the plan's own first; and whether it is another than before."""

    solutions: Sequence[Solution]
    anew: bool


class _Works:
    """The room, and the plan so far."""

    def __init__(self, posed: Posed, terms: Terms, memory: Memory, *, now: datetime) -> None:
        self.planned: dict[TaskId, Assignment] = {}
        self.transfers: dict[TaskId, float] = {}
        self.solutions: list[Sequence[list[tuple[TaskId, NodeName]]]] = []
        self.due: dict[str, datetime] = {}
        self._posed = posed
        self._terms = terms
        self._memory = memory
        self._recall = Recall(memory)
        self._news = news(memory, posed.problem)
        self._now = now
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
        made = self._made(planner, chosen)
        best = made.solutions[0]
        if chosen is not true:
            best = Decoder(true).decode(best.order, best.plan.node)
        self.solutions.append([written(chosen, solution) for solution in made.solutions])
        self._note_due(chosen, made)
        self._take(true, best.plan)

    def _note_due(self, instance: Instance, made: _Made) -> None:
        """When its pipelines end; by the plan as it was made, so that small delays add up."""
        before = {} if made.anew else self._memory.due
        ends = made.solutions[0].plan.end
        last: dict[str, float] = {}
        for task, key in enumerate(instance.ids):
            last[key.pipeline] = max(last.get(key.pipeline, 0.0), ends[task])
        for name, end in last.items():
            self.due[name] = before.get(name) or self._now + timedelta(seconds=end)

    def _part(self, pipelines: Sequence[ProblemPipeline]) -> Problem:
        problem = self._posed.problem
        keys = (TaskId(pipeline=p.name, task=t.name) for p in pipelines for t in p.tasks)
        fixed = {key: problem.fixed[key] for key in keys if key in problem.fixed}
        return replace(problem, pipelines=tuple(pipelines), fixed=fixed, held=())

    def _made(self, planner: Planner, instance: Instance) -> _Made:
        """The remembered plan while it holds; else the planner's, which may begin with it."""
        decoder = Decoder(instance)
        old = [decoder.decode(order, nodes) for order, nodes in self._recall.of(instance)]
        holds = bool(old) and self._news is not News.SURPRISE
        holds = holds and not drifted(self._memory, instance, old[0].plan, self._now)
        if holds and (self._news is News.NOTHING or not isinstance(planner, Portfolio)):
            return _Made(old, anew=False)
        if isinstance(planner, Portfolio):
            found = improve(decoder, self._terms.context, self._effort(instance, afresh=not holds), known=old)
            three = [self._settled(decoder, one) for one in (found.best, found.shortest, found.soonest)]
            return _Made(three, anew=found.best not in old)
        return _Made([decoder.settled(self._by(planner, decoder))], anew=True)

    def _settled(self, decoder: Decoder, solution: Solution) -> Solution:
        return solution if self._terms.out_of_time() else decoder.settled(solution)

    def _by(self, planner: Planner, decoder: Decoder) -> Solution:
        if isinstance(planner, IndexedPlanner):
            return decoder.solution(planner.on(decoder.instance, self._terms.context))
        return self._foreign(planner, decoder)

    def _effort(self, instance: Instance, *, afresh: bool) -> Effort:
        """Each stage has its share of the placements; what is new is worth more of them than what is known."""
        fresh = sum(1 for task in instance.free if instance.ids[task] not in self._memory.nodes)
        free = len(instance.free)
        most = MOST_VAIN_STEPS if afresh else VAIN_STEPS_WHILE_IT_HOLDS
        return Effort(
            placements=self._terms.placements * (free + (MORE_FOR_NEW - 1) * fresh) // self._all,
            vain_steps=min(most, VAIN_STEPS_PER_TASK * free),
            afresh=afresh,
        )

    def _foreign(self, planner: Planner, decoder: Decoder) -> Solution:
        """Order and nodes of a planner that knows only problems; to it, what was planned before is held."""
        instance = decoder.instance
        others = (*self._posed.problem.held, *self._held(instance))
        found = planner.plan(replace(instance.problem, held=others), self._terms.context).assignments
        places = {node.name: j for j, node in enumerate(instance.problem.nodes)}
        nodes = [ANY] * len(instance.ids)
        for task in instance.free:
            node = places[found[instance.ids[task]].node]
            nodes[task] = node if node in instance.choices[task] else ANY
        order = sorted(instance.free, key=lambda task: found[instance.ids[task]].start)
        return decoder.decode(parents_first(instance, order), nodes)

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
