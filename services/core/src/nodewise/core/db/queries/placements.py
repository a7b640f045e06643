"""The placer's questions and answers: what is admitted, what its jobs need, and the attempts that it makes of it."""

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import Connection, Row, text

from nodewise.core.codec import decode
from nodewise.core.db.queries.queue import waiting_task
from nodewise.core.estimates.learning import MemoryPrediction, Prediction
from nodewise.core.model.artifact import Values
from nodewise.core.model.decision import Candidate, Placement
from nodewise.core.model.ids import AttemptKey, NodeName, RunId, TaskPath
from nodewise.core.model.task import TaskSpec, WaitingTask

HAS_ROOM: Final = "has_room"
"""How `more_candidates` calls those that nothing kept out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimedTask:
    """A task that this transaction holds, and what its job is made from. `key` is the attempt that it would be.

    `inputs` are None where a release that did not keep them made the task ready.
    """

    task: WaitingTask
    key: AttemptKey
    run_name: str
    spec_digest: str
    inputs: Values | None
    scheduled_for: datetime | None = None
    traceparent: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class NewAttempt:
    """A placement as the record keeps it, with what was believed of run time and memory there (None: nothing)."""

    key: AttemptKey
    placement: Placement
    node_class: str
    policy: str
    strategy: str
    prediction: Prediction | None = None
    memory: MemoryPrediction | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Undelivered:
    """A placed attempt that its agent has not accepted. `job_uri` is None when its job was never written."""

    key: AttemptKey
    node: NodeName
    job_uri: str | None


_COLUMNS = """
    t.run_id, t.path, t.spec, t.effort_flops, t.input_bytes, t.allowed_nodes, t.ready_at, r.submitted_at, r.priority,
    r.deadline, r.team, r.policy, r.strategy, r.name AS run_name, r.spec_digest,
    r.scheduled_for, r.traceparent, t.inputs
"""

# SKIP LOCKED gives several placers disjoint batches; runs that are being cancelled are left to the recorder, but for their exit tasks.
_CLAIM = text(f"""
SELECT {_COLUMNS}, t.attempt + 1 AS attempt
FROM tasks AS t JOIN runs AS r ON r.id = t.run_id
WHERE t.state = 'ADMITTED' AND (r.cancel_requested_at IS NULL OR t.finaliser) AND r.engine IN ('agents', 'kubernetes')
ORDER BY t."position", t.run_id, t.path
LIMIT :limit
FOR NO KEY UPDATE OF t SKIP LOCKED
""")  # noqa: S608 - constants

_PLACED = text(f"""
SELECT {_COLUMNS}, t.attempt
FROM tasks AS t JOIN runs AS r ON r.id = t.run_id
JOIN jsonb_to_recordset(CAST(:rows AS jsonb)) AS v(run_id uuid, path text, attempt int)
    ON t.run_id = v.run_id AND t.path = v.path AND t.attempt = v.attempt
WHERE t.state = 'PLACED'
""")  # noqa: S608 - constants

_SIBLINGS = text("""
SELECT run_id, node FROM attempts
WHERE run_id = ANY(CAST(:run_ids AS uuid[])) AND state IN ('PLACED', 'RUNNING', 'SUCCEEDED')
GROUP BY run_id, node ORDER BY run_id, max(placed_at) DESC, node
""")

_PREVIOUS_NODE = text("SELECT node FROM attempts ORDER BY placed_at DESC, run_id, path LIMIT 1")

_QUEUED = text("SELECT EXISTS (SELECT FROM tasks WHERE state = 'READY' AND reason_code = 'queued')")

_INSERT = text("""
INSERT INTO attempts (run_id, path, attempt, node, node_class, state, policy, strategy, reason_code, reason, candidates,
                      more_candidates, predicted_seconds, predicted_low, predicted_high, prediction_level, prediction_basis,
                      prediction_samples, predicted_memory_mib, predicted_memory_low, predicted_memory_high,
                      placer, placed_at, lease_until)
SELECT v.run_id, v.path, v.attempt, v.node, v.node_class, 'PLACED', v.policy, v.strategy, v.reason_code, v.reason,
       v.candidates, v.more_candidates, v.predicted_seconds, v.predicted_low, v.predicted_high, v.prediction_level, v.prediction_basis,
       v.prediction_samples, v.predicted_memory_mib, v.predicted_memory_low, v.predicted_memory_high,
       :placer, :now, :lease_until
FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS v(
    run_id uuid, path text, attempt int, node text, node_class text, policy text, strategy text, reason_code text,
    reason text, candidates jsonb, more_candidates jsonb, predicted_seconds float8, predicted_low float8, predicted_high float8,
    prediction_level float8, prediction_basis text, prediction_samples int, predicted_memory_mib float8,
    predicted_memory_low float8, predicted_memory_high float8)
""")

_TAKE_BACK = text("""
DELETE FROM attempts AS a
USING jsonb_to_recordset(CAST(:rows AS jsonb)) AS v(run_id uuid, path text, attempt int)
WHERE a.run_id = v.run_id AND a.path = v.path AND a.attempt = v.attempt AND a.dispatched_at IS NULL
""")

_MARK_DISPATCHED = text("""
UPDATE attempts AS a SET job_uri = v.job_uri, dispatched_at = :at
FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS v(run_id uuid, path text, attempt int, job_uri text)
WHERE a.run_id = v.run_id AND a.path = v.path AND a.attempt = v.attempt
""")

# Taking an attempt and noting that it is dispatched again is one statement, so only one placer does it.
_CLAIM_UNDELIVERED = text("""
WITH due AS (
    SELECT a.run_id, a.path, a.attempt
    FROM attempts AS a JOIN runs AS r ON r.id = a.run_id JOIN tasks AS t ON t.run_id = a.run_id AND t.path = a.path
    WHERE a.state = 'PLACED' AND r.engine IN ('agents', 'kubernetes') AND a.accepted_at IS NULL AND (r.cancel_requested_at IS NULL OR t.finaliser)
      AND coalesce(a.dispatched_at, a.placed_at) < :before AND a.lease_until > :now
    ORDER BY a.run_id, a.path, a.attempt
    LIMIT :limit
    FOR NO KEY UPDATE OF a SKIP LOCKED
)
UPDATE attempts AS a SET dispatched_at = :now
FROM due WHERE (a.run_id, a.path, a.attempt) = (due.run_id, due.path, due.attempt)
RETURNING a.run_id, a.path, a.attempt, a.node, a.job_uri
""")


def claim_admitted(connection: Connection, *, limit: int) -> Sequence[ClaimedTask]:
    """Lock the first admitted tasks that no other placer holds; disjoint batches for all who ask at once."""
    rows = connection.execute(_CLAIM, {"limit": limit}).all()
    return _with_siblings(connection, [_claimed(row) for row in rows])


def load_placed(connection: Connection, keys: Iterable[AttemptKey]) -> Sequence[ClaimedTask]:
    """The tasks of these attempts, as far as they still are PLACED in just that attempt."""
    rows = json.dumps([_identity(key) for key in keys])
    return [_claimed(row) for row in connection.execute(_PLACED, {"rows": rows})]


def previous_node(connection: Connection) -> NodeName | None:
    """The node of the latest placement of all."""
    name = connection.scalar(_PREVIOUS_NODE)
    return None if name is None else NodeName(name)


def any_queued(connection: Connection) -> bool:
    """Whether a task waits only because enough were admitted before it."""
    return bool(connection.scalar(_QUEUED))


def insert_attempts(
    connection: Connection, attempts: Sequence[NewAttempt], *, placer: str, now: datetime, lease: timedelta
) -> None:
    """Record placements; the schema refuses a second live attempt of a task."""
    if not attempts:
        return
    texts: dict[int, str] = {}
    rows = ",".join(_attempt_json(attempt, texts) for attempt in attempts)
    connection.execute(
        _INSERT, {"rows": f"[{rows}]", "placer": placer, "now": now, "lease_until": now + lease}
    )


def take_back_attempts(connection: Connection, keys: Iterable[AttemptKey]) -> None:
    """Remove attempts of this transaction that got no room: nobody else ever saw them."""
    rows = [_identity(key) for key in keys]
    if rows:
        connection.execute(_TAKE_BACK, {"rows": json.dumps(rows)})


def mark_dispatched(connection: Connection, uris: Mapping[AttemptKey, str], *, at: datetime) -> None:
    """Note where the jobs lie and that their agents were asked to start them."""
    rows = [_identity(key) | {"job_uri": uri} for key, uri in sorted(uris.items())]
    if rows:
        connection.execute(_MARK_DISPATCHED, {"rows": json.dumps(rows), "at": at})


def claim_undelivered(
    connection: Connection, *, now: datetime, before: datetime, limit: int
) -> Sequence[Undelivered]:
    """Attempts dispatched before `before` that no agent accepted, noted as dispatched `now`."""
    rows = connection.execute(_CLAIM_UNDELIVERED, {"now": now, "before": before, "limit": limit})
    return [Undelivered(key=_key(row), node=NodeName(row.node), job_uri=row.job_uri) for row in rows]


def _with_siblings(connection: Connection, claimed: Sequence[ClaimedTask]) -> Sequence[ClaimedTask]:
    if not claimed:
        return claimed
    nodes: dict[str, list[NodeName]] = {}
    run_ids = sorted({item.key.run_id for item in claimed})
    for row in connection.execute(_SIBLINGS, {"run_ids": run_ids}):
        nodes.setdefault(str(row.run_id), []).append(NodeName(row.node))
    return [
        replace(item, task=replace(item.task, sibling_nodes=tuple(nodes.get(item.key.run_id, ()))))
        for item in claimed
    ]


def _claimed(row: Row[Any]) -> ClaimedTask:
    return ClaimedTask(
        task=waiting_task(row, decode(TaskSpec, row.spec)),
        key=_key(row),
        run_name=row.run_name,
        spec_digest=row.spec_digest,
        inputs=None if row.inputs is None else decode(Values, row.inputs),
        scheduled_for=row.scheduled_for,
        traceparent=row.traceparent,
    )


def _key(row: Row[Any]) -> AttemptKey:
    return AttemptKey(run_id=RunId(str(row.run_id)), path=TaskPath(row.path), attempt=row.attempt)


def _identity(key: AttemptKey) -> dict[str, object]:
    return {"run_id": key.run_id, "path": key.path, "attempt": key.attempt}


def _attempt_json(attempt: NewAttempt, texts: dict[int, str]) -> str:
    """The row with its candidates. What is told of a node is often the very same of many tasks: `texts` has it by identity."""
    told = []
    for candidate in attempt.placement.candidates:
        text_of = texts.get(id(candidate))
        if text_of is None:
            text_of = texts[id(candidate)] = json.dumps(_candidate_row(candidate))
        told.append(text_of)
    return f'{json.dumps(_attempt_row(attempt))[:-1]}, "candidates": [{", ".join(told)}]}}'


def _attempt_row(attempt: NewAttempt) -> dict[str, object]:
    placement = attempt.placement
    beliefs = _prediction_row(attempt.prediction) | _memory_row(attempt.memory)
    return (
        _identity(attempt.key)
        | beliefs
        | {
            "node": placement.node,
            "node_class": attempt.node_class,
            "policy": attempt.policy,
            "strategy": attempt.strategy,
            "reason_code": placement.reason.code.value,
            "reason": placement.reason.text,
        }
        | _more_row(placement)
    )


def _prediction_row(prediction: Prediction | None) -> dict[str, object]:
    if prediction is None:
        return {}
    return {
        "predicted_seconds": prediction.median_seconds,
        "predicted_low": prediction.low,
        "predicted_high": prediction.high,
        "prediction_level": prediction.level,
        "prediction_basis": prediction.basis.value,
        "prediction_samples": prediction.samples,
    }


def _memory_row(memory: MemoryPrediction | None) -> dict[str, object]:
    if memory is None:
        return {}
    return {
        "predicted_memory_mib": memory.median_mib,
        "predicted_memory_low": memory.low,
        "predicted_memory_high": memory.high,
    }


def _candidate_row(candidate: Candidate) -> dict[str, object]:
    """A candidate in its encoded form, whatever a foreign strategy put into its scores."""
    out = candidate.exclusion
    return {
        "node": candidate.node,
        "scores": {str(name): _storable(score) for name, score in candidate.scores.items()},
        "exclusion": None if out is None else {"node": out.node, "code": out.code.value, "text": out.text},
    }


def _more_row(placement: Placement) -> dict[str, object]:
    if not placement.more:
        return {}
    counts = {HAS_ROOM if code is None else code.value: count for code, count in placement.more.items()}
    return {"more_candidates": counts}


def _storable(score: object) -> float | str | None:
    if isinstance(score, int | float):
        return float(score) if math.isfinite(score) else None
    return None if score is None else str(score).replace("\x00", "")
