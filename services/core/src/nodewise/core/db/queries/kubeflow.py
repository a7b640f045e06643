"""Runs of the engine `kubeflow` before KFP has them: the placer's questions and answers. Writer: placer."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, text

from nodewise.core.codec import decode
from nodewise.core.db.queries.queue import waiting_task
from nodewise.core.lifecycle import TaskState
from nodewise.core.model.decision import Reason
from nodewise.core.model.ids import AttemptKey, NodeName, RunId, TaskPath
from nodewise.core.model.task import TaskSpec, WaitingTask

Nodes = Mapping[str, Sequence[NodeName]]
"""The chosen nodes by path of the leaf task in the IR."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimedRun:
    """A run that this transaction holds, of which no task was placed yet."""

    id: RunId
    name: str
    spec_digest: str
    caching: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class UnboundTask:
    """A task of a claimed run. `key` is the attempt that it would be, `expected_node` that of the latest plan."""

    task: WaitingTask
    key: AttemptKey
    state: TaskState
    expected_node: NodeName | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DueSubmission:
    """A run that KFP is to get, and where its tasks are to go. `tries` failed so far."""

    run_id: RunId
    name: str
    parameters: Mapping[str, Any]
    caching: bool
    ir: Mapping[str, Any]
    platforms: Mapping[str, Any]
    nodes: Nodes
    tries: int


# The run's lock is what several placers contend for; its tasks come after it in the order of locks.
_CLAIM = text("""
SELECT r.id, r.name, r.spec_digest, r.caching
FROM runs AS r
JOIN (SELECT run_id, min("position") AS first FROM tasks WHERE state = 'ADMITTED' GROUP BY run_id) AS t ON t.run_id = r.id
WHERE r.engine = 'kubeflow' AND r.state IN ('PENDING', 'RUNNING') AND r.cancel_requested_at IS NULL
  AND NOT EXISTS (SELECT FROM kfp_submissions AS k WHERE k.run_id = r.id)
  AND r.id <> ALL(CAST(:without AS uuid[]))
ORDER BY t.first, r.id
LIMIT 1
FOR NO KEY UPDATE OF r SKIP LOCKED
""")

_UNBOUND = text("""
SELECT t.run_id, t.path, t.state, t.spec, t.effort_flops, t.input_bytes, t.allowed_nodes, t.ready_at, t.expected_node,
       t.attempt + 1 AS attempt, r.submitted_at, r.priority, r.deadline, r.team, r.policy, r.strategy
FROM tasks AS t JOIN runs AS r ON r.id = t.run_id
WHERE t.run_id = :run_id AND t.state IN ('WAITING', 'READY', 'ADMITTED')
ORDER BY t.ordinal
FOR NO KEY UPDATE OF t
""")

_INSERT = text("""
INSERT INTO kfp_submissions (run_id, nodes, placed_at, try_at) VALUES (:run_id, CAST(:nodes AS jsonb), :at, :at)
ON CONFLICT DO NOTHING
""")

# A run that is to be canceled is looked up once more where a post may be on its way, and never posted.
_CLAIM_DUE = text("""
WITH due AS (
    SELECT k.run_id FROM kfp_submissions AS k JOIN runs AS r ON r.id = k.run_id
    WHERE k.confirmed_at IS NULL AND k.refused_at IS NULL AND k.try_at <= :now
      AND r.state IN ('PENDING', 'RUNNING', 'CANCELING')
      AND (r.cancel_requested_at IS NULL OR k.posted_at IS NOT NULL)
    ORDER BY k.try_at, k.run_id
    LIMIT :limit
    FOR NO KEY UPDATE OF k SKIP LOCKED
), held AS (
    UPDATE kfp_submissions AS k SET try_at = :hold_until FROM due WHERE k.run_id = due.run_id
    RETURNING k.run_id, k.nodes, k.tries, k.placed_at
)
SELECT held.run_id, held.nodes, held.tries, r.name, r.parameters, r.caching, s.ir, s.platforms
FROM held JOIN runs AS r ON r.id = held.run_id JOIN pipeline_specs AS s ON s.digest = r.spec_digest
ORDER BY held.placed_at, held.run_id
""")

_POSTED_AT = text("SELECT posted_at FROM kfp_submissions WHERE run_id = :run_id AND confirmed_at IS NULL")

# With the run's lock: whoever ends the run because it was never posted holds it, too.
_INTEND = text("""
WITH held AS (
    SELECT id FROM runs
    WHERE id = :run_id AND state IN ('PENDING', 'RUNNING') AND cancel_requested_at IS NULL
    FOR NO KEY UPDATE
)
UPDATE kfp_submissions AS k SET posted_at = :at
FROM held
WHERE k.run_id = held.id AND k.confirmed_at IS NULL AND k.refused_at IS NULL
  AND k.posted_at IS NOT DISTINCT FROM CAST(:instead_of AS timestamptz)
RETURNING k.run_id
""")

_WITHDRAW = text(
    "UPDATE kfp_submissions SET posted_at = NULL WHERE run_id = :run_id AND confirmed_at IS NULL"
)

_CONFIRM = text("""
UPDATE kfp_submissions
SET confirmed_at = coalesce(confirmed_at, :at), refused_at = NULL, problem_code = NULL, problem = NULL
WHERE run_id = :run_id
""")

