"""The queue of READY tasks, as the scheduler reads it and answers it."""

import json
from collections.abc import Iterable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, text

from nodewise.core.codec import decode
from nodewise.core.model.decision import Reason, ReasonCode
from nodewise.core.model.ids import NodeName, RunId, TaskPath, TaskRef
from nodewise.core.model.task import TaskSpec, WaitingTask


@dataclass(frozen=True, slots=True, kw_only=True)
class QueuedTask:
    """A READY task with its back-off, if any, and the reason that it shows."""

    task: WaitingTask
    not_before: datetime | None
    reason: Reason | None


@dataclass(frozen=True, slots=True, kw_only=True)
class AdmittedRow:
    """A task on its way to a placer, and where it may be placed (None: anywhere)."""

    ref: TaskRef
    spec: TaskSpec
    allowed_nodes: tuple[NodeName, ...] | None
    team: str


_SCHEDULER_LOCK = 0x6E6F6465
"""Key of the advisory lock that makes one cycle active at a time, whichever process it runs in."""

_ALL_READY = """
SELECT t.run_id, t.path, t.spec, t.effort_flops, t.input_bytes, t.allowed_nodes, t.ready_at, t.not_before, t.reason_code, t.reason,
       r.submitted_at, r.priority, r.deadline, r.team, r.policy, r.strategy
FROM tasks AS t JOIN runs AS r ON r.id = t.run_id
WHERE t.state = 'READY' AND (r.cancel_requested_at IS NULL OR t.finaliser)
"""
_READY = text(_ALL_READY)
_READY_OF = text(_ALL_READY + "AND t.run_id = ANY(CAST(:run_ids AS uuid[]))")
_COUNT_READY = text("SELECT count(*) FROM tasks WHERE state = 'READY'")

_ADMITTED = text("""
SELECT t.run_id, t.path, t.spec, t.allowed_nodes, t."position", r.team
FROM tasks AS t JOIN runs AS r ON r.id = t.run_id
WHERE t.state = 'ADMITTED' AND (r.cancel_requested_at IS NULL OR t.finaliser)
ORDER BY t."position"
""")

_LAST_POSITION = text("""SELECT coalesce(max("position"), 0) FROM tasks WHERE state = 'ADMITTED'""")

# Never waits for a lock, so it cannot be part of a deadlock: who is being moved by somebody else is left out.
_LOCK_READY = text("""
SELECT t.run_id, t.path
FROM tasks AS t
JOIN jsonb_to_recordset(CAST(:rows AS jsonb)) AS v(run_id uuid, path text) USING (run_id, path)
JOIN runs AS r ON r.id = t.run_id
WHERE t.state = 'READY' AND (r.cancel_requested_at IS NULL OR t.finaliser)
ORDER BY t.run_id, t.path
FOR NO KEY UPDATE OF t SKIP LOCKED
""")

_UPDATE_REASONS = text("""
WITH wanted AS (
    SELECT * FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS v(run_id uuid, path text, code text, reason text)
), free AS (
    SELECT t.run_id, t.path, w.code, w.reason
    FROM tasks AS t JOIN wanted AS w USING (run_id, path)
    WHERE t.state = 'READY' AND (t.reason_code, t.reason) IS DISTINCT FROM (w.code, w.reason)
    FOR NO KEY UPDATE OF t SKIP LOCKED
)
UPDATE tasks AS t SET reason_code = free.code, reason = free.reason
FROM free WHERE t.run_id = free.run_id AND t.path = free.path
RETURNING t.run_id
""")


_ANY_OPEN = text("SELECT EXISTS (SELECT FROM runs WHERE state IN ('PENDING', 'RUNNING', 'CANCELING'))")

_UPDATE_EXPECTED = text("""
WITH wanted AS (
    SELECT * FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS v(
        run_id uuid, path text, node text, start_at timestamptz, end_at timestamptz)
), free AS (
    SELECT t.run_id, t.path, w.node, w.start_at, w.end_at
    FROM tasks AS t JOIN wanted AS w USING (run_id, path)
    WHERE t.state IN ('WAITING', 'READY', 'ADMITTED')
      AND (t.expected_node, t.expected_start_at, t.expected_end_at) IS DISTINCT FROM (w.node, w.start_at, w.end_at)
    FOR NO KEY UPDATE OF t SKIP LOCKED
)
UPDATE tasks AS t SET expected_node = free.node, expected_start_at = free.start_at, expected_end_at = free.end_at
FROM free WHERE t.run_id = free.run_id AND t.path = free.path
""")


def try_lock_cycle(connection: Connection) -> bool:
    """Become the one active scheduler until this transaction ends; False: another one is."""
    return bool(connection.scalar(text("SELECT pg_try_advisory_xact_lock(:key)"), {"key": _SCHEDULER_LOCK}))


