"""Submissions: how they get in. Writer of these rows: api (the recorder moves their state).

One statement writes all that a submission is: its pipeline, its run, its first tasks and all their first events. Each statement is a
round trip, and what a gateway can take a second is bounded by them (`python -m bench.stack submitting`).
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import Connection, RowMapping, text

from nodewise.core.db.engine import note_move
from nodewise.core.db.queries.moves import THE_RUN
from nodewise.core.db.queries.new_tasks import INSERT_TASKS, rows_of
from nodewise.core.db.queries.runs import RUN_COLUMNS
from nodewise.core.db.queries.specs import INSERT_SPEC
from nodewise.core.errors import Conflict
from nodewise.core.lifecycle import RunState
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


# A concurrent insert of the same key or time makes this one wait for the other's end, so one of them always wins.
_INSERT_RUN = """,
born AS (
INSERT INTO runs (id, name, pipeline_name, spec_digest, parameters, labels, team, priority, deadline, policy,
                  strategy, engine, caching, idempotency_key, request_digest, submitted_at, settled_at, state,
                  schedule_id, scheduled_for, retry_of)
VALUES (:run_id, :name, :pipeline_name, :digest, CAST(:parameters AS jsonb), CAST(:labels AS jsonb), :team, :priority, :deadline,
        :policy, :strategy, :engine, :caching, :idempotency_key, :request_digest, CAST(:at AS timestamptz),
        CAST(:settled_at AS timestamptz), 'PENDING', CAST(:schedule_id AS uuid), CAST(:scheduled_for AS timestamptz),
        CAST(:retry_of AS uuid))
ON CONFLICT DO NOTHING
RETURNING *
),
tasks_born AS (
"""
_INSERT_EVENTS = """
WHERE EXISTS (SELECT FROM born) RETURNING path, ordinal, state, reason_code, reason
),
told AS (
INSERT INTO events (at, run_id, path, event, to_state, service, reason_code, reason)
SELECT CAST(:at AS timestamptz), :run_id, path, 'submit', state, 'api', reason_code, reason
FROM (
    SELECT NULL AS path, -1 AS ordinal, state, NULL AS reason_code, NULL AS reason FROM born
    UNION ALL SELECT path, ordinal, state, reason_code, reason FROM tasks_born
) AS first_events ORDER BY ordinal
)
"""
_INSERT = text(
    "WITH " + INSERT_SPEC + _INSERT_RUN + INSERT_TASKS + _INSERT_EVENTS + RUN_COLUMNS + "FROM born"
)

_KNOWN = text("SELECT id, request_digest FROM runs WHERE team = :team AND idempotency_key = :key")

_KNOWN_TIME = text("""
SELECT id, request_digest FROM runs WHERE schedule_id = CAST(:schedule_id AS uuid) AND scheduled_for = :scheduled_for
""")


def insert_run(connection: Connection, run: NewRun) -> RowMapping | KnownSubmission:
    """Write the run, its pipeline, its tasks and their first events.

    Returns:
        The run as it stands there now, with the columns of `runs.run_by_id`, but its tasks are not counted; or the run that the
        idempotency key already stands for, or that its time of its schedule already has: then nothing was written.
    """
    row = connection.execute(_INSERT, _values(run)).mappings().first()
    if row is None:
        return _must_know(connection, run)
    note_move(connection, run.id, THE_RUN, RunState.PENDING)
    return row


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


def _values(run: NewRun) -> dict[str, object]:
    return {
        "run_id": run.id,
        "name": run.name,
        "pipeline_name": run.pipeline_name,
        "digest": run.spec_digest,
        "ir": json.dumps(run.ir),
        "platforms": json.dumps(run.platforms),
        "parameters": json.dumps(run.parameters),
        "labels": json.dumps(run.labels),
        "team": run.team,
        "priority": run.priority,
        "deadline": run.deadline,
        "policy": run.policy,
        "strategy": run.strategy,
        "idempotency_key": run.idempotency_key,
        "request_digest": run.request_digest,
        "at": run.submitted_at,
        "first": 0,
        "rows": rows_of(run.tasks),
        "engine": run.engine,
        "caching": run.caching,
        "settled_at": run.submitted_at if run.settled else None,
        "schedule_id": run.schedule_id,
        "scheduled_for": run.scheduled_for,
        "retry_of": run.retry_of,
    }
