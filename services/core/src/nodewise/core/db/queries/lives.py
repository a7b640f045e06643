"""What the recorder asks to move runs on: their states, what waits in them, what an interrupted recorder left."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from sqlalchemy import Connection, text

from nodewise.core.codec import decode, encode
from nodewise.core.ir.rows import Row
from nodewise.core.lifecycle import RunState, TaskState
from nodewise.core.model.artifact import TaskOutputs, Values
from nodewise.core.model.ids import RunId, TaskPath, TaskRef

_NO_OUTPUTS: Final = TaskOutputs()


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenRun:
    """A locked run that has not ended."""

    id: RunId
    state: RunState
    spec_digest: str
    submitted_at: datetime
    cancel_requested: bool
    name: str = ""
    parameters: Mapping[str, object] = field(default_factory=dict)
    caching: bool = True
    engine: str = "agents"
    team: str = "default"
    placed_before: bool = False
    """Whether it is on record when its first task was placed."""
    scheduled_for: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RunTask:
    """A task of a run, as far as the run's course depends on it. `upstream` is told of WAITING tasks only."""

    row: Row
    finaliser: bool
    upstream: tuple[TaskPath, ...] = ()


# NO KEY UPDATE: a placer that inserts an event or an attempt of the run need not wait (its foreign key takes KEY SHARE).
_LOCK = text("""
SELECT id, state, spec_digest, submitted_at, cancel_requested_at IS NOT NULL AS cancel_requested, name, parameters, caching,
       engine, team, scheduled_for, scheduled_at IS NOT NULL AS placed_before
FROM runs
WHERE id = ANY(CAST(:run_ids AS uuid[])) AND state IN ('PENDING', 'RUNNING', 'CANCELING')
ORDER BY id
FOR NO KEY UPDATE
""")

_TASKS = text("""
SELECT run_id, path, state, attempt, finaliser,
       CASE WHEN state = 'WAITING' THEN upstream END AS upstream,
       CASE WHEN state = 'SUCCEEDED' THEN outputs END AS outputs,
       CASE WHEN state IN ('FAILED', 'SKIPPED', 'CANCELED') THEN reason END AS reason
FROM tasks WHERE run_id = ANY(CAST(:run_ids AS uuid[])) ORDER BY run_id, ordinal
""")

_UPDATE_UPSTREAM = text("""
UPDATE tasks AS t SET upstream = v.upstream, spec = jsonb_set(t.spec, '{upstream}', to_jsonb(v.upstream))
FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS v(run_id uuid, path text, upstream text[])
WHERE t.run_id = v.run_id AND t.path = v.path AND t.state = 'WAITING'
""")

_SAVE_OUTPUTS = text("UPDATE runs SET outputs = CAST(:outputs AS jsonb) WHERE id = :run_id")

_MARK_SETTLED = text("UPDATE runs SET settled_at = :at WHERE id = ANY(CAST(:run_ids AS uuid[]))")

_FAILURES = text("""
SELECT path, reason FROM tasks WHERE run_id = :run_id AND state = 'FAILED' ORDER BY finished_at, ordinal
""")

_MARK_SCHEDULED = text("""
UPDATE runs AS r SET scheduled_at = first.placed_at
FROM (SELECT run_id, min(placed_at) AS placed_at FROM attempts
      WHERE run_id = ANY(CAST(:run_ids AS uuid[])) GROUP BY run_id) AS first
WHERE r.id = first.run_id AND r.scheduled_at IS NULL
""")

_UNSETTLED = text("""
SELECT id FROM runs
WHERE settled_at IS NULL AND state IN ('PENDING', 'RUNNING', 'CANCELING') AND engine IN ('agents', 'kubernetes')
ORDER BY id
""")

_TO_CANCEL = text("""
SELECT id FROM runs
WHERE state IN ('PENDING', 'RUNNING', 'CANCELING') AND cancel_requested_at IS NOT NULL AND engine IN ('agents', 'kubernetes')
ORDER BY id
""")