def any_open(connection: Connection) -> bool:
    """Whether there is a run that has not ended: without one, nothing waits and nothing is planned."""
    return bool(connection.scalar(_ANY_OPEN))


def load_ready(
    connection: Connection,
    specs: MutableMapping[TaskRef, TaskSpec],
    *,
    runs: Sequence[RunId] | None = None,
) -> Sequence[QueuedTask]:
    """The READY tasks of runs that are not being cancelled, in no order.

    Args:
        connection: Of the cycle's transaction.
        specs: Specs decoded in earlier calls (a spec never changes); kept in step with the queue.
        runs: Whose; None: of all.
    """
    found = (
        connection.execute(_READY) if runs is None else connection.execute(_READY_OF, {"run_ids": list(runs)})
    )
    rows = found.all()
    known = dict(specs)
    specs.clear()
    return [_queued(row, known, specs) for row in rows]


def count_ready(connection: Connection) -> int:
    """How many tasks are READY, those of runs that are being cancelled included."""
    return int(connection.scalar(_COUNT_READY) or 0)


def _queued(
    row: Row[Any], known: Mapping[TaskRef, TaskSpec], specs: MutableMapping[TaskRef, TaskSpec]
) -> QueuedTask:
    ref = TaskRef(run_id=RunId(str(row.run_id)), path=TaskPath(row.path))
    specs[ref] = known.get(ref) or decode(TaskSpec, row.spec)
    reason = Reason(code=ReasonCode(row.reason_code), text=row.reason or "") if row.reason_code else None
    return QueuedTask(task=waiting_task(row, specs[ref]), not_before=row.not_before, reason=reason)


def waiting_task(row: Row[Any], spec: TaskSpec) -> WaitingTask:
    """The task of a row that has the columns of `tasks` and of its run."""
    return WaitingTask(
        ref=TaskRef(run_id=RunId(str(row.run_id)), path=TaskPath(row.path)),
        spec=spec,
        submitted_at=row.submitted_at,
        ready_at=row.ready_at or row.submitted_at,
        priority=row.priority,
        deadline=row.deadline,
        team=row.team,
        policy=row.policy,
        strategy=row.strategy,
        effort_flops=row.effort_flops,
        input_bytes=row.input_bytes,
        allowed_nodes=allowed_nodes(row),
    )


def allowed_nodes(row: Row[Any]) -> tuple[NodeName, ...] | None:
    """Where the task of a row may be placed; None: anywhere."""
    return None if row.allowed_nodes is None else tuple(NodeName(name) for name in row.allowed_nodes)


def load_admitted(connection: Connection) -> Sequence[AdmittedRow]:
    """What was admitted and not yet placed, first to be placed first."""
    return [
        AdmittedRow(
            ref=TaskRef(run_id=RunId(str(row.run_id)), path=TaskPath(row.path)),
            spec=decode(TaskSpec, row.spec),
            allowed_nodes=allowed_nodes(row),
            team=row.team,
        )
        for row in connection.execute(_ADMITTED)
    ]


def last_position(connection: Connection) -> int:
    """The highest position among the ADMITTED; 0: there are none."""
    return int(connection.scalar(_LAST_POSITION) or 0)


def lock_ready(connection: Connection, refs: Iterable[TaskRef]) -> set[TaskRef]:
    """Lock those that still are READY, whose run is not being cancelled, and that nobody else moves just now."""
    rows = json.dumps([{"run_id": ref.run_id, "path": ref.path} for ref in refs])
    found = connection.execute(_LOCK_READY, {"rows": rows})
    return {TaskRef(run_id=RunId(str(row.run_id)), path=TaskPath(row.path)) for row in found}


def update_reasons(connection: Connection, reasons: Mapping[TaskRef, Reason]) -> int:
    """Say why these READY tasks wait, where it differs from what the row says; return how many changed. One statement."""
    if not reasons:
        return 0
    rows = [
        {"run_id": ref.run_id, "path": ref.path, "code": reason.code.value, "reason": reason.text}
        for ref, reason in sorted(reasons.items())
    ]
    return len(connection.execute(_UPDATE_REASONS, {"rows": json.dumps(rows)}).all())


def update_expected(
    connection: Connection, expected: Mapping[TaskRef, tuple[NodeName, datetime, datetime] | None]
) -> None:
    """Say where, from when and until when tasks that have not started are planned; None: they are not. One statement."""
    if not expected:
        return
    rows = [
        {"run_id": ref.run_id, "path": ref.path}
        | (
            {}
            if planned is None
            else {"node": planned[0], "start_at": planned[1].isoformat(), "end_at": planned[2].isoformat()}
        )
        for ref, planned in sorted(expected.items())
    ]
    connection.execute(_UPDATE_EXPECTED, {"rows": json.dumps(rows)})
