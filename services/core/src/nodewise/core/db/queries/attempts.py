"""Attempts as the recorder follows them. Writer: recorder (placements.py has the placer's part)."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, Row, text

from nodewise.core.lifecycle import AttemptState
from nodewise.core.model.ids import AttemptKey, NodeName, RunId, TaskPath
from nodewise.core.model.node import Node

_COLUMNS = """
    a.run_id, a.path, a.attempt, a.state, a.node, a.node_class, a.placed_at, a.accepted_at, a.started_at,
    a.lease_until, t.state AS task_state, t.task_class, t.failures, t.spec -> 'retry' AS retry,
    t.effort_flops, t.input_bytes, t.cache IS NOT NULL AS cacheable, n.accelerator, l.capacity_millicores,
    r.cancel_requested_at IS NOT NULL AND NOT t.finaliser AS cancel_requested
FROM attempts AS a JOIN tasks AS t USING (run_id, path) JOIN runs AS r ON r.id = a.run_id
JOIN nodes AS n ON n.name = a.node LEFT JOIN node_loads AS l ON l.node = a.node
WHERE a.state IN ('PLACED', 'RUNNING') AND r.engine IN ('agents', 'kubernetes')
"""

# Whoever speaks for nodes of one engine may use the name that a node of another had.
_LIVE_ON_NODE = text(f"SELECT {_COLUMNS} AND a.node = :node AND r.engine = :engine ORDER BY a.run_id, a.path")

_LIVE_ON_NODE_OF_RUNS = text(
    f"SELECT {_COLUMNS} AND a.node = :node AND r.engine = :engine AND a.run_id = ANY(CAST(:run_ids AS uuid[])) "
    "ORDER BY a.run_id, a.path"
)

_ENDED_LEASES = text(f"SELECT {_COLUMNS} AND a.lease_until <= :now ORDER BY a.run_id, a.path")

_ENDED_LEASES_OF_RUNS = text(
    f"SELECT {_COLUMNS} AND a.lease_until <= :now AND a.run_id = ANY(CAST(:run_ids AS uuid[])) "
    "ORDER BY a.run_id, a.path"
)

_LIVE_OF_CANCELED_RUNS = text("""
SELECT a.run_id, a.path, a.attempt, a.node
FROM attempts AS a JOIN runs AS r ON r.id = a.run_id JOIN tasks AS t ON t.run_id = a.run_id AND t.path = a.path
WHERE a.state IN ('PLACED', 'RUNNING') AND r.cancel_requested_at IS NOT NULL AND NOT t.finaliser
  AND r.engine IN ('agents', 'kubernetes')
ORDER BY a.node, a.run_id, a.path
""")

_PLACED_ELSEWHERE = text("""
SELECT a.run_id, a.path, a.attempt
FROM attempts AS a JOIN jsonb_to_recordset(CAST(:keys AS jsonb)) AS v(run_id uuid, path text, attempt int)
  USING (run_id, path, attempt)
WHERE a.node <> :node
""")

# Locks in the order of the keys, so that it never waits in a circle with the placer.
_RENEW = text("""
WITH reported AS (
    SELECT * FROM jsonb_to_recordset(CAST(:keys AS jsonb)) AS v(run_id uuid, path text, attempt int)
), due AS (
    SELECT a.run_id, a.path, a.attempt FROM attempts AS a JOIN reported USING (run_id, path, attempt)
    WHERE a.node = :node AND a.state IN ('PLACED', 'RUNNING')
      AND (a.accepted_at IS NULL OR a.lease_until < :renew_before)
    ORDER BY a.run_id, a.path, a.attempt
    FOR NO KEY UPDATE OF a
)
UPDATE attempts AS a
SET lease_until = greatest(a.lease_until, :lease_until), accepted_at = coalesce(a.accepted_at, :now)
FROM due
WHERE (a.run_id, a.path, a.attempt) = (due.run_id, due.path, due.attempt)
""")

_SAVE = text("""
WITH wanted AS (
    SELECT * FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS v(
        run_id uuid, path text, attempt int, state text, accepted_at timestamptz, started_at timestamptz,
        finished_at timestamptz, exit_code int, end_code text, end_message text, peak_memory_mib int,
        cpu_seconds float8, log_key text)
), locked AS (
    SELECT a.run_id, a.path, a.attempt FROM attempts AS a JOIN wanted USING (run_id, path, attempt)
    WHERE a.state IN ('PLACED', 'RUNNING')
    ORDER BY a.run_id, a.path, a.attempt
    FOR NO KEY UPDATE OF a
)
UPDATE attempts AS a SET
    state = v.state,
    accepted_at = coalesce(a.accepted_at, v.accepted_at),
    started_at = coalesce(a.started_at, v.started_at),
    finished_at = v.finished_at,
    exit_code = v.exit_code,
    end_code = v.end_code,
    end_message = v.end_message,
    peak_memory_mib = coalesce(v.peak_memory_mib, a.peak_memory_mib),
    cpu_seconds = coalesce(v.cpu_seconds, a.cpu_seconds),
    log_key = coalesce(v.log_key, a.log_key)
