"""What a plan is worth: the lower, the better."""

from collections.abc import Sequence
from dataclasses import dataclass

from nodewise.core.model.problem import Objective, Problem, Schedule
from nodewise.planning.instance import Instance


@dataclass(frozen=True, slots=True)
class Score:
    """Seconds from the first submission to the last end, and mean over pipelines from submission to last end."""

    makespan: float
    mean_flow: float


def score(problem: Problem, schedule: Schedule) -> Score:
    """The score of a schedule; O(tasks). A pipeline without tasks does not count."""
    last: dict[str, float] = {}
    for task_id, assignment in schedule.assignments.items():
        last[task_id.pipeline] = max(last.get(task_id.pipeline, assignment.end), assignment.end)
    submitted = {p.name: p.submitted_at for p in problem.pipelines if p.tasks}
    return _score(list(submitted.values()), [last[name] for name in submitted])


def score_ends(instance: Instance, ends: Sequence[float]) -> Score:
    """The same of the ends by task index."""
    pipelines = instance.problem.pipelines
    last = [float("-inf")] * len(pipelines)
    for pipeline, end in zip(instance.pipeline_of, ends, strict=True):
        if end > last[pipeline]:  # noqa: PLR1730 - twice as fast as max(), and this is an inner loop
            last[pipeline] = end
    used = [k for k, p in enumerate(pipelines) if p.tasks]
    return _score([pipelines[k].submitted_at for k in used], [last[k] for k in used])


def _score(submitted: Sequence[float], last: Sequence[float]) -> Score:
    if not last:
        return Score(0.0, 0.0)
    return Score(max(last) - min(submitted), (sum(last) - sum(submitted)) / len(last))


def value(result: Score, objective: Objective, *, best: Score) -> float:
    """One number for an objective; `best` holds the best known makespan and the best known mean flow.

    `BALANCED` is the larger of the two ratios to the best known, so a plan of value 1.15 is at most 15 % off in both at
    once; that is what is promised, and a mean would let one pay for the other. A hundredth of their sum breaks the ties.
    """
    if objective is Objective.MAKESPAN:
        return result.makespan
    if objective is Objective.MEAN_FLOW:
        return result.mean_flow
    ratios = (_ratio(result.makespan, best.makespan), _ratio(result.mean_flow, best.mean_flow))
    return max(ratios) + 0.01 * sum(ratios)


def _ratio(found: float, best: float) -> float:
    return found / best if best > 0 else 1.0 + found
