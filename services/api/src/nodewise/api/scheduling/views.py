"""Rows of schedules as the API shows them. Pure."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from nodewise.core.db.queries.schedules import schedule_of
from nodewise.core.errors import InvalidTrigger

_SHOWN = 5


def schedule_view(row: Mapping[Any, Any]) -> dict[str, object]:
    """A schedule."""
    return {
        **row,
        "id": str(row["id"]),
        "pipeline": row["pipeline_name"],
        "run": row["request"],
        "active_runs": row["active"],
    }


def schedule_detail(row: Mapping[Any, Any]) -> dict[str, object]:
    """A schedule with its next times."""
    return {**schedule_view(row), "upcoming": _upcoming(row)}


def _upcoming(row: Mapping[Any, Any]) -> list[datetime]:
    if row["next_at"] is None:
        return []
    try:
        times = schedule_of(row).timetable
    except InvalidTrigger:
        return [row["next_at"]]
    return [row["next_at"], *times.upcoming(row["next_at"], _SHOWN - 1)]
