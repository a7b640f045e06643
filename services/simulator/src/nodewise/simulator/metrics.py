"""What a schedule is worth. How far it can be from the best one says `nodewise.planning.proof`."""

from dataclasses import dataclass

from nodewise.core.model.problem import Problem
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
