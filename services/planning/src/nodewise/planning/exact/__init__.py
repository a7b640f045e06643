"""The best plan, with its proof: for problems so small that all others can be excluded."""

from collections.abc import Callable
from dataclasses import dataclass

from nodewise.core.model.problem import Objective, PlanningContext, Problem, Schedule
from nodewise.planning.bounds import bounds_of
from nodewise.planning.bounds.paths import horizon, relax
from nodewise.planning.decoder import Decoder, Solution
from nodewise.planning.eft import eft
from nodewise.planning.exact.ticks import ticks
from nodewise.planning.heft import heft
from nodewise.planning.instance import Instance, index
from nodewise.planning.score import Score, value


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
    generation", Constraints 14(3), 2009. It starts from HEFT's or EFT's plan, whichever is better, and never ends worse.

    Args:
        seconds: The budget of one search.
        workers: Threads of the solver. With one, equal problems have equal plans as long as the time is enough.
        implied: Tell the solver the heads and tails of the lower bounds. Without, proofs take longer and do not rest on them.
    """

    name = "exact"
    summary = "the optimum, proved, if it is found in the time allowed (small problems)"

    def __init__(self, *, seconds: float = 10.0, workers: int = 1, implied: bool = True) -> None:
        self._seconds, self._workers, self._implied = seconds, workers, implied

    def plan(self, problem: Problem, context: PlanningContext) -> Schedule:
        """The best plan found in the time allowed. `prove` says how good it is."""
        return self.prove(problem, context.objective, out_of_time=context.out_of_time).schedule

    def prove(
        self,
        problem: Problem,
        objective: Objective,
        *,
        reference: Score | None = None,
        out_of_time: Callable[[], bool] = lambda: False,
    ) -> Proof:
        """The best plan found, its bound, and whether they meet.

        Args:
            problem: What is to be planned.
            objective: What is to be least.
            reference: Scores that a balanced value is relative to (None: the lower bounds).
            out_of_time: Asked whenever a better plan is found.

        Raises:
            Unplannable: Some task that is not fixed can run on no node.
        """
        instance = index(problem)
        if reference is None:
            known = bounds_of(instance)
            reference = Score(known.makespan, known.mean_flow)
        first = _first(instance, objective, reference)
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
        met = value(best.score, objective, best=reference) <= bound + goal.rounding()
        return _proof(best, objective, reference=reference, bound=bound, proved=answer.proved and met)


def _first(instance: Instance, objective: Objective, reference: Score) -> Solution:
    decoder = Decoder(instance)
    guesses = [decoder.solution(plan(instance)) for plan in (heft, eft)]
    return min(guesses, key=lambda one: value(one.score, objective, best=reference))


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
