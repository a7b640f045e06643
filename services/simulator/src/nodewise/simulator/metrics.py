"""What a schedule is worth, and how far it can be from the best one."""

from collections.abc import Mapping
from dataclasses import dataclass

from nodewise.core.model.problem import Objective, Problem
from nodewise.planning import bounds
from nodewise.simulator.scenario import Outcome


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """Means and lengths in seconds.

    `makespan`: from the first submission to the last end; `mean_flow`: from a pipeline's submission to its last end;
    `mean_wait`: from ready to start, per task.
    """

    makespan: float
    mean_flow: float
    mean_wait: float


def figures(problem: Problem, outcome: Outcome) -> Figures:
    """The figures of what happened; all 0 where there was nothing to do. O(tasks)."""
    assignments = outcome.assignments
    if not assignments:
        return Figures(makespan=0.0, mean_flow=0.0, mean_wait=0.0)
    last: dict[str, float] = {}
    for name, done in assignments.items():
        last[name.pipeline] = max(done.end, last.get(name.pipeline, done.end))
    flows = [last[pipeline.name] - pipeline.submitted_at for pipeline in problem.pipelines]
    waits = [done.start - outcome.ready_at[name] for name, done in assignments.items()]
    return Figures(
        makespan=max(last.values()) - min(pipeline.submitted_at for pipeline in problem.pipelines),
        mean_flow=sum(flows) / len(flows),
        mean_wait=sum(waits) / len(waits),
    )


def lower_bounds(problem: Problem) -> dict[str, float | None]:
    """What no schedule can be below; None: nothing is known."""
    if not problem.pipelines:
        return {"makespan": 0.0, "mean_flow": 0.0}
    found = bounds.lower_bounds(problem)
    return {"makespan": found.makespan, "mean_flow": found.mean_flow}


def gaps(found: Figures, bounds: Mapping[str, float | None]) -> dict[str, float | None]:
    """By which share each figure is above its bound; None where there is no bound to speak of."""
    return {name: _gap(getattr(found, name), bound) for name, bound in bounds.items()}


def _gap(value: float, bound: float | None) -> float | None:
    if bound is None or (bound <= 0 < value):
        return None
    return max(0.0, value / bound - 1) if bound > 0 else 0.0


def is_optimal(objective: Objective, gap: Mapping[str, float | None]) -> bool:
    """Whether the bounds prove that no schedule is better; `BALANCED` wants both figures proved."""
    judged = ("makespan", "mean_flow") if objective is Objective.BALANCED else (objective.value,)
    return all(found is not None and found <= 1e-9 for found in (gap[name] for name in judged))
