"""Submissions: how they get in. Writer of these rows: api (the recorder moves their state).

One statement writes all that submissions are: pipelines, runs, their first tasks and all first events. Each statement is a round
trip, and what a gateway can take a second is bounded by them (`python -m bench.stack submitting`).
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import Connection, RowMapping, text

from nodewise.core.db.engine import note_move
from nodewise.core.db.queries.moves import THE_RUN
from nodewise.core.db.queries.new_tasks import INSERT_TASKS, rows_of
from nodewise.core.db.queries.runs import RUN_COLUMNS
from nodewise.core.db.queries.specs import INSERT_SPECS
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
    traceparent: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownSubmission:
    """The run that an idempotency key already stands for."""

    run_id: RunId
    request_digest: str


# A concurrent insert of the same key or time makes this one wait for the other's end, so one of them always wins. Always in the same
# order: two writers of the same two keys do not wait for each other.
_INSERT_RUNS = """,
given AS (
SELECT * FROM jsonb_to_recordset(CAST(:runs AS jsonb)) AS v(
    id uuid, name text, pipeline_name text, spec_digest text, parameters jsonb, labels jsonb, team text, priority int,
    deadline timestamptz, policy text, strategy text, engine text, caching bool, idempotency_key text, request_digest text,
    submitted_at timestamptz, settled_at timestamptz, schedule_id uuid, scheduled_for timestamptz, retry_of uuid,
    traceparent text)
),
born AS (
INSERT INTO runs (id, name, pipeline_name, spec_digest, parameters, labels, team, priority, deadline, policy,
                  strategy, engine, caching, idempotency_key, request_digest, submitted_at, settled_at, state,
                  schedule_id, scheduled_for, retry_of, traceparent)
SELECT id, name, pipeline_name, spec_digest, parameters, labels, team, priority, deadline, policy,
       strategy, engine, caching, idempotency_key, request_digest, submitted_at, settled_at, 'PENDING',
       schedule_id, scheduled_for, retry_of, traceparent
FROM given ORDER BY team, idempotency_key, schedule_id, scheduled_for
ON CONFLICT DO NOTHING
RETURNING *
),
tasks_born AS (
"""
_INSERT_EVENTS = """
WHERE run_id IN (SELECT id FROM born) RETURNING run_id, path, ordinal, state, reason_code, reason
),
told AS (
INSERT INTO events (at, run_id, path, event, to_state, service, reason_code, reason)
SELECT born.submitted_at, run_id, path, 'submit', one.state, 'api', reason_code, reason
FROM (
    SELECT id AS run_id, NULL AS path, -1 AS ordinal, state, NULL AS reason_code, NULL AS reason FROM born
    UNION ALL SELECT run_id, path, ordinal, state, reason_code, reason FROM tasks_born
) AS one JOIN born ON born.id = one.run_id ORDER BY run_id, ordinal
)
"""
_INSERT = text(
    "WITH " + INSERT_SPECS + _INSERT_RUNS + INSERT_TASKS + _INSERT_EVENTS + RUN_COLUMNS + "FROM born"
)

_KNOWN = text("SELECT id, request_digest FROM runs WHERE team = :team AND idempotency_key = :key")

_KNOWN_TIME = text("""
SELECT id, request_digest FROM runs WHERE schedule_id = CAST(:schedule_id AS uuid) AND scheduled_for = :scheduled_for
""")


@dataclass(frozen=True, slots=True, kw_only=True)
class EncodedRun:
    """A run as it is sent to the database: JSON of its pipeline, its row, and the rows of its tasks with commas between."""

    run: NewRun
    spec: str
    row: str
    tasks: str

    @property
    def size(self) -> int:
        """Characters."""
        return len(self.spec) + len(self.row) + len(self.tasks)


def encoded(run: NewRun) -> EncodedRun:
    """The run, ready to be written."""
    tasks = rows_of(run.id, run.tasks, first=0, at=run.submitted_at)
    return EncodedRun(
        run=run,
        spec=json.dumps({"digest": run.spec_digest, "ir": run.ir, "platforms": run.platforms}),
        row=json.dumps(_row(run)),
        tasks=json.dumps(tasks)[1:-1],
    )


def insert_runs(connection: Connection, runs: Sequence[EncodedRun]) -> Mapping[RunId, RowMapping]:
    """Write runs, their pipelines, their tasks and all their first events.

    Returns:
        Each run as it stands there now, with the columns of `runs.run_by_id`, but its tasks are not counted. One is missing where its
        idempotency key, or its time of its schedule, already stands for another run (`standing_for`): nothing of it was written.
    """
    specs = {one.run.spec_digest: one.spec for one in runs}
    values = {
        "specs": _list(specs.values()),
        "runs": _list(one.row for one in runs),
        "tasks": _list(one.tasks for one in runs if one.tasks),
    }
    found = connection.execute(_INSERT, values)
    rows = {RunId(str(row["id"])): row for row in found.mappings()}
    for run_id in rows:
        note_move(connection, run_id, THE_RUN, RunState.PENDING)
    return rows


def insert_run(connection: Connection, run: NewRun) -> RowMapping | KnownSubmission:
    """The same of one run; or the run that its key or time already stands for."""
    row = insert_runs(connection, [encoded(run)]).get(run.id)
    return standing_for(connection, run) if row is None else row


def known_submission(connection: Connection, team: str, key: str) -> KnownSubmission | None:
    """The run of that team that was submitted under that idempotency key."""
    row = connection.execute(_KNOWN, {"team": team, "key": key}).first()
    return KnownSubmission(run_id=RunId(str(row[0])), request_digest=row[1]) if row else None


def standing_for(connection: Connection, run: NewRun) -> KnownSubmission:
    """The run that the idempotency key of this one, or its time of its schedule, stands for.

    Raises:
        Conflict: There is none any more.
    """
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


def _list(items: Iterable[str]) -> str:
    """A JSON list of items that are JSON."""
    return f"[{','.join(items)}]"


def _row(run: NewRun) -> dict[str, object]:
    return {
        "id": run.id,
        "name": run.name,
        "pipeline_name": run.pipeline_name,
        "spec_digest": run.spec_digest,
        "parameters": run.parameters,
        "labels": run.labels,
        "team": run.team,
        "priority": run.priority,
        "deadline": _time(run.deadline),
        "policy": run.policy,
        "strategy": run.strategy,
        "idempotency_key": run.idempotency_key,
        "request_digest": run.request_digest,
        "submitted_at": _time(run.submitted_at),
        "engine": run.engine,
        "caching": run.caching,
        "settled_at": _time(run.submitted_at if run.settled else None),
        "schedule_id": run.schedule_id,
        "scheduled_for": _time(run.scheduled_for),
        "retry_of": run.retry_of,
        "traceparent": run.traceparent,
    }


def _time(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat()
