"""Submissions: how they get in, how they are found. Writer of these rows: api (the recorder moves their state)."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import Connection, RowMapping, bindparam, text
from sqlalchemy.dialects.postgresql import JSONB

from nodewise.core.db.engine import note_move
from nodewise.core.db.queries.moves import THE_RUN
from nodewise.core.db.queries.new_tasks import insert_tasks
from nodewise.core.db.queries.specs import insert_spec
from nodewise.core.errors import Conflict
from nodewise.core.lifecycle import RunState, TaskState
from nodewise.core.model.birth import NewTask
from nodewise.core.model.ids import RunId, ScheduleId


@dataclass(frozen=True, slots=True, kw_only=True)
class NewRun:
    """Everything that one submission writes. `tasks` are in topological order; `settled`: all that can move yet has moved."""

    id: RunId
    name: str
    pipeline_name: str
    spec_digest: str
    ir: Mapping[str, object]
    platforms: Mapping[str, object]
    parameters: Mapping[str, object]
    tasks: Sequence[NewTask]
    team: str
    priority: int
    deadline: datetime | None
    policy: str
    strategy: str
    request_digest: str
    submitted_at: datetime
    labels: Mapping[str, str] = field(default_factory=dict)
    idempotency_key: str | None = None
    engine: str = "agents"
    caching: bool = True
    settled: bool = True
    schedule_id: ScheduleId | None = None
    scheduled_for: datetime | None = None
    retry_of: RunId | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownSubmission:
    """The run that an idempotency key already stands for."""

    run_id: RunId
    request_digest: str


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


# A concurrent insert of the same key or time makes this one wait for the other's end, so one of them always wins.
_INSERT_RUN = text("""
WITH born AS (
INSERT INTO runs (id, name, pipeline_name, spec_digest, parameters, labels, team, priority, deadline, policy,
                  strategy, engine, caching, idempotency_key, request_digest, submitted_at, settled_at, state,
                  schedule_id, scheduled_for, retry_of)
VALUES (:id, :name, :pipeline_name, :spec_digest, :parameters, :labels, :team, :priority, :deadline, :policy,
        :strategy, :engine, :caching, :idempotency_key, :request_digest, :submitted_at, :settled_at, 'PENDING',
        CAST(:schedule_id AS uuid), CAST(:scheduled_for AS timestamptz), CAST(:retry_of AS uuid))
ON CONFLICT DO NOTHING
RETURNING id, submitted_at, state
)
INSERT INTO events (at, run_id, path, event, to_state, service)
SELECT submitted_at, id, NULL, 'submit', state, 'api' FROM born
RETURNING run_id
""").bindparams(bindparam("parameters", type_=JSONB), bindparam("labels", type_=JSONB))

_KNOWN = text("SELECT id, request_digest FROM runs WHERE team = :team AND idempotency_key = :key")

_KNOWN_TIME = text("""
SELECT id, request_digest FROM runs WHERE schedule_id = CAST(:schedule_id AS uuid) AND scheduled_for = :scheduled_for
""")

_COLUMNS = """
SELECT id, name, pipeline_name AS pipeline, state, team, priority, deadline, policy, strategy, parameters, labels, engine, caching, outputs,
       schedule_id, scheduled_for, retry_of, submitted_at, scheduled_at, started_at, finished_at, cancel_requested_at, archived_at, error
"""
_COUNTED = """, (
    SELECT jsonb_object_agg(state, tasks)
    FROM (SELECT state, count(*) AS tasks FROM tasks WHERE run_id = :run_id GROUP BY state) AS c
) AS task_counts
FROM runs WHERE id = :run_id AND (CAST(:team AS text) IS NULL OR team = :team)
"""
_BY_ID = text(_COLUMNS + _COUNTED)
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
_PAGE = text(_COLUMNS + "FROM runs WHERE true" + _REST_OF_PAGE).bindparams(_LABELS)
_PAGE_OF_TEAM = text(_COLUMNS + "FROM runs WHERE team = :team" + _REST_OF_PAGE).bindparams(_LABELS)

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


def insert_run(connection: Connection, run: NewRun) -> KnownSubmission | None:
    """Write the run, its pipeline, its tasks and their first events.

    Returns:
        None, or the run that the idempotency key already stands for, or that its time of its schedule already has; then
        nothing was written.
    """
    insert_spec(connection, run.spec_digest, run.ir, run.platforms)
    if connection.execute(_INSERT_RUN, _run_values(run)).first() is None:
        return _must_know(connection, run)
    insert_tasks(connection, run.id, run.tasks, first=0, at=run.submitted_at, service="api")
    note_move(connection, run.id, THE_RUN, RunState.PENDING)
    return None


def known_submission(connection: Connection, team: str, key: str) -> KnownSubmission | None:
    """The run of that team that was submitted under that idempotency key."""
    row = connection.execute(_KNOWN, {"team": team, "key": key}).first()
    return KnownSubmission(run_id=RunId(str(row[0])), request_digest=row[1]) if row else None


def _must_know(connection: Connection, run: NewRun) -> KnownSubmission:
    known = known_submission(connection, run.team, run.idempotency_key or "") or _of_time(connection, run)
    if known is None:
        raise Conflict(
            "the run of this idempotency key vanished while the request was handled; send it again"
        )
    return known


def _of_time(connection: Connection, run: NewRun) -> KnownSubmission | None:
    time = {"schedule_id": run.schedule_id, "scheduled_for": run.scheduled_for}
    row = connection.execute(_KNOWN_TIME, time).first()
    return KnownSubmission(run_id=RunId(str(row[0])), request_digest=row[1]) if row else None


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


def _run_values(run: NewRun) -> dict[str, object]:
    return {
        "id": run.id,
        "name": run.name,
        "pipeline_name": run.pipeline_name,
        "spec_digest": run.spec_digest,
        "parameters": dict(run.parameters),
        "labels": dict(run.labels),
        "team": run.team,
        "priority": run.priority,
        "deadline": run.deadline,
        "policy": run.policy,
        "strategy": run.strategy,
        "idempotency_key": run.idempotency_key,
        "request_digest": run.request_digest,
        "submitted_at": run.submitted_at,
        "engine": run.engine,
        "caching": run.caching,
        "settled_at": run.submitted_at if run.settled else None,
        "schedule_id": run.schedule_id,
        "scheduled_for": run.scheduled_for,
        "retry_of": run.retry_of,
    }