FROM wanted AS v JOIN locked USING (run_id, path, attempt)
WHERE (a.run_id, a.path, a.attempt) = (v.run_id, v.path, v.attempt)
""")


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptUpdate:
    """The new state of a live attempt and what was reported with it. None leaves what is there."""

    key: AttemptKey
    state: AttemptState
    accepted_at: datetime | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None
    exit_code: int | None = None
    end_code: str | None = None
    end_message: str | None = None
    peak_memory_mib: int | None = None
    cpu_seconds: float | None = None
    log_key: str | None = None


def attempt_key(row: "Row[tuple[object, ...]]") -> AttemptKey:
    """The key in a row that has run_id, path and attempt."""
    return AttemptKey(run_id=RunId(str(row.run_id)), path=TaskPath(row.path), attempt=row.attempt)


def live_on_node(
    connection: Connection, node: Node, *, of_runs: Iterable[RunId] | None = None
) -> "Sequence[Row[tuple[object, ...]]]":
    """The live attempts on a node of that engine, with their task's retry policy and what was known before of their run time.

    Also, whether their run is to be canceled.
    """
    where: dict[str, object] = {"node": node.name, "engine": node.engine}
    if of_runs is None:
        return connection.execute(_LIVE_ON_NODE, where).all()
    return connection.execute(_LIVE_ON_NODE_OF_RUNS, {**where, "run_ids": list(of_runs)}).all()


def placed_elsewhere(
    connection: Connection, node: NodeName, keys: Iterable[AttemptKey]
) -> Sequence[AttemptKey]:
    """Those of these attempts that are on record, but on other nodes."""
    given = {"node": node, "keys": json.dumps([_key(key) for key in keys])}
    return [attempt_key(row) for row in connection.execute(_PLACED_ELSEWHERE, given)]


def with_ended_lease(
    connection: Connection, *, now: datetime, of_runs: Iterable[RunId] | None = None
) -> "Sequence[Row[tuple[object, ...]]]":
    """The live attempts that nothing was heard of for too long; columns as in `live_on_node`."""
    if of_runs is None:
        return connection.execute(_ENDED_LEASES, {"now": now}).all()
    return connection.execute(_ENDED_LEASES_OF_RUNS, {"now": now, "run_ids": list(of_runs)}).all()


def live_attempts_to_cancel(connection: Connection) -> Mapping[NodeName, Sequence[AttemptKey]]:
    """The live attempts of runs whose cancellation was asked for, by node."""
    found: dict[NodeName, list[AttemptKey]] = {}
    for row in connection.execute(_LIVE_OF_CANCELED_RUNS):
        found.setdefault(NodeName(row.node), []).append(attempt_key(row))
    return found


def renew_leases(
    connection: Connection,
    node: NodeName,
    keys: Sequence[AttemptKey],
    *,
    now: datetime,
    lease_until: datetime,
    renew_before: datetime,
) -> None:
    """Renew the live ones of these attempts on that node, and note when they were first heard of. One round trip.

    Leases that last beyond `renew_before` are left alone: fewer writes.
    """
    if not keys:
        return
    connection.execute(
        _RENEW,
        {
            "keys": json.dumps([_key(key) for key in keys]),
            "node": node,
            "now": now,
            "lease_until": lease_until,
            "renew_before": renew_before,
        },
    )


def save_updates(connection: Connection, updates: Sequence[AttemptUpdate]) -> None:
    """Write these where the attempt is still live. One round trip."""
    if updates:
        connection.execute(_SAVE, {"rows": json.dumps([_row(update) for update in updates])})


def _row(update: AttemptUpdate) -> dict[str, object]:
    return {
        **_key(update.key),
        "state": update.state.value,
        "accepted_at": _iso(update.accepted_at),
        "started_at": _iso(update.started_at),
        "finished_at": _iso(update.finished_at),
        "exit_code": update.exit_code,
        "end_code": update.end_code,
        "end_message": update.end_message,
        "peak_memory_mib": update.peak_memory_mib,
        "cpu_seconds": update.cpu_seconds,
        "log_key": update.log_key,
    }


def _key(key: AttemptKey) -> dict[str, object]:
    return {"run_id": key.run_id, "path": key.path, "attempt": key.attempt}


def _iso(time: datetime | None) -> str | None:
    return None if time is None else time.isoformat()
