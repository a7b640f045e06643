"""The one door through which the state of a task or a run changes. Applies the lifecycle tables, writes the events."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import Connection, text

from nodewise.core.db.engine import note_move
from nodewise.core.errors import IllegalTransition
from nodewise.core.lifecycle import (
    TASK_EVENT_OWNERS,
    RunEvent,
    RunState,
    TaskEvent,
    TaskState,
    next_run_state,
    next_task_state,
)
from nodewise.core.model.decision import Reason
from nodewise.core.model.ids import NodeName, RunId, TaskPath, TaskRef

THE_RUN: Final = "(run)"
"""How the log calls the run itself beside its tasks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskMove:
    """One transition of one task, if it still is in `state`. Fields that are None leave their column as it is."""

    ref: TaskRef
    state: TaskState
    event: TaskEvent
    at: datetime
    reason: Reason
    attempt: int | None = None
    failures: int | None = None
    node: NodeName | None = None
    not_before: datetime | None = None
    position: int | None = None
    allowed_nodes: tuple[NodeName, ...] | None = None
    """Where it may be placed, of a move to ADMITTED; every other move takes it back."""
    started_at: datetime | None = None
    finished_at: datetime | None = None
    outputs: object | None = None
    """`TaskOutputs` in its encoded form."""
    inputs: object | None = None
    """`Values` in their encoded form, as `cache` is a `CacheKey` and `spec` a `TaskSpec`."""
    cache: object | None = None
    spec: object | None = None


_MOVE_TASKS = text("""
WITH wanted AS (
    SELECT * FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS v(
        run_id uuid, path text, from_state text, to_state text, event text, at timestamptz, reason_code text,
        reason text, attempt int, failures int, node text, not_before timestamptz, "position" bigint,
        allowed_nodes text[], started_at timestamptz, finished_at timestamptz, outputs jsonb,
        inputs jsonb, cache jsonb, spec jsonb, place int)
), moved AS (
    UPDATE tasks AS t SET
        state = v.to_state,
        reason_code = v.reason_code,
        reason = v.reason,
        attempt = coalesce(v.attempt, t.attempt),
        failures = coalesce(v.failures, t.failures),
        ready_at = CASE WHEN v.to_state = 'READY' AND v.from_state <> 'ADMITTED' THEN v.at ELSE t.ready_at END,
        not_before = CASE WHEN v.to_state = 'READY' THEN v.not_before ELSE t.not_before END,
        admitted_at = CASE WHEN v.to_state = 'ADMITTED' THEN v.at WHEN v.to_state = 'READY' THEN NULL
                      ELSE t.admitted_at END,
        "position" = CASE WHEN v.to_state = 'READY' THEN NULL ELSE coalesce(v."position", t."position") END,
        allowed_nodes = CASE WHEN v.to_state = 'ADMITTED' THEN v.allowed_nodes END,
        started_at = CASE WHEN v.to_state = 'READY' THEN NULL ELSE coalesce(v.started_at, t.started_at) END,
        finished_at = coalesce(v.finished_at, t.finished_at),
        outputs = coalesce(nullif(v.outputs, 'null'), t.outputs),
        inputs = coalesce(nullif(v.inputs, 'null'), t.inputs),
        cache = coalesce(nullif(v.cache, 'null'), t.cache),
        spec = coalesce(nullif(v.spec, 'null'), t.spec),
        resized = t.resized OR nullif(v.spec, 'null') IS NOT NULL
    FROM wanted AS v
    WHERE t.run_id = v.run_id AND t.path = v.path AND t.state = v.from_state
    RETURNING t.run_id, t.path, t.attempt, v.event, v.from_state, v.to_state, v.at, v.node, v.reason_code, v.reason, v.place
)
INSERT INTO events (at, run_id, path, attempt, event, from_state, to_state, service, node, reason_code, reason)
SELECT at, run_id, path, attempt, event, from_state, to_state, :service, node, reason_code, reason FROM moved
ORDER BY place
RETURNING run_id, path
""")

_MOVE_RUN = text("""
WITH moved AS (
    UPDATE runs SET
        state = :to_state,
        started_at = CASE WHEN :to_state = 'RUNNING' THEN :at ELSE started_at END,
        finished_at = CASE WHEN :to_state IN ('SUCCEEDED', 'FAILED', 'CANCELED') THEN :at ELSE finished_at END,
        error = coalesce(:error, error)
    WHERE id = :run_id AND state = :from_state
    RETURNING id
)
INSERT INTO events (at, run_id, event, from_state, to_state, service, reason)
SELECT :at, id, :event, :from_state, :to_state, :service, :error FROM moved
RETURNING run_id
""")


def move_tasks(connection: Connection, moves: Sequence[TaskMove], *, service: str) -> set[TaskRef]:
    """Apply all moves whose task still is in the expected state; return the tasks that moved. One round trip.

    A task may stand in `moves` once only. The events are written in the order of `moves`, which is to be that of causes.

    Raises:
        IllegalTransition: A pair that the table does not have, or an event that `service` does not own.
    """
    if not moves:
        return set()
    rows = [_row(move, service) | {"place": place} for place, move in enumerate(moves)]
    rows.sort(key=lambda row: (row["run_id"], row["path"]))
    found = connection.execute(_MOVE_TASKS, {"rows": json.dumps(rows), "service": service})
    moved = {TaskRef(run_id=RunId(str(run_id)), path=TaskPath(path)) for run_id, path in found}
    for move in moves:
        if move.ref in moved:
            note_move(connection, move.ref.run_id, move.ref.path, next_task_state(move.state, move.event))
    return moved


def _row(move: TaskMove, service: str) -> dict[str, object]:
    if TASK_EVENT_OWNERS[move.event] != service:
        raise IllegalTransition(subject=f"task (for {service})", state=move.state, event=move.event)
    return {
        "run_id": move.ref.run_id,
        "path": move.ref.path,
        "from_state": move.state.value,
        "to_state": next_task_state(move.state, move.event).value,
        "event": move.event.value,
        "at": move.at.isoformat(),
        "reason_code": move.reason.code.value,
        "reason": move.reason.text,
        "attempt": move.attempt,
        "failures": move.failures,
        "node": move.node,
        "not_before": move.not_before and move.not_before.isoformat(),
        "position": move.position,
        "allowed_nodes": move.allowed_nodes,
        "started_at": move.started_at and move.started_at.isoformat(),
        "finished_at": move.finished_at and move.finished_at.isoformat(),
        "outputs": move.outputs,
        "inputs": move.inputs,
        "cache": move.cache,
        "spec": move.spec,
    }


def move_run(
    connection: Connection,
    run_id: RunId,
    state: RunState,
    event: RunEvent,
    *,
    at: datetime,
    error: str | None = None,
) -> bool:
    """Apply one transition of a run, if it still is in `state`; True when it moved. Owner: recorder.

    Raises:
        IllegalTransition: The table does not have the pair.
    """
    following = next_run_state(state, event)
    moved = connection.execute(
        _MOVE_RUN,
        {
            "run_id": run_id,
            "from_state": state.value,
            "to_state": following.value,
            "event": event.value,
            "at": at,
            "error": error,
            "service": "recorder",
        },
    )
    if moved.first() is None:
        return False
    note_move(connection, run_id, THE_RUN, following)
    return True
