"""The best plan, with its proof: for problems so small that all others can be excluded."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from nodewise.core.model.problem import Objective, Planner, PlanningContext, Problem, Schedule
from nodewise.planning.bounds import bounds_of
from nodewise.planning.bounds.paths import horizon, relax
from nodewise.planning.decoder import Decoder, Solution
from nodewise.planning.eft import eft
from nodewise.planning.exact.ticks import ticks
from nodewise.planning.heft import heft
from nodewise.planning.instance import index
from nodewise.planning.portfolio import Portfolio
from nodewise.planning.score import Score, value

LARGEST = 600
"""Tasks x nodes up to which there is hope of a proof, or of a better plan than the portfolio's (of 880 there was none in 10 s)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """What was found, and what is known of everything else.

    Attributes:
        schedule: The best plan found; a valid one even if the time was too short for any but the first guess.
        score: Of the schedule.
        value: Of the schedule by the objective, as `score.value` has it, relative to `reference` if balanced.
        bound: No schedule has a smaller value.
        proved: Whether everything better is excluded but for the rounding of times (see `ticks`): the value is above
            the bound by at most a ten millionth of the horizon for each task and transfer.
        reference: The scores that a balanced value is relative to.
    """

    schedule: Schedule
    score: Score
    value: float
    bound: float
    proved: bool
    reference: Score


class Exact:
    """Constraint programming over all plans; takes time that grows exponentially, so it has a budget.

    CP-SAT (Perron, Furnon: OR-Tools) with lazy clause generation: Ohrimenko, Stuckey, Codish: "Propagation via lazy clause
    generation", Constraints 14(3), 2009. As a planner it begins with the portfolio's plan and improves on it, so it is never
    worse; a problem of more than 600 tasks x nodes is left to the portfolio alone. Proved in 10 s on one core: DAGs of 60
    tasks on 6 nodes, streams of 40 tasks on 10 nodes for the makespan, of 20 to 25 for the mean flow or both.

    Args:
        seconds: The budget of one search.
        workers: Threads of the solver. With one, equal problems have equal plans as long as the time is enough.
        implied: Tell the solver the heads and tails of the lower bounds. Without, proofs take longer and do not rest on them.
        start: Whose plan it begins with, as a planner (None: the portfolio's).
    """

    name = "exact"
    summary = "the optimum, proved, if the time is enough (small problems); else the portfolio's plan or a better one"

    def __init__(
        self,
        *,
        seconds: float = 10.0,
        workers: int = 1,
        implied: bool = True,
        start: Planner | None = None,
    ) -> None:
        self._seconds, self._workers, self._implied = seconds, workers, implied
        self._start = start or Portfolio()

    def plan(self, problem: Problem, context: PlanningContext) -> Schedule:
        """The best plan found before `context.out_of_time`, or the seconds, are over. `prove` says how good it is."""
        known = self._start.plan(problem, context)
        if len(index(problem).free) * len(problem.nodes) > LARGEST or context.out_of_time():
            return known
        proof = self.prove(problem, context.objective, known=[known], out_of_time=context.out_of_time)
        return proof.schedule

    def prove(
        self,
        problem: Problem,
        objective: Objective,
        *,
        reference: Score | None = None,
        known: Sequence[Schedule] = (),
        out_of_time: Callable[[], bool] = lambda: False,
    ) -> Proof:
        """The best plan found, its bound, and whether they meet.

        Args:
            problem: What is to be planned.
            objective: What is to be least.
            reference: Scores that a balanced value is relative to (None: the lower bounds).
            known: Plans to begin with, beside HEFT's and EFT's.
            out_of_time: Asked all the time, by another thread while the solver has this one.

        Raises:
            Unplannable: Some task that is not fixed can run on no node.
        """
        instance = index(problem)
        if reference is None:
            bounds = bounds_of(instance)
            reference = Score(bounds.makespan, bounds.mean_flow)
        decoder = Decoder(instance)
        guesses = [decoder.solution(plan(instance)) for plan in (heft, eft)]
        guesses += [_decoded(decoder, schedule) for schedule in known]
        first = min(guesses, key=lambda one: value(one.score, objective, best=reference))
        if not instance.free:
            return _proof(first, objective, reference=reference, bound=None, proved=True)
        return self._search(first, objective, reference=reference, out_of_time=out_of_time)

    def _search(
        self, first: Solution, objective: Objective, *, reference: Score, out_of_time: Callable[[], bool]
    ) -> Proof:
        # Loading the solver takes a third of a second: only who solves pays for it.
        from nodewise.planning.exact.model import Model  # noqa: PLC0415
        from nodewise.planning.exact.solve import Goal, hint, search  # noqa: PLC0415

        instance = first.plan.instance
        relaxed = relax(instance)
        base = min(instance.release[task] for task in instance.free)
        end = horizon(relaxed) + relaxed.origin - base
        if objective is Objective.MAKESPAN:
            end = min(end, max(first.plan.end) - base)
        scale = ticks(instance, base, end)
        model = Model(relaxed, scale, horizon=scale.of(end) + 1, implied=self._implied)
        goal = Goal(model, objective, reference)
        hint(model, first.plan)
        answer = search(model, seconds=self._seconds, workers=self._workers, out_of_time=out_of_time)
        found = first if answer.order is None else Decoder(instance).decode(answer.order, answer.nodes)
        best = min(found, first, key=lambda one: value(one.score, objective, best=reference))
        bound = goal.bound(answer.bound)
        # To the solver what takes no time takes no room; if the plan could not do the same, nothing is proved.
        met = value(best.score, objective, best=reference) <= bound + goal.rounding(bound)
        return _proof(best, objective, reference=reference, bound=bound, proved=answer.proved and met)


def _decoded(decoder: Decoder, schedule: Schedule) -> Solution:
    """A schedule as a solution, in which each task starts when it did, or earlier."""
    instance = decoder.instance
    names = {node.name: j for j, node in enumerate(instance.problem.nodes)}
    found = {task: schedule.assignments[instance.ids[task]] for task in instance.free}
    nodes = [names[found[task].node] if task in found else -1 for task in range(len(instance.ids))]
    # Sorting keeps what starts at the same time as it came: parents first.
    return decoder.decode(sorted(instance.free, key=lambda task: found[task].start), nodes)


def _proof(
    found: Solution, objective: Objective, *, reference: Score, bound: float | None, proved: bool
) -> Proof:
    worth = value(found.score, objective, best=reference)
    return Proof(
        schedule=found.plan.schedule(),
        score=found.score,
        value=worth,
        bound=worth if bound is None else min(bound, worth),
        proved=proved,
        reference=reference,
    )
