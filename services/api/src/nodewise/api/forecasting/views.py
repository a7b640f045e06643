"""A forecast as the API shows it."""

from nodewise.api.forecasting.forecast import STAND_IN, Forecast, TaskForecast
from nodewise.api.forecasting.question import Question
from nodewise.api.queue_part import part_view
from nodewise.planning.stages import JOINT_POLICY

_LEFT_OUT = "they are not in this plan, and those of them that come before it delay it"


def plan_view(found: Forecast, asked: Question) -> dict[str, object]:
    """The answer to a question."""
    tasks, proof = found.tasks, found.proof
    last_end = None if found.unplannable or found.outlook is None else found.outlook.end
    return {
        "objective": asked.rules.objective,
        "policy": asked.run.policy,
        "strategy": asked.run.strategy,
        "planned_at": asked.cluster.taken_at,
        "basis": _basis(asked, found.failure),
        "tasks": [_task_view(task) for task in tasks],
        "start": min((task.planned.start for task in tasks), default=None),
        "finish": last_end and max(task.planned.end for task in tasks),
        "finish_low": last_end and last_end.low,
        "finish_high": last_end and last_end.high,
        "makespan_seconds": proof and round(proof.makespan_seconds, 3),
        "lower_bound_seconds": proof and round(proof.lower_bound_seconds, 3),
        "gap": proof and proof.gap,
        "optimal": proof is not None and proof.optimal,
        "unplannable": [{"path": path, "reason": reason} for path, reason in found.unplannable.items()],
        "queue": {
            "tasks_before": found.tasks_before,
            "tasks_running": found.tasks_running,
            "left_out": asked.beyond and part_view(asked.beyond, _LEFT_OUT),
        },
    }


def _basis(asked: Question, failure: str | None) -> str:
    policy, strategy = asked.run.policy, asked.run.strategy
    order = "together with the other runs" if policy == JOINT_POLICY else f"in the order of {policy}"
    if failure is not None:
        return f"{STAND_IN}: {failure}; each task is planned where it ends first, {order}"
    if strategy in asked.rules.planners:
        return f"{strategy}: {order}"
    return (
        f"{STAND_IN}: {strategy} decides task by task, so each task is planned where it ends first, {order}"
    )


def _task_view(task: TaskForecast) -> dict[str, object]:
    planned, believed = task.planned, task.prediction
    start, end = task.outlook.start, task.outlook.end
    return {
        "path": planned.ref.path,
        "node": planned.node,
        "start": planned.start,
        "start_low": start.low,
        "start_high": start.high,
        "finish": planned.end,
        "finish_low": end.low,
        "finish_high": end.high,
        "run_seconds": round(believed.median_seconds, 3),
        "run_low": round(believed.low, 3),
        "run_high": round(believed.high, 3),
        "waits_for": list(task.why.waits_for),
        "reason": task.why.text,
        "prediction_basis": believed.basis,
    }
