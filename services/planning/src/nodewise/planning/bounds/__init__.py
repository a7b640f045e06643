"""Lower bounds: what no schedule can beat, so that a plan can say how far from the best it is at most.

Every bound is the optimum of a relaxation: something that each schedule satisfies is left out, and the rest is solved
exactly or from below. None of them dominates the others, so the largest counts.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from nodewise.core.model.problem import Objective, Problem
from nodewise.planning.bounds.area import area, intervals
from nodewise.planning.bounds.flow import flows
from nodewise.planning.bounds.paths import relax
from nodewise.planning.bounds.quick import quick
from nodewise.planning.instance import Instance, index
from nodewise.planning.list_scheduling import OutOfTime

_RELATIVE_MARGIN = 1e-9
_THOROUGH = 4000
"""Tasks x nodes up to which the intervals and the linear relaxation are solved (a second or so)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """No schedule has a smaller makespan (first submission to last end) or mean flow (submission to end) than these.

    Each is lowered by 1e-9 of itself, and by what rounding may do to times of this size, so a bound is never above the
    optimum by an error of floating point. `which` names the relaxation that gave it; `tried` has all that were solved.
    """

    makespan: float
    mean_flow: float
    which: Mapping[Objective, str]
    tried: Mapping[Objective, Mapping[str, float]]


def lower_bounds(problem: Problem, *, thorough: bool | None = None) -> Bounds:
    """The best bounds known here.

    Args:
        problem: The nodes it has stay as they are, and nothing but its pipelines comes.
        thorough: Also solve the intervals and the linear relaxation (None: up to 4,000 tasks x nodes).

    Raises:
        Unplannable: Some task that is not fixed can run on no node.
    """
    return bounds_of(index(problem), thorough=thorough)


def bounds_of(
    instance: Instance,
    *,
    thorough: bool | None = None,
    sparing: bool = False,
    out_of_time: Callable[[], bool] = lambda: False,
) -> Bounds:
    """The same of an indexed problem.

    Args:
        instance: The problem.
        thorough: See `lower_bounds`.
        sparing: Without what the linear relaxation is never worse than, where it is solved.
        out_of_time: Asked now and then. The critical paths come first; where not even these are there in time, `quick_bounds` are.
    """
    try:
        relaxed = relax(instance, out_of_time)
    except OutOfTime:
        return quick_bounds(instance.problem)
    first = float(np.where(np.isfinite(relaxed.run), relaxed.heads, np.inf).min(initial=np.inf))
    busy = None if out_of_time() else area(relaxed, start=first, out_of_time=out_of_time)
    makespans = {"critical path": relaxed.least, "area": first + busy.seconds if busy else 0.0}
    solves = relaxed.run.size <= _THOROUGH if thorough is None else thorough
    if solves and len(relaxed.run) and not out_of_time():
        # Loading scipy takes a quarter of a second: only who solves pays for it.
        from nodewise.planning.bounds.linear import linear  # noqa: PLC0415

        makespans["linear relaxation"] = linear(relaxed)
        # Each interval's sum is one of its rows, or follows from some. Without prices it says no more than the paths.
        if not sparing or makespans["linear relaxation"] <= max(relaxed.least, makespans["area"]):
            makespans["interval"] = intervals(relaxed)
    tried = {Objective.MAKESPAN: makespans, Objective.MEAN_FLOW: flows(relaxed, busy, out_of_time)}
    return _best(tried, instance.problem)


def quick_bounds(problem: Problem) -> Bounds:
    """What can be said without an index; weaker than `bounds_of`, mostly, and ten times as quick."""
    return _best(quick(problem), problem)


def _best(tried: Mapping[Objective, Mapping[str, float]], problem: Problem) -> Bounds:
    which = {what: max(found, key=found.__getitem__) for what, found in tried.items() if found}
    best = {what: tried[what][name] for what, name in which.items()}
    return Bounds(
        makespan=_safe(best.get(Objective.MAKESPAN, 0.0), problem),
        mean_flow=_safe(best.get(Objective.MEAN_FLOW, 0.0), problem),
        which=which,
        tried=tried,
    )


def _safe(bound: float, problem: Problem) -> float:
    """Less by the errors of at most as many additions as there are tasks, at the size of the times themselves."""
    tasks = sum(len(pipeline.tasks) for pipeline in problem.pipelines)
    times = [problem.now, *(p.submitted_at for p in problem.pipelines)]
    error = 2.0**-52 * max(map(abs, times)) * (1 + tasks)
    return max(0.0, bound * (1.0 - _RELATIVE_MARGIN) - error)
