"""A forecast as the API shows it."""

from nodewise.api.forecasting.forecast import STAND_IN, Forecast, TaskForecast
from nodewise.api.forecasting.question import Question
from nodewise.planning.stages import JOINT_POLICY


def plan_view(found: Forecast, asked: Question) -> dict[str, object]:
    """The answer to a question."""
    whole = bool(found.tasks) and not found.unplannable
    tasks, proof = found.tasks, found.proof
    return {
        "objective": asked.rules.objective,
        "policy": asked.run.policy,
        "strategy": asked.run.strategy,
        "planned_at": asked.cluster.taken_at,
        "basis": _basis(asked, found.failure),
        "tasks": [_task_view(task) for task in tasks],
        "start": min((task.outlook.start for task in tasks), default=None),
        "finish": max(task.outlook.end for task in tasks) if whole else None,
        "finish_low": max(task.outlook.end_low for task in tasks) if whole else None,
        "finish_high": max(task.outlook.end_high for task in tasks) if whole else None,
        "makespan_seconds": proof and round(proof.makespan_seconds, 3),
        "lower_bound_seconds": proof and round(proof.lower_bound_seconds, 3),
        "gap": proof and proof.gap,
        "optimal": proof is not None and proof.optimal,
        "unplannable": [{"path": path, "reason": reason} for path, reason in found.unplannable.items()],
        "queue": {"tasks_before": found.tasks_before, "tasks_running": found.tasks_running},
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
    look, believed = task.outlook, task.prediction
    return {
        "path": task.planned.ref.path,
        "node": task.planned.node,
        "start": look.start,
        "start_low": look.start_low,
        "start_high": look.start_high,
        "finish": look.end,
        "finish_low": look.end_low,
        "finish_high": look.end_high,
        "run_seconds": round(believed.median_seconds, 3),
        "run_low": round(believed.low, 3),
        "run_high": round(believed.high, 3),
        "waits_for": list(task.why.waits_for),
        "reason": task.why.text,
        "prediction_basis": believed.basis,
    }
