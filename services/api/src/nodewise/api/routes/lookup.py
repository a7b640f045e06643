"""What several endpoints look up first."""

import uuid
from typing import Annotated

from fastapi import Depends
from sqlalchemy import Connection

from nodewise.api.auth.caller import Caller
from nodewise.api.problems import not_found
from nodewise.api.views import run_view
from nodewise.core.db.queries.runs import run_by_id
from nodewise.core.lifecycle import TaskState
from nodewise.core.model.ids import RunId, ScheduleId


def _run_id(run_id: str) -> RunId:
    try:
        return RunId(str(uuid.UUID(run_id)))
    except ValueError:
        raise not_found("run", run_id[:100]) from None


RunIdPath = Annotated[RunId, Depends(_run_id)]
"""The type of an endpoint's `run_id`: what is no UUID names no run (404)."""


def _schedule_id(schedule_id: str) -> ScheduleId:
    try:
        return ScheduleId(str(uuid.UUID(schedule_id)))
    except ValueError:
        raise not_found("schedule", schedule_id[:100]) from None


ScheduleIdPath = Annotated[ScheduleId, Depends(_schedule_id)]
"""The same of schedules."""


def run_of(connection: Connection, run_id: RunId, caller: Caller) -> dict[str, object]:
    """The run as the API shows it.

    Raises:
        Problem: 404, there is none that the caller may know of.
    """
    row = run_by_id(connection, run_id, team=caller.only_team)
    if row is None:
        raise not_found("run", run_id)
    return run_view(row, {TaskState(state): count for state, count in (row["task_counts"] or {}).items()})
