"""One call of CP-SAT: an objective in whole numbers, the search for it, and what was found in seconds again."""

from collections.abc import Callable
from dataclasses import dataclass
from math import floor
from threading import Event, Thread
from typing import Self

from ortools.sat.python import cp_model

from nodewise.core.model.problem import Objective
from nodewise.planning.exact.model import Model
from nodewise.planning.exact.ticks import SLACK
from nodewise.planning.list_scheduling import PartialPlan
from nodewise.planning.score import Score

_FINEST_UNIT = 10**13
"""A ratio of 1 in a balanced objective: so large that rounding its weights down costs a millionth."""
_TIE = 100
"""`score.value` counts the larger ratio a hundred times as much as the sum."""
_MARGIN = 1e-9
_PERIOD_S = 0.01
"""Between two questions whether time is out."""


@dataclass(frozen=True, slots=True)
class _Part:
    """One of the two ratios of a balanced value: (seconds of `ticks` + `before`) / count, over its reference.

    Over a reference of 0 it is 1 more than the seconds, as in `score.value`.
    """

    ticks: cp_model.LinearExpr
    most: int
    before: float
    reference: float
    count: int

    @property
    def weight(self) -> float:
        return 1.0 / (self.count * self.reference if self.reference > 0 else self.count)

    @property
    def shift(self) -> float:
        return 0.0 if self.reference > 0 else 1.0

    def ratio(self, unit: int, tick: float) -> cp_model.LinearExpr:
        return floor(unit * self.weight * tick) * self.ticks + floor(
            unit * (self.weight * self.before + self.shift)
        )


class Goal:
    """An objective over the variables of a model. Of pipelines whose tasks are all fixed the end is known."""

    def __init__(self, model: Model, objective: Objective, reference: Score) -> None:
        self._objective, self._reference = objective, reference
        self._tick, self._loss, self._unit = model.ticks.seconds, model.ticks.loss, 1
        self._latest, self._weighed = model.horizon * self._tick, 0
        instance, made = model.instance, model.variables
        self._times = 2 + sum(1 + len(instance.parents[task]) for task in instance.free)
        self._per_second = [1.0 / of if of > 0 else 1.0 for of in (reference.makespan, reference.mean_flow)]
        pipelines = [(k, p) for k, p in enumerate(instance.problem.pipelines) if p.tasks]
        self._count = len(pipelines)
        self._before_last = model.ticks.base - model.relaxed.origin
        self._before_sum = len(made.pipeline_end) * model.ticks.base - sum(
            p.submitted_at for _, p in pipelines
        )
        for k, _ in pipelines:
            if k not in made.pipeline_end:
                fixed = instance.fixed.items()
                self._before_sum += max(end for i, (_, _, end) in fixed if instance.pipeline_of[i] == k)
        self._minimize(model, cp_model.LinearExpr.sum(list(made.pipeline_end.values())))

    def _minimize(self, model: Model, total: cp_model.LinearExpr) -> None:
        if self._objective is Objective.MAKESPAN:
            model.cp.minimize(model.variables.last)
        elif self._objective is Objective.MEAN_FLOW:
            model.cp.minimize(total)
        else:
            self._balance(model, total)

    def _balance(self, model: Model, total: cp_model.LinearExpr) -> None:
        """100 x the larger ratio + their sum, in units as small as 64 bits allow, weights rounded down."""
        pipelines = len(model.variables.pipeline_end)
        self._weighed = model.horizon * (1 + pipelines) + 2
        parts = (
            _Part(model.variables.last, model.horizon, self._before_last, self._reference.makespan, 1),
            _Part(total, model.horizon * pipelines, self._before_sum, self._reference.mean_flow, self._count),
        )
        most = max(part.weight * (part.most * self._tick + part.before) + part.shift for part in parts)
        self._unit = min(_FINEST_UNIT, int(2**61 / ((_TIE + 2) * max(most, 1.0))))
        larger = model.cp.new_int_var(0, int(self._unit * most) + 1, "larger ratio")
        ratios = [part.ratio(self._unit, self._tick) for part in parts]
        for ratio in ratios:
            model.cp.add(larger >= ratio)
        model.cp.minimize(_TIE * larger + ratios[0] + ratios[1])

    def rounding(self, bound: float) -> float:
        """By how much an optimal plan may be above its bound, for each of its times was rounded down."""
        seconds, margin = self._times * self._loss, 2 * _MARGIN * bound
        if self._objective is not Objective.BALANCED:
            return (
                margin + seconds + _MARGIN * (self._latest + abs(self._before_last) + abs(self._before_sum))
            )
        return margin + 1.02 * (seconds * sum(self._per_second) + self._weighed / self._unit)

    def bound(self, ticks: float) -> float:
        """A bound on the objective as one on `score.value`, lowered by what rounding may have lifted it."""
        lifted = self._times * SLACK * self._tick
        if self._objective is Objective.MAKESPAN:
            found = ticks * self._tick + self._before_last - lifted
        elif self._objective is Objective.MEAN_FLOW:
            found = (ticks * self._tick + self._before_sum) / self._count - lifted
        else:
            found = ticks / (self._unit * _TIE)
        return max(0.0, found - abs(found) * _MARGIN)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """Free tasks by start and their nodes (None: no plan was found), the solver's bound, and whether it is met."""

    order: list[int] | None
    nodes: list[int]
    bound: float
    proved: bool


class _Watch:
    """Asks whether time is out, and then stops the solver, from a thread of its own: the solver itself seldom asks."""

    def __init__(self, solver: cp_model.CpSolver, out_of_time: Callable[[], bool]) -> None:
        self._solver, self._out_of_time = solver, out_of_time
        self._over = Event()
        self._thread = Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._over.wait(_PERIOD_S):
            if self._out_of_time():
                self._solver.stop_search()


def hint(model: Model, plan: PartialPlan) -> None:
    """Begin with a plan that is known."""
    for task, nodes in model.variables.on.items():
        model.cp.add_hint(model.variables.start[task], model.ticks.at(plan.start[task]))
        for node, here in nodes.items():
            model.cp.add_hint(here, plan.node[task] == node)


def search(model: Model, *, seconds: float, workers: int, out_of_time: Callable[[], bool]) -> Answer:
    """Search until the optimum is proved or the time is over. Equal answers for equal models, if it is not over."""
    solver = cp_model.CpSolver()
    solver.parameters.max_time_in_seconds = seconds
    solver.parameters.num_workers = workers
    solver.parameters.random_seed = 0
    # One worker is one strategy; with the whole linear relaxation it proves what with less of it takes minutes.
    solver.parameters.linearization_level = 2
    with _Watch(solver, out_of_time):
        status = solver.solve(model.cp)
    bound = solver.best_objective_bound
    nodes = [-1] * len(model.instance.ids)
    if status not in {cp_model.OPTIMAL, cp_model.FEASIBLE}:
        return Answer(order=None, nodes=nodes, bound=bound, proved=False)
    made = model.variables
    for task, places in made.on.items():
        nodes[task] = next(node for node, here in places.items() if solver.value(here))
    depth = {task: place for place, task in enumerate(model.instance.free)}
    order = sorted(model.instance.free, key=lambda task: (solver.value(made.start[task]), depth[task]))
    return Answer(order=order, nodes=nodes, bound=bound, proved=status == cp_model.OPTIMAL)