_POSTPONE = text("""
UPDATE kfp_submissions SET tries = tries + 1, try_at = :try_at, problem_code = :code, problem = :problem
WHERE run_id = :run_id AND confirmed_at IS NULL
""")

_REFUSE = text("""
UPDATE kfp_submissions SET refused_at = :at, problem_code = :code, problem = :problem
WHERE run_id = :run_id AND confirmed_at IS NULL
""")

_LOCK_RUN = text("SELECT id FROM runs WHERE id = :run_id FOR NO KEY UPDATE")

_SAY = text("""
UPDATE tasks SET reason_code = :code, reason = :reason
WHERE run_id = :run_id AND state IN ('PLACED') AND (reason_code, reason) IS DISTINCT FROM (:code, :reason)
""")

_SAY_WHERE = text("""
UPDATE tasks AS t SET reason_code = a.reason_code, reason = 'on ' || a.node || ': ' || a.reason
FROM attempts AS a
WHERE t.run_id = :run_id AND t.state IN ('PLACED') AND t.reason_code IN ('kfp_unavailable', 'kfp_unauthorized')
  AND (a.run_id, a.path, a.attempt) = (t.run_id, t.path, t.attempt)
""")


def claim_run(connection: Connection, *, without: Sequence[RunId] = ()) -> ClaimedRun | None:
    """Lock the first run that has an ADMITTED task and is not bound yet; None: there is none that nobody else holds."""
    row = connection.execute(_CLAIM, {"without": list(without)}).first()
    if row is None:
        return None
    return ClaimedRun(id=RunId(str(row.id)), name=row.name, spec_digest=row.spec_digest, caching=row.caching)


def unbound_tasks(connection: Connection, run_id: RunId) -> Sequence[UnboundTask]:
    """All tasks of a claimed run that may come, in an order in which they could run. Locks them."""
    return [
        UnboundTask(
            task=waiting_task(row, decode(TaskSpec, row.spec)),
            key=AttemptKey(run_id=run_id, path=TaskPath(row.path), attempt=row.attempt),
            state=TaskState(row.state),
            expected_node=None if row.expected_node is None else NodeName(row.expected_node),
        )
        for row in connection.execute(_UNBOUND, {"run_id": run_id})
    ]


def insert_submission(connection: Connection, run_id: RunId, nodes: Nodes, *, at: datetime) -> None:
    """Note where the tasks of a claimed run are to go; from its commit on, the run is on its way to KFP."""
    encoded = json.dumps({path: list(names) for path, names in sorted(nodes.items())})
    connection.execute(_INSERT, {"run_id": run_id, "nodes": encoded, "at": at})


def claim_due(
    connection: Connection, *, now: datetime, hold: timedelta, limit: int
) -> Sequence[DueSubmission]:
    """Runs whose submission is due; nobody else gets them before `hold` has passed."""
    values = {"now": now, "hold_until": now + hold, "limit": limit}
    return [
        DueSubmission(
            run_id=RunId(str(row.run_id)),
            name=row.name,
            parameters=row.parameters,
            caching=row.caching,
            ir=row.ir,
            platforms=row.platforms,
            nodes={path: [NodeName(name) for name in names] for path, names in row.nodes.items()},
            tries=row.tries,
        )
        for row in connection.execute(_CLAIM_DUE, values)
    ]


def posted_at(connection: Connection, run_id: RunId) -> datetime | None:
    """When a post was last intended whose end is not known; None: none was."""
    found: datetime | None = connection.scalar(_POSTED_AT, {"run_id": run_id})
    return found


def intend(connection: Connection, run_id: RunId, at: datetime, *, instead_of: datetime | None) -> bool:
    """Note that a post may be on its way, if nobody else did since `instead_of`, and the run shall still run."""
    values = {"run_id": run_id, "at": at, "instead_of": instead_of}
    return connection.execute(_INTEND, values).first() is not None


def withdraw(connection: Connection, run_id: RunId) -> None:
    """The intended post had no effect."""
    connection.execute(_WITHDRAW, {"run_id": run_id})


def confirm(connection: Connection, run_id: RunId, *, at: datetime) -> None:
    """KFP has the run. Tasks that said why it had not say again where they go."""
    connection.execute(_LOCK_RUN, {"run_id": run_id})
    connection.execute(_SAY_WHERE, {"run_id": run_id})
    connection.execute(_CONFIRM, {"run_id": run_id, "at": at})


def postpone(connection: Connection, run_id: RunId, why: Reason | None, *, try_at: datetime) -> None:
    """The submission is tried again at that time; `why` is told by the tasks that wait for it."""
    if why is not None:
        connection.execute(_LOCK_RUN, {"run_id": run_id})
        connection.execute(_SAY, {"run_id": run_id, "code": why.code.value, "reason": why.text})
    values = {
        "run_id": run_id,
        "try_at": try_at,
        "code": why and why.code.value,
        "problem": why and why.text,
    }
    connection.execute(_POSTPONE, values)


def refuse(connection: Connection, run_id: RunId, why: Reason, *, at: datetime) -> None:
    """KFP will never have the run; the recorder ends it."""
    values = {"run_id": run_id, "at": at, "code": why.code.value, "problem": why.text}
    connection.execute(_REFUSE, values)
