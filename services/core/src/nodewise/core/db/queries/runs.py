"""Runs: how they are found, and asked to end. How they get in: `submissions`."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from sqlalchemy import Connection, RowMapping, bindparam, text
from sqlalchemy.dialects.postgresql import JSONB

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
       schedule_id, scheduled_for, retry_of, submitted_at, scheduled_at, started_at, finished_at, cancel_requested_at, archived_at, error
"""
"""Of a run, as the API shows it."""
_COUNTED = """, (
    SELECT jsonb_object_agg(state, tasks)
    FROM (SELECT state, count(*) AS tasks FROM tasks WHERE run_id = :run_id GROUP BY state) AS c
) AS task_counts
FROM runs WHERE id = :run_id AND (CAST(:team AS text) IS NULL OR team = :team)
"""
_BY_ID = text(RUN_COLUMNS + _COUNTED)
_REST_OF_PAGE = """
  AND (CAST(:state AS text) IS NULL OR state = :state)
  AND (CAST(:schedule_id AS uuid) IS NULL OR schedule_id = CAST(:schedule_id AS uuid))
  AND labels @> :labels
  AND (archived_at IS NOT NULL) = :archived
  AND (CAST(:before_at AS timestamptz) IS NULL OR (submitted_at, id) < (:before_at, CAST(:before_id AS uuid)))
ORDER BY submitted_at DESC, id DESC LIMIT :limit
"""
_LABELS = bindparam("labels", type_=JSONB)
# Two statements, so that the index of the team is used whatever plan is kept.
_PAGE = text(RUN_COLUMNS + "FROM runs WHERE true" + _REST_OF_PAGE).bindparams(_LABELS)
_PAGE_OF_TEAM = text(RUN_COLUMNS + "FROM runs WHERE team = :team" + _REST_OF_PAGE).bindparams(_LABELS)

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
    before_at, before_id = wanted.before or (None, None)
    values = {
        "state": wanted.state and wanted.state.value,
        "team": wanted.team,
        "schedule_id": wanted.schedule_id,
        "labels": dict(wanted.labels),
        "archived": wanted.archived,
        "before_at": before_at,
        "before_id": before_id,
        "limit": limit,
    }
    statement = _PAGE if wanted.team is None else _PAGE_OF_TEAM
    return connection.execute(statement, values).mappings().all()


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
