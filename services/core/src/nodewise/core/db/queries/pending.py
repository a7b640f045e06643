"""What waits in one run, and who waits beside it. Reads only."""

from collections.abc import Sequence

from sqlalchemy import Connection, RowMapping, text

from nodewise.core.model.ids import RunId

_PENDING = text("""
SELECT path, state, spec, reason_code, reason, not_before, upstream, expected_node, expected_start_at, expected_end_at
FROM tasks WHERE run_id = :run_id AND state IN ('WAITING', 'READY', 'ADMITTED')
ORDER BY ordinal
""")

_RIVALS = text("""
SELECT r.id, r.priority, r.submitted_at, count(*) AS tasks
FROM runs AS r JOIN tasks AS t ON t.run_id = r.id
WHERE t.state = 'READY' AND r.cancel_requested_at IS NULL AND r.id <> :run_id
  AND r.policy = (SELECT policy FROM runs WHERE id = :run_id)
GROUP BY r.id
ORDER BY r.submitted_at, r.id
""")


def pending_of_run(connection: Connection, run_id: RunId) -> Sequence[RowMapping]:
    """The run's tasks that have no node, in topological order, with their specs."""
    return connection.execute(_PENDING, {"run_id": run_id}).mappings().all()


def rivals_of_run(connection: Connection, run_id: RunId) -> Sequence[RowMapping]:
    """The other runs of its policy that have READY tasks: how many, and what orders them."""
    return connection.execute(_RIVALS, {"run_id": run_id}).mappings().all()