# A task that failed without the recorder (a placer could make no job of it) is told by its time; the clocks of two
# services differ, so a little earlier counts, too.
_STALLED = text("""
SELECT r.id FROM runs AS r
WHERE r.state IN ('PENDING', 'RUNNING', 'CANCELING') AND r.engine IN ('agents', 'kubernetes') AND (
    r.settled_at IS NULL
    OR NOT EXISTS (SELECT FROM tasks AS t WHERE t.run_id = r.id
                   AND t.state IN ('READY', 'ADMITTED', 'PLACED', 'RUNNING'))
    OR EXISTS (SELECT FROM tasks AS t WHERE t.run_id = r.id AND t.state = 'FAILED'
               AND t.finished_at >= r.settled_at - interval '5 seconds')
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
            name=row.name,
            parameters=row.parameters,
            caching=row.caching,
            engine=row.engine,
            team=row.team,
            placed_before=row.placed_before,
            scheduled_for=row.scheduled_for,
        )
        for row in connection.execute(_LOCK, {"run_ids": sorted(run_ids)})
    ]


def tasks_of_runs(
    connection: Connection, run_ids: Sequence[RunId]
) -> Mapping[RunId, Mapping[TaskPath, RunTask]]:
    """The tasks of these runs, in the order of their births."""
    found: dict[RunId, dict[TaskPath, RunTask]] = {run_id: {} for run_id in run_ids}
    # A run may have thousands, and each heartbeat looks at all of them: those that are alike are one object.
    alike: dict[tuple[object, ...], RunTask] = {}
    for run_id, path, *columns in connection.execute(_TASKS, {"run_ids": list(run_ids)}):
        state, attempt, finaliser, upstream, outputs, reason = columns
        key = (state, attempt, finaliser, reason)
        task = None if upstream or outputs else alike.get(key)
        if task is None:
            row = Row(
                state=TaskState(state),
                outputs=decode(TaskOutputs, outputs) if outputs else _NO_OUTPUTS,
                message=reason or "",
                attempt=max(1, attempt),
            )
            task = RunTask(row=row, finaliser=finaliser, upstream=tuple(upstream or ()))
            if not (upstream or outputs):
                alike[key] = task
        found[RunId(str(run_id))][path] = task
    return found


def update_upstream(connection: Connection, upstream: Mapping[TaskRef, Sequence[TaskPath]]) -> None:
    """Say anew what these WAITING tasks wait for. One statement."""
    rows = [
        {"run_id": ref.run_id, "path": ref.path, "upstream": list(paths)}
        for ref, paths in sorted(upstream.items())
    ]
    if rows:
        connection.execute(_UPDATE_UPSTREAM, {"rows": json.dumps(rows)})


def save_outputs(connection: Connection, run_id: RunId, outputs: Values) -> None:
    """Keep what a (locked) run as a whole gives, if it gives anything."""
    if outputs.parameters or outputs.artifacts:
        connection.execute(_SAVE_OUTPUTS, {"run_id": run_id, "outputs": json.dumps(encode(outputs))})


def mark_settled(connection: Connection, run_ids: Sequence[RunId], *, at: datetime) -> None:
    """Note that the tasks of these (locked) runs have been moved on as far as they can be."""
    if run_ids:
        connection.execute(_MARK_SETTLED, {"run_ids": list(run_ids), "at": at})


def failures(connection: Connection, run_id: RunId) -> Mapping[TaskPath, str | None]:
    """The tasks of a run that failed, in the order of their ends, and why."""
    rows = connection.execute(_FAILURES, {"run_id": run_id})
    return {TaskPath(row.path): row.reason for row in rows}


def mark_scheduled(connection: Connection, run_ids: Sequence[RunId]) -> None:
    """Note when the first task of these (locked) runs was placed, where that is not known yet."""
    if run_ids:
        connection.execute(_MARK_SCHEDULED, {"run_ids": list(run_ids)})


def runs_to_cancel(connection: Connection) -> Sequence[RunId]:
    """Runs on agents that have not ended although somebody asked for their end."""
    return [RunId(str(run_id)) for (run_id,) in connection.execute(_TO_CANCEL)]


def unsettled_runs(connection: Connection) -> Sequence[RunId]:
    """Runs that nobody has looked at yet, though somebody must before they can begin."""
    return [RunId(str(run_id)) for (run_id,) in connection.execute(_UNSETTLED)]


def stalled_runs(connection: Connection) -> Sequence[RunId]:
    """Runs that could move on although nothing is under way that would move them: an interrupted recorder's rest."""
    return [RunId(str(run_id)) for (run_id,) in connection.execute(_STALLED)]
