"""Runs: how they are found, and asked to end. How they get in: `submissions`."""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from typing import Final

from sqlalchemy import Connection, RowMapping, TextClause, text

from nodewise.core.lifecycle import RunState, TaskState
from nodewise.core.model.ids import RunId, ScheduleId


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFilter:
    """Which runs a page shows. None or empty: all. `archived`: those that were put away, else those that were not.

    `before`: only those submitted before (time, id).
    """

    state: RunState | None = None
    team: str | None = None
    schedule_id: ScheduleId | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    archived: bool = False
    before: tuple[datetime, RunId] | None = None


RUN_COLUMNS: Final = """
SELECT id, name, pipeline_name AS pipeline, state, team, priority, deadline, policy, strategy, parameters, labels, engine, caching, outputs,
       schedule_id, scheduled_for, retry_of, submitted_at, scheduled_at, started_at, finished_at, cancel_requested_at, archived_at, error, traceparent
"""
"""Of a run, as the API shows it."""
_COUNTED = """, (
    SELECT jsonb_object_agg(state, tasks)
    FROM (SELECT state, count(*) AS tasks FROM tasks WHERE run_id = :run_id GROUP BY state) AS c
) AS task_counts
FROM runs WHERE id = :run_id AND (CAST(:team AS text) IS NULL OR team = :team)
"""
_BY_ID = text(RUN_COLUMNS + _COUNTED)
# A condition is there only where it is asked for, so that its index is used whatever plan is kept.
_OF_STATE = "state = :state"
_OF_ONE_TEAM = "team = :team"
_OF_SCHEDULE = "schedule_id = CAST(:schedule_id AS uuid)"
_LABELLED = "labels @> CAST(:labels AS jsonb)"
_ARCHIVED = {False: "archived_at IS NULL", True: "archived_at IS NOT NULL"}
_BEFORE = "(submitted_at, id) < (:before_at, CAST(:before_id AS uuid))"

_OF_TEAM = text("SELECT id FROM runs WHERE id = ANY(CAST(:run_ids AS uuid[])) AND team = :team")

_TASK_COUNTS = text("""
SELECT run_id, state, count(*) FROM tasks WHERE run_id = ANY(CAST(:run_ids AS uuid[])) GROUP BY run_id, state
""")

_REQUEST_CANCEL = text("""
UPDATE runs SET cancel_requested_at = coalesce(cancel_requested_at, :at)
WHERE id = :run_id AND state NOT IN ('SUCCEEDED', 'FAILED', 'CANCELED')
  AND (CAST(:team AS text) IS NULL OR team = :team)
RETURNING id
""")


def run_by_id(connection: Connection, run_id: RunId, *, team: str | None) -> RowMapping | None:
    """The run as the API shows it, `task_counts`: how many tasks are in which state (null: it has none).

    None: there is no such run, or it is not of that team (None: of any).
    """
    return connection.execute(_BY_ID, {"run_id": run_id, "team": team}).mappings().first()


def runs_page(connection: Connection, wanted: RunFilter, *, limit: int) -> Sequence[RowMapping]:
    """At most `limit` runs, newest first. Later submissions do not shift later pages."""
    values: dict[str, object] = {"limit": limit}
    conditions = [_ARCHIVED[wanted.archived]]
    if wanted.state is not None:
        conditions.append(_OF_STATE)
        values["state"] = wanted.state.value
    if wanted.team is not None:
        conditions.append(_OF_ONE_TEAM)
        values["team"] = wanted.team
    if wanted.schedule_id is not None:
        conditions.append(_OF_SCHEDULE)
        values["schedule_id"] = wanted.schedule_id
    if wanted.labels:
        conditions.append(_LABELLED)
        values["labels"] = json.dumps(dict(wanted.labels))
    if wanted.before is not None:
        conditions.append(_BEFORE)
        values["before_at"], values["before_id"] = wanted.before
    return connection.execute(_page_of(tuple(conditions)), values).mappings().all()


@cache
def _page_of(conditions: tuple[str, ...]) -> TextClause:
    where = " AND ".join(conditions)
    return text(
        RUN_COLUMNS + "FROM runs WHERE " + where + " ORDER BY submitted_at DESC, id DESC LIMIT :limit"
    )


def task_counts(
    connection: Connection, run_ids: Collection[RunId]
) -> Mapping[RunId, Mapping[TaskState, int]]:
    """How many tasks of each run are in which state; states without tasks are left out."""
    counts: dict[RunId, dict[TaskState, int]] = {run_id: {} for run_id in run_ids}
    for run_id, state, count in connection.execute(_TASK_COUNTS, {"run_ids": list(run_ids)}):
        counts[RunId(str(run_id))][TaskState(state)] = count
    return counts


def runs_of_team(connection: Connection, team: str, run_ids: Collection[RunId]) -> frozenset[RunId]:
    """Those of these runs that are that team's."""
    rows = connection.execute(_OF_TEAM, {"run_ids": list(run_ids), "team": team})
    return frozenset(RunId(str(row.id)) for row in rows)


def request_cancel(connection: Connection, run_id: RunId, *, now: datetime, team: str | None = None) -> bool:
    """Note that the run is to be cancelled; asking again changes nothing.

    False: it has ended, or there is no such run of that team (None: of any).
    """
    values = {"run_id": run_id, "at": now, "team": team}
    return connection.execute(_REQUEST_CANCEL, values).first() is not None
