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
INSERT INTO runs (id, name, pipeline_name, spec_digest, parameters, labels, team, priority, deadline, policy,
                  strategy, engine, caching, idempotency_key, request_digest, submitted_at, settled_at, state,
                  schedule_id, scheduled_for, retry_of)
VALUES (:id, :name, :pipeline_name, :spec_digest, :parameters, :labels, :team, :priority, :deadline, :policy,
        :strategy, :engine, :caching, :idempotency_key, :request_digest, :submitted_at, :settled_at, 'PENDING',
        CAST(:schedule_id AS uuid), CAST(:scheduled_for AS timestamptz), CAST(:retry_of AS uuid))
ON CONFLICT DO NOTHING
RETURNING id
""").bindparams(bindparam("parameters", type_=JSONB), bindparam("labels", type_=JSONB))

_INSERT_EVENT = text("""
INSERT INTO events (at, run_id, path, event, to_state, service, reason_code, reason)
SELECT CAST(:at AS timestamptz), r.id, NULL, 'submit', r.state, 'api', NULL, NULL FROM runs AS r WHERE r.id = :run_id
""")

_KNOWN = text("SELECT id, request_digest FROM runs WHERE team = :team AND idempotency_key = :key")

_KNOWN_TIME = text("""
SELECT id, request_digest FROM runs WHERE schedule_id = CAST(:schedule_id AS uuid) AND scheduled_for = :scheduled_for
""")

_COLUMNS = """
SELECT id, name, pipeline_name AS pipeline, state, team, priority, deadline, policy, strategy, parameters, labels, engine, caching, outputs,
       schedule_id, scheduled_for, retry_of, submitted_at, scheduled_at, started_at, finished_at, cancel_requested_at, archived_at, error
FROM runs
"""
_BY_ID = text(_COLUMNS + "WHERE id = :run_id")
_PAGE = text(
    _COLUMNS
    + """
WHERE (CAST(:state AS text) IS NULL OR state = :state)
  AND (CAST(:team AS text) IS NULL OR team = :team)
  AND (CAST(:schedule_id AS uuid) IS NULL OR schedule_id = CAST(:schedule_id AS uuid))
  AND labels @> :labels
  AND (archived_at IS NOT NULL) = :archived
  AND (CAST(:before_at AS timestamptz) IS NULL OR (submitted_at, id) < (:before_at, CAST(:before_id AS uuid)))
ORDER BY submitted_at DESC, id DESC LIMIT :limit
"""
).bindparams(bindparam("labels", type_=JSONB))

_TASK_COUNTS = text("""
SELECT run_id, state, count(*) FROM tasks WHERE run_id = ANY(CAST(:run_ids AS uuid[])) GROUP BY run_id, state
""")

_REQUEST_CANCEL = text("""
UPDATE runs SET cancel_requested_at = coalesce(cancel_requested_at, :at)
WHERE id = :run_id AND state NOT IN ('SUCCEEDED', 'FAILED', 'CANCELED')
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
    connection.execute(_INSERT_EVENT, {"run_id": run.id, "at": run.submitted_at})
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


def run_by_id(connection: Connection, run_id: RunId) -> RowMapping | None:
    """The run as the API shows it, without its tasks."""
    return connection.execute(_BY_ID, {"run_id": run_id}).mappings().first()


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
    return connection.execute(_PAGE, values).mappings().all()


def task_counts(
    connection: Connection, run_ids: Collection[RunId]
) -> Mapping[RunId, Mapping[TaskState, int]]:
    """How many tasks of each run are in which state; states without tasks are left out."""
    counts: dict[RunId, dict[TaskState, int]] = {run_id: {} for run_id in run_ids}
    for run_id, state, count in connection.execute(_TASK_COUNTS, {"run_ids": list(run_ids)}):
        counts[RunId(str(run_id))][TaskState(state)] = count
    return counts


def request_cancel(connection: Connection, run_id: RunId, *, now: datetime) -> bool:
    """Note that the run is to be cancelled; asking again changes nothing. False: no such run, or it has ended."""
    return connection.execute(_REQUEST_CANCEL, {"run_id": run_id, "at": now}).first() is not None


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
