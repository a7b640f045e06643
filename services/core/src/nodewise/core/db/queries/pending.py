"""What waits in one run, who waits beside it, and what waits for inputs in every run. Reads only."""

from collections.abc import Sequence

from sqlalchemy import Connection, RowMapping, text

from nodewise.core.model.ids import RunId

_PENDING = text("""
SELECT path, state, spec, reason_code, reason, not_before, upstream, expected_node, expected_start_at, expected_end_at
FROM tasks WHERE run_id = :run_id AND state IN ('WAITING', 'READY', 'ADMITTED')
ORDER BY ordinal
""")

_RIVALS = text("""
SELECT max(r.priority) AS priority, min(r.submitted_at) AS submitted_at, count(*) AS tasks
FROM tasks AS t JOIN runs AS r ON r.id = t.run_id JOIN runs AS own ON own.id = :run_id
WHERE t.state = 'READY' AND r.cancel_requested_at IS NULL AND r.id <> own.id AND r.policy = own.policy
GROUP BY sign(r.priority - own.priority), r.submitted_at < own.submitted_at
ORDER BY priority, submitted_at
""")

_FOR_INPUTS = text("""
WITH waiting AS (
    SELECT t.run_id, t.path, t.ordinal, t.upstream,
           row_number() OVER (PARTITION BY t.run_id ORDER BY t.ordinal) AS place,
           count(*) OVER (PARTITION BY t.run_id) AS tasks
    FROM tasks AS t WHERE t.state = 'WAITING' AND (CAST(:team AS text) IS NULL OR t.run_id IN (
        SELECT id FROM runs WHERE team = :team AND state IN ('PENDING', 'RUNNING', 'CANCELING')
    ))
), chosen AS (
    SELECT id, name, priority, policy, strategy, submitted_at FROM runs
    WHERE id IN (SELECT run_id FROM waiting) AND cancel_requested_at IS NULL
    ORDER BY submitted_at, id LIMIT :most_runs
)
SELECT r.id AS run_id, r.name AS run_name, r.priority, r.policy, r.strategy, w.tasks, w.path, (
    SELECT coalesce(jsonb_agg(jsonb_build_object('path', u.path, 'state', u.state) ORDER BY u.ordinal), '[]')
    FROM tasks AS u WHERE u.run_id = w.run_id AND u.path = ANY(w.upstream) AND u.state <> 'SUCCEEDED'
) AS waits_for
FROM waiting AS w JOIN chosen AS r ON r.id = w.run_id
WHERE w.place <= :most_tasks
ORDER BY r.submitted_at, r.id, w.ordinal
""")


def pending_of_run(connection: Connection, run_id: RunId) -> Sequence[RowMapping]:
    """The run's tasks that have no node, in topological order, with their specs."""
    return connection.execute(_PENDING, {"run_id": run_id}).mappings().all()


def rivals_of_run(connection: Connection, run_id: RunId) -> Sequence[RowMapping]:
    """The other runs of its policy that have READY tasks, in six groups at most: how many tasks, and what orders them.

    Of a group all have the same place before or after the run: a higher, equal or lower priority, submitted earlier or later.
    """
    return connection.execute(_RIVALS, {"run_id": run_id}).mappings().all()


def waiting_for_inputs(
    connection: Connection, *, team: str | None, most_runs: int, most_tasks: int
) -> Sequence[RowMapping]:
    """The WAITING tasks, run after run, oldest first: the first few of each run, and what each waits for.

    Of that team (None: of all). `tasks` of a row says how many of its run there are in all. Runs that are being
    cancelled are left out.
    """
    values = {"team": team, "most_runs": most_runs, "most_tasks": most_tasks}
    return connection.execute(_FOR_INPUTS, values).mappings().all()
