"""What the recorder asks to move runs on: their states, what waits in them, what an interrupted recorder left."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, text

from nodewise.core.lifecycle import RunState, TaskState
from nodewise.core.model.ids import RunId, TaskPath


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenRun:
    """A locked run that has not ended."""

    id: RunId
    state: RunState
    spec_digest: str
    submitted_at: datetime
    cancel_requested: bool


# NO KEY UPDATE: a placer that inserts an event or an attempt of the run need not wait (its foreign key takes KEY SHARE).
_LOCK = text("""
SELECT id, state, spec_digest, submitted_at, cancel_requested_at IS NOT NULL AS cancel_requested
FROM runs
WHERE id = ANY(CAST(:run_ids AS uuid[])) AND state IN ('PENDING', 'RUNNING', 'CANCELING')
ORDER BY id
FOR NO KEY UPDATE
""")

_STATES = text("""
SELECT run_id, path, state FROM tasks WHERE run_id = ANY(CAST(:run_ids AS uuid[])) ORDER BY run_id, ordinal
""")

_UPSTREAM = text("SELECT path, component, upstream FROM tasks WHERE run_id = :run_id ORDER BY ordinal")

_FIRST_FAILURE = text("""
SELECT path, reason FROM tasks WHERE run_id = :run_id AND state = 'FAILED' ORDER BY finished_at, ordinal LIMIT 1
""")

_MARK_SCHEDULED = text("""
UPDATE runs AS r SET scheduled_at = first.placed_at
FROM (SELECT run_id, min(placed_at) AS placed_at FROM attempts
      WHERE run_id = ANY(CAST(:run_ids AS uuid[])) GROUP BY run_id) AS first
WHERE r.id = first.run_id AND r.scheduled_at IS NULL
""")

_TO_CANCEL = text("""
SELECT id FROM runs
WHERE state IN ('PENDING', 'RUNNING', 'CANCELING') AND cancel_requested_at IS NOT NULL
ORDER BY id
""")

_STALLED = text("""
SELECT r.id FROM runs AS r
WHERE r.state IN ('PENDING', 'RUNNING', 'CANCELING') AND (
    NOT EXISTS (SELECT FROM tasks AS t WHERE t.run_id = r.id
                AND t.state IN ('WAITING', 'READY', 'ADMITTED', 'PLACED', 'RUNNING'))
    OR EXISTS (SELECT FROM tasks AS t WHERE t.run_id = r.id AND t.state = 'WAITING' AND (
        NOT EXISTS (SELECT FROM tasks AS u WHERE u.run_id = t.run_id AND u.path = ANY(t.upstream)
                    AND u.state <> 'SUCCEEDED')
        OR EXISTS (SELECT FROM tasks AS u WHERE u.run_id = t.run_id AND u.path = ANY(t.upstream)
                   AND u.state IN ('FAILED', 'SKIPPED', 'CANCELED'))))
    OR (r.state = 'PENDING' AND EXISTS (SELECT FROM tasks AS t WHERE t.run_id = r.id AND t.state = 'RUNNING')))
ORDER BY r.id
""")


def lock_open_runs(connection: Connection, run_ids: Sequence[RunId]) -> Sequence[OpenRun]:
    """Lock those of the runs that have not ended, in the order of their ids."""
    return [
        OpenRun(
            id=RunId(str(row.id)),
            state=RunState(row.state),
            spec_digest=row.spec_digest,
            submitted_at=row.submitted_at,
            cancel_requested=row.cancel_requested,
        )
        for row in connection.execute(_LOCK, {"run_ids": sorted(run_ids)})
    ]


def task_states(
    connection: Connection, run_ids: Sequence[RunId]
) -> Mapping[RunId, Mapping[TaskPath, TaskState]]:
    """The state of every task of these runs, in the order of the pipeline."""
    found: dict[RunId, dict[TaskPath, TaskState]] = {run_id: {} for run_id in run_ids}
    for row in connection.execute(_STATES, {"run_ids": list(run_ids)}):
        found[RunId(str(row.run_id))][TaskPath(row.path)] = TaskState(row.state)
    return found


def upstream_of_tasks(
    connection: Connection, run_id: RunId
) -> Sequence[tuple[TaskPath, str, tuple[TaskPath, ...]]]:
    """(path, component, upstream paths) of every task of a run, in the order of the pipeline."""
    return [
        (TaskPath(row.path), row.component, tuple(TaskPath(path) for path in row.upstream))
        for row in connection.execute(_UPSTREAM, {"run_id": run_id})
    ]


def first_failure(connection: Connection, run_id: RunId) -> tuple[TaskPath, str | None] | None:
    """The task of a run that failed first, and why."""
    row = connection.execute(_FIRST_FAILURE, {"run_id": run_id}).first()
    return None if row is None else (TaskPath(row.path), row.reason)


def mark_scheduled(connection: Connection, run_ids: Sequence[RunId]) -> None:
    """Note when the first task of these (locked) runs was placed, where that is not known yet."""
    if run_ids:
        connection.execute(_MARK_SCHEDULED, {"run_ids": list(run_ids)})


def runs_to_cancel(connection: Connection) -> Sequence[RunId]:
    """Runs that have not ended although somebody asked for their end."""
    return [RunId(str(run_id)) for (run_id,) in connection.execute(_TO_CANCEL)]


def stalled_runs(connection: Connection) -> Sequence[RunId]:
    """Runs that could move on although nothing is under way that would move them: an interrupted recorder's rest."""
    return [RunId(str(run_id)) for (run_id,) in connection.execute(_STALLED)]
