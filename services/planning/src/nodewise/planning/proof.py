"""How far a plan is at most from the best one, whoever made it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from nodewise.core.model.problem import Objective, Problem, Schedule
from nodewise.planning.bounds import Bounds, bounds_of, quick_bounds
from nodewise.planning.exact import Exact, Proof
from nodewise.planning.instance import Instance, index
from nodewise.planning.score import Score, score, value

CLOSED = 1e-6
"""A gap that counts as none: bounds are lowered by more than rounding can have lifted them, so few are met exactly."""
SMALL = 14
"""Tasks up to which an exact search mostly ends within a tenth of a second."""
SEARCH = "exact search"
"""Stands in `Certificate.which` where no relaxation, but the exclusion of everything better gave the bound."""

_FIGURES = (Objective.MAKESPAN, Objective.MEAN_FLOW)


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate:
    """What is proved of a plan. All mappings have the keys `makespan` and `mean_flow`.

    Attributes:
        lower_bound: Seconds that no schedule of the problem is below.
        gap: By which share the plan may be above the best one (None: the bound is 0 and the plan is not).
        optimal: No schedule is better by the objective, by more than a millionth. `BALANCED` is either proved in both
            figures at once, or its value (see `score.value`) is, relative to the bounds of the relaxations.
        which: The proof that gave each bound.
    """

    lower_bound: Mapping[str, float]
    gap: Mapping[str, float | None]
    optimal: bool
    which: Mapping[str, str]


def prove(
    problem: Problem,
    schedule: Schedule,
    objective: Objective,
    *,
    exact_seconds: float = 0,
    thorough: bool | None = None,
    out_of_time: Callable[[], bool] = lambda: False,
) -> Certificate:
    """What is known of a valid schedule; the cost of `lower_bounds`, and at most `exact_seconds` beside.

    Args:
        problem: All that the schedule is an answer to.
        schedule: A valid one: of another, nothing is proved.
        objective: What `optimal` is about.
        exact_seconds: For an exact search, if the relaxations leave a gap and at most 14 tasks are to be planned.
        thorough: Whether to solve the linear relaxation (see `lower_bounds`).
        out_of_time: Asked between the relaxations: then what there is must do.

    Raises:
        Unplannable: Some task that is not fixed can run on no node.
    """
    instance = index(problem)
    bounds = bounds_of(instance, thorough=thorough, sparing=True, out_of_time=out_of_time)
    found = score(problem, schedule)
    lower, which = _of_relaxations(bounds)
    gaps = _gaps(found, lower)
    optimal = _closed(gaps, objective)
    if not optimal and exact_seconds > 0 and not out_of_time() and len(instance.free) <= SMALL:
        proof = _search(instance, bounds, objective, seconds=exact_seconds)
        if objective is not Objective.BALANCED and proof.bound > lower[objective]:
            lower, which = lower | {objective.value: proof.bound}, which | {objective.value: SEARCH}
            gaps = _gaps(found, lower)
        reached = value(found, objective, best=proof.reference)
        optimal = proof.proved and reached <= proof.value * (1 + CLOSED)
    return Certificate(lower_bound=lower, gap=gaps, optimal=optimal, which=which)


def prove_quickly(problem: Problem, schedule: Schedule, objective: Objective) -> Certificate:
    """What is known without an index of the problem: little, but of 100,000 tasks within half a second."""
    lower, which = _of_relaxations(quick_bounds(problem))
    gaps = _gaps(score(problem, schedule), lower)
    return Certificate(lower_bound=lower, gap=gaps, optimal=_closed(gaps, objective), which=which)


def _of_relaxations(bounds: Bounds) -> tuple[dict[str, float], dict[str, str]]:
    lower = {"makespan": bounds.makespan, "mean_flow": bounds.mean_flow}
    return lower, {figure.value: bounds.which.get(figure, "nothing to do") for figure in _FIGURES}


def _gaps(found: Score, lower: Mapping[str, float]) -> dict[str, float | None]:
    return {name: _gap(getattr(found, name), bound) for name, bound in lower.items()}


def _gap(found: float, bound: float) -> float | None:
    if bound > 0:
        return max(0.0, found / bound - 1.0)
    return None if found > 0 else 0.0


def _closed(gaps: Mapping[str, float | None], objective: Objective) -> bool:
    judged = _FIGURES if objective is Objective.BALANCED else (objective,)
    return all(gap is not None and gap <= CLOSED for gap in (gaps[figure] for figure in judged))


def _search(instance: Instance, bounds: Bounds, objective: Objective, *, seconds: float) -> Proof:
    reference = Score(bounds.makespan, bounds.mean_flow)
    return Exact(seconds=seconds).prove(instance.problem, objective, reference=reference)
