"""The rows that an audit reads, a bounded number at a time. Reads only."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection, Row, text

from nodewise.core.audit import (
    AttemptRecord,
    BookingRecord,
    EventRecord,
    RoomRecord,
    RunRecord,
    TaskRecord,
)
from nodewise.core.lifecycle import AttemptState, RunState, TaskState
from nodewise.core.model.engines import KUBEFLOW
from nodewise.core.model.ids import NodeName, RunId, TaskPath
from nodewise.core.model.resources import Resources

_ROWS_AT_A_TIME: Final = 5000

_RUNS = text("""
SELECT r.id, r.submitted_at, (SELECT count(*) FROM tasks AS t WHERE t.run_id = r.id) AS tasks
FROM runs AS r
WHERE r.submitted_at >= :since
  AND (CAST(:after_at AS timestamptz) IS NULL OR (r.submitted_at, r.id) > (:after_at, CAST(:after_id AS uuid)))
ORDER BY r.submitted_at, r.id
LIMIT :limit
""")

_OF_RUNS = "= ANY(CAST(:run_ids AS uuid[]))"

_HEADS = text(f"""
SELECT id, state, engine, settled_at IS NOT NULL AS settled FROM runs WHERE id {_OF_RUNS} ORDER BY submitted_at, id
""")  # noqa: S608 - constants

_TASKS = text(f"""
SELECT run_id, path, state, attempt, upstream, finished_at, outputs IS NOT NULL AS has_outputs
FROM tasks WHERE run_id {_OF_RUNS} ORDER BY run_id, ordinal, path
""")  # noqa: S608 - constants

_BOOKING_COLUMNS = "b.node AS booked_on, b.millicores, b.memory_mib, b.gpus, b.booked_at, b.released_at"

_ATTEMPTS = text(f"""
SELECT a.run_id, a.path, a.attempt, a.node, a.state, a.started_at, a.finished_at, {_BOOKING_COLUMNS}
FROM attempts AS a LEFT JOIN bookings AS b USING (run_id, path, attempt)
WHERE a.run_id {_OF_RUNS} ORDER BY a.run_id, a.path, a.attempt
""")  # noqa: S608 - constants

_EVENTS = text(f"""
SELECT id, at, run_id, path, attempt, event, from_state, to_state, service
FROM events WHERE run_id {_OF_RUNS} ORDER BY id
""")  # noqa: S608 - constants

_ROOMS = text("""
SELECT node, capacity_millicores, capacity_memory_mib, capacity_gpus,
       booked_millicores, booked_memory_mib, booked_gpus, running_tasks
FROM node_loads ORDER BY node
""")

_BOOKINGS = text(f"""
SELECT b.run_id, b.path, b.attempt, {_BOOKING_COLUMNS} FROM bookings AS b
WHERE b.released_at IS NULL OR b.released_at > :since
ORDER BY b.booked_at, b.released_at
""")  # noqa: S608 - constants

_OPEN = text(f"""
SELECT b.run_id, b.path, b.attempt, {_BOOKING_COLUMNS} FROM bookings AS b WHERE b.released_at IS NULL
""")  # noqa: S608 - constants


@dataclass(frozen=True, slots=True, kw_only=True)
class RunToAudit:
    """A run, its place in the order of submissions, and how many tasks it has: what reading it will cost."""

    id: RunId
    submitted_at: datetime
    tasks: int


def runs_to_audit(
    connection: Connection, *, since: datetime, after: tuple[datetime, RunId] | None, limit: int
) -> Sequence[RunToAudit]:
    """The runs submitted from `since` on, oldest first, behind that place (time, id)."""
    after_at, after_id = after or (None, None)
    rows = connection.execute(
        _RUNS, {"since": since, "after_at": after_at, "after_id": after_id, "limit": limit}
    )
    return [RunToAudit(id=RunId(str(row.id)), submitted_at=row.submitted_at, tasks=row.tasks) for row in rows]


def run_records(connection: Connection, run_ids: Sequence[RunId]) -> Sequence[RunRecord]:
    """These runs with their tasks, attempts and events. Four queries, and memory for all that they return."""
    wanted = {"run_ids": list(run_ids)}
    tasks = _by_run(connection.execute(_TASKS, wanted).all())
    attempts = _by_run(connection.execute(_ATTEMPTS, wanted).all())
    events = _by_run(connection.execute(_EVENTS, wanted).all())
    return [
        RunRecord(
            id=RunId(str(row.id)),
            state=RunState(row.state),
            bound_early=row.engine == KUBEFLOW,
            settled=row.settled,
            tasks=tuple(_task(found) for found in tasks.get(str(row.id), ())),
            attempts=tuple(_attempt(found) for found in attempts.get(str(row.id), ())),
            events=tuple(_event(found) for found in events.get(str(row.id), ())),
        )
        for row in connection.execute(_HEADS, wanted)
    ]


def rooms(connection: Connection) -> Sequence[RoomRecord]:
    """Capacity and sums of every node."""
    return [
        RoomRecord(
            node=NodeName(row.node),
            capacity=Resources(
                millicores=row.capacity_millicores,
                memory_mib=row.capacity_memory_mib,
                gpus=row.capacity_gpus,
            ),
            booked=Resources(
                millicores=row.booked_millicores, memory_mib=row.booked_memory_mib, gpus=row.booked_gpus
            ),
            running_tasks=row.running_tasks,
        )
        for row in connection.execute(_ROOMS)
    ]


def bookings_by_time(connection: Connection, *, since: datetime) -> Iterator[BookingRecord]:
    """What was held at some instant after `since`, in the order of booking; streamed, a bounded number of rows in memory."""
    with connection.execution_options(yield_per=_ROWS_AT_A_TIME).execute(_BOOKINGS, {"since": since}) as rows:
        for row in rows:
            yield _booking(row)


def open_bookings(connection: Connection) -> Sequence[BookingRecord]:
    """What is held now: no more than fits on the nodes."""
    return [_booking(row) for row in connection.execute(_OPEN)]


def _by_run(rows: Sequence[Row[Any]]) -> Mapping[str, list[Row[Any]]]:
    found: dict[str, list[Row[Any]]] = {}
    for row in rows:
        found.setdefault(str(row.run_id), []).append(row)
    return found


def _task(row: Row[Any]) -> TaskRecord:
    return TaskRecord(
        path=TaskPath(row.path),
        state=TaskState(row.state),
        attempt=row.attempt,
        upstream=tuple(TaskPath(path) for path in row.upstream),
        finished_at=row.finished_at,
        has_outputs=row.has_outputs,
    )


def _attempt(row: Row[Any]) -> AttemptRecord:
    return AttemptRecord(
        path=TaskPath(row.path),
        attempt=row.attempt,
        node=NodeName(row.node),
        state=AttemptState(row.state),
        started_at=row.started_at,
        finished_at=row.finished_at,
        booking=None if row.booked_at is None else _booking(row),
    )


def _booking(row: Row[Any]) -> BookingRecord:
    return BookingRecord(
        run_id=RunId(str(row.run_id)),
        path=TaskPath(row.path),
        attempt=row.attempt,
        node=NodeName(row.booked_on),
        resources=Resources(millicores=row.millicores, memory_mib=row.memory_mib, gpus=row.gpus),
        booked_at=row.booked_at,
        released_at=row.released_at,
    )


def _event(row: Row[Any]) -> EventRecord:
    return EventRecord(
        id=row.id,
        at=row.at,
        path=None if row.path is None else TaskPath(row.path),
        attempt=row.attempt,
        event=row.event,
        from_state=row.from_state,
        to_state=row.to_state,
        service=row.service,
    )
