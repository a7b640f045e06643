"""The births of tasks. Writers: api (the first of a run), recorder (those that appear while it goes on)."""

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Final

from sqlalchemy import Connection, text

from nodewise.core.codec import encode
from nodewise.core.ir.breadth import waits_for
from nodewise.core.lifecycle import TaskState
from nodewise.core.model.birth import NewTask
from nodewise.core.model.decision import ReasonCode
from nodewise.core.model.ids import RunId

INSERT_TASKS: Final = """
INSERT INTO tasks (run_id, path, ordinal, component, kind, task_class, spec, effort_flops, input_bytes, upstream,
                   finaliser, inputs, state, ready_at, reason_code, reason)
SELECT run_id, path, ordinal, component, kind, task_class, spec, effort_flops, input_bytes, upstream,
       finaliser, nullif(inputs, 'null'), state, ready_at, reason_code, reason
FROM jsonb_to_recordset(CAST(:tasks AS jsonb)) AS v(
    run_id uuid, path text, ordinal int, component text, kind text, task_class text, spec jsonb, effort_flops float8,
    input_bytes float8, upstream text[], finaliser bool, inputs jsonb, state text, ready_at timestamptz, reason_code text, reason text)
"""
"""`tasks` is the JSON of what `rows_of` makes."""
_EVENTS = """
RETURNING run_id, path, ordinal, state, reason_code, reason)
INSERT INTO events (at, run_id, path, event, to_state, service, reason_code, reason)
SELECT CAST(:at AS timestamptz), run_id, path, 'submit', state, :service, reason_code, reason FROM born ORDER BY ordinal
"""
_INSERT = text("WITH born AS (" + INSERT_TASKS + _EVENTS)


def insert_tasks(
    connection: Connection,
    run_id: RunId,
    tasks: Sequence[NewTask],
    *,
    first: int,
    at: datetime,
    service: str,
) -> None:
    """Write new tasks of a run and their first events.

    Args:
        connection: of a transaction that made the run, or holds its lock.
        run_id: of the run.
        tasks: in topological order.
        first: the ordinal of the first of them: as many tasks as the run has.
        at: the time of their birth.
        service: who writes.
    """
    if tasks:
        rows = json.dumps(rows_of(run_id, tasks, first=first, at=at))
        connection.execute(_INSERT, {"tasks": rows, "at": at, "service": service})


def rows_of(run_id: RunId, tasks: Sequence[NewTask], *, first: int, at: datetime) -> list[dict[str, object]]:
    """The rows of new tasks, as JSON has them. See `insert_tasks`."""
    born = {"run_id": run_id}
    ready_at = at.isoformat()
    return [
        {
            **born,
            **_row(task),
            "ordinal": ordinal,
            "ready_at": ready_at if task.state is TaskState.READY else None,
        }
        for ordinal, task in enumerate(tasks, first)
    ]


def _row(task: NewTask) -> dict[str, object]:
    spec = task.spec
    code, reason = _why(task)
    return {
        "path": spec.path,
        "component": spec.component,
        "kind": spec.kind.value,
        "task_class": spec.task_class,
        "spec": encode(spec),
        "effort_flops": task.effort_flops,
        "input_bytes": task.input_bytes,
        "upstream": list(spec.upstream),
        "finaliser": task.finaliser,
        "inputs": None if task.inputs is None else encode(task.inputs),
        "state": task.state.value,
        "reason_code": code.value,
        "reason": reason,
    }


def _why(task: NewTask) -> tuple[ReasonCode, str]:
    if task.state is TaskState.READY:
        return ReasonCode.QUEUED, "just submitted; not considered yet"
    return ReasonCode.UPSTREAM_NOT_FINISHED, task.reason or waits_for(task.spec.upstream)
