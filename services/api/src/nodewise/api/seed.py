"""What the seed system answers to its client. Pure."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from pydantic import BaseModel, Field

from nodewise.api.schemas import RUN_ID, example
from nodewise.api.views import Row
from nodewise.core.lifecycle import RunState, TaskState
from nodewise.core.model.task import TaskKind


class MlopxAccepted(BaseModel):
    """The seed's answer to a submission, with what its author should know beside it."""

    model_config = example(
        status="success",
        message=f"accepted; see /v1/runs/{RUN_ID}",
        pipeline_id=RUN_ID,
        notes=["pipeline.py: not run, as it is read only: what stands in line 4"],
    )

    status: str
    message: str
    pipeline_id: str
    notes: list[str] = Field(description="What was left out of the scripts, or taken otherwise.")


class MlopxComponent(BaseModel):
    name: str
    type: TaskKind
    state: TaskState
    node: str | None
    platform: str | None
    start_time: datetime | None
    end_time: datetime | None
    duration: float | None


class MlopxPipeline(BaseModel):
    """A run in the seed's form."""

    id: str
    name: str
    kfp_id: str | None
    state: RunState
    submitted_at: datetime
    scheduled_at: datetime | None
    finished_at: datetime | None
    duration: float | None
    components: dict[str, MlopxComponent]


def pipeline_view(
    run: Mapping[str, object], tasks: Sequence[Row], *, platforms: Mapping[str, str]
) -> dict[str, object]:
    """The seed's form of a run.

    Args:
        run: as the API shows it.
        tasks: its rows.
        platforms: of the nodes, by node name.
    """
    return {
        "id": run["id"],
        "name": run["name"],
        # The seed shows KFP's id of the run; here one id is enough.
        "kfp_id": run["id"],
        "state": run["state"],
        "submitted_at": run["submitted_at"],
        "scheduled_at": run["scheduled_at"],
        "finished_at": run["finished_at"],
        "duration": _duration(run["scheduled_at"], run["finished_at"]),
        "components": {task["path"]: _component(task, platforms) for task in tasks},
    }


def _component(task: Row, platforms: Mapping[str, str]) -> dict[str, object]:
    return {
        "name": task["path"],
        "type": task["kind"],
        "state": task["state"],
        "node": task["node"],
        "platform": platforms.get(task["node"]),
        "start_time": task["started_at"],
        "end_time": task["finished_at"],
        "duration": _duration(task["started_at"], task["finished_at"]),
    }


def _duration(start: object, end: object) -> float | None:
    """Seconds, as the seed rounds them; None while they are not known."""
    if not isinstance(start, datetime) or not isinstance(end, datetime):
        return None
    return round(max(0.0, (end - start).total_seconds()), 2)
