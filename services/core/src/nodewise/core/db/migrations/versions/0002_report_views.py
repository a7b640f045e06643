"""Views that people and reports read: times, utilisation, predictions, bookings over time."""

from collections.abc import Sequence

from alembic import op

revision: str = "0002"
down_revision: str | Sequence[str] | None = "0001"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

# Attempts are cut to their run's own span, so that clocks that differ leave no negative wait.
_RUN_TIMES = """
WITH ran AS (
    SELECT run_id, range_agg(tstzrange(started_at, greatest(started_at, coalesce(finished_at, 'infinity')))) AS times
    FROM attempts WHERE started_at IS NOT NULL GROUP BY run_id
), spans AS (
    SELECT r.*, coalesce(r.finished_at, now()) AS known_until, ran.times
    FROM runs AS r LEFT JOIN ran ON ran.run_id = r.id
), executions AS (
    SELECT s.*, coalesce((
        SELECT sum(extract(epoch FROM upper(part) - lower(part)))
        FROM unnest(s.times * tstzmultirange(tstzrange(s.submitted_at, greatest(s.submitted_at, s.known_until)))) AS part
    ), 0) AS seconds
    FROM spans AS s
)
SELECT r.id AS run_id, r.name AS run_name, r.pipeline_name AS pipeline, r.team, r.labels, r.policy, r.strategy, r.state,
       r.submitted_at, r.scheduled_at, r.started_at, r.finished_at,
       extract(epoch FROM coalesce(r.started_at, r.known_until) - r.submitted_at)::float8 AS start_delay_seconds,
       (extract(epoch FROM r.known_until - r.submitted_at) - r.seconds)::float8 AS waiting_seconds,
       r.seconds::float8 AS execution_seconds,
       extract(epoch FROM r.known_until - r.submitted_at)::float8 AS total_seconds
FROM executions AS r
"""

_TASK_TIMES = """
SELECT t.run_id, r.name AS run_name, r.pipeline_name AS pipeline, t.path AS task, t.ordinal, t.component, t.kind,
       t.task_class, t.state, a.node, a.node_class, n.architecture, t.attempt AS attempts, t.failures,
       t.ready_at, a.placed_at, t.started_at, t.finished_at,
       CASE WHEN t.started_at IS NOT NULL OR t.state IN ('READY', 'ADMITTED', 'PLACED')
            THEN extract(epoch FROM coalesce(t.started_at, now()) - t.ready_at)::float8 END AS waited_seconds,
       extract(epoch FROM coalesce(t.finished_at, now()) - t.started_at)::float8 AS ran_seconds,
       a.predicted_seconds, a.reason_code AS why_code, a.reason AS why_node
FROM tasks AS t
JOIN runs AS r ON r.id = t.run_id
LEFT JOIN attempts AS a ON a.run_id = t.run_id AND a.path = t.path AND a.attempt = t.attempt
LEFT JOIN nodes AS n ON n.name = a.node
"""

_NODE_UTILISATION = """
WITH work AS (
    SELECT a.node, a.started_at, coalesce(a.finished_at, now()) AS ended_at, b.millicores
    FROM attempts AS a JOIN bookings AS b USING (run_id, path, attempt)
    WHERE a.started_at IS NOT NULL
), span AS (
    SELECT min(started_at) AS started_at, max(ended_at) AS ended_at FROM work
), busy AS (
    SELECT node, count(*) AS attempts, min(started_at) AS first_start, max(ended_at) AS last_end,
           sum(extract(epoch FROM ended_at - started_at) * millicores / 1000.0)::float8 AS core_seconds
    FROM work GROUP BY node
)
SELECT n.name AS node, n.state, n.node_class, n.architecture, n.worker_type, n.accelerator,
       l.capacity_millicores / 1000.0::float8 AS cores,
       coalesce(b.attempts, 0) AS attempts,
       coalesce(b.core_seconds, 0) AS busy_core_seconds,
       extract(epoch FROM s.ended_at - s.started_at)::float8 * l.capacity_millicores / 1000.0 AS capacity_core_seconds,
       coalesce(b.core_seconds, 0) / nullif(
           extract(epoch FROM s.ended_at - s.started_at)::float8 * l.capacity_millicores / 1000.0, 0) AS utilisation,
       b.first_start, b.last_end
FROM nodes AS n JOIN node_loads AS l ON l.node = n.name CROSS JOIN span AS s LEFT JOIN busy AS b ON b.node = n.name
"""

_RUNNING_AND_WAITING = """
WITH steps AS (
    SELECT at, path IS NULL AS of_run,
           (to_state = 'RUNNING')::int - (from_state IS NOT DISTINCT FROM 'RUNNING')::int AS running,
           (to_state IN ('PENDING', 'READY', 'ADMITTED', 'PLACED'))::int
           - (coalesce(from_state, '') IN ('PENDING', 'READY', 'ADMITTED', 'PLACED'))::int AS waiting
    FROM events
), changes AS (
    SELECT at,
           sum(running) FILTER (WHERE of_run) AS running_runs, sum(waiting) FILTER (WHERE of_run) AS waiting_runs,
           sum(running) FILTER (WHERE NOT of_run) AS running_tasks, sum(waiting) FILTER (WHERE NOT of_run) AS waiting_tasks
    FROM steps WHERE running <> 0 OR waiting <> 0 GROUP BY at
)
SELECT at,
       coalesce(sum(running_runs) OVER past, 0)::bigint AS running_runs,
       coalesce(sum(waiting_runs) OVER past, 0)::bigint AS waiting_runs,
       coalesce(sum(running_tasks) OVER past, 0)::bigint AS running_tasks,
       coalesce(sum(waiting_tasks) OVER past, 0)::bigint AS waiting_tasks
FROM changes WINDOW past AS (ORDER BY at)
"""

_PREDICTIONS = """
WITH ended AS (
    SELECT a.*, extract(epoch FROM a.finished_at - a.started_at)::float8 AS actual_seconds
    FROM attempts AS a
    WHERE a.state = 'SUCCEEDED' AND a.predicted_seconds IS NOT NULL AND a.started_at IS NOT NULL
)
SELECT e.run_id, e.path AS task, e.attempt, t.task_class, e.node, e.node_class, e.finished_at,
       e.predicted_seconds, e.actual_seconds,
       e.actual_seconds - e.predicted_seconds AS error_seconds,
       e.actual_seconds / nullif(e.predicted_seconds, 0) AS ratio
FROM ended AS e JOIN tasks AS t USING (run_id, path)
"""

_BOOKING_PEAKS = """
WITH steps AS (
    SELECT node, booked_at AS at, millicores, memory_mib, gpus FROM bookings
    UNION ALL
    SELECT node, released_at, -millicores, -memory_mib, -gpus FROM bookings WHERE released_at IS NOT NULL
), changes AS (
    SELECT node, at, sum(millicores) AS millicores, sum(memory_mib) AS memory_mib, sum(gpus) AS gpus
    FROM steps GROUP BY node, at
), levels AS (
    SELECT node, sum(millicores) OVER past AS millicores, sum(memory_mib) OVER past AS memory_mib,
           sum(gpus) OVER past AS gpus
    FROM changes WINDOW past AS (PARTITION BY node ORDER BY at)
), peaks AS (
    SELECT node, max(millicores)::bigint AS millicores, max(memory_mib)::bigint AS memory_mib, max(gpus)::bigint AS gpus
    FROM levels GROUP BY node
)
SELECT l.node, coalesce(p.millicores, 0) AS peak_millicores, l.capacity_millicores,
       coalesce(p.memory_mib, 0) AS peak_memory_mib, l.capacity_memory_mib,
       coalesce(p.gpus, 0) AS peak_gpus, l.capacity_gpus,
       coalesce(p.millicores > l.capacity_millicores OR p.memory_mib > l.capacity_memory_mib
                OR p.gpus > l.capacity_gpus, false) AS overbooked
FROM node_loads AS l LEFT JOIN peaks AS p ON p.node = l.node
ORDER BY l.node
"""

_ATTEMPT_HISTORY = """
SELECT r.name AS run_name, r.pipeline_name AS pipeline, a.run_id, a.path AS task, a.attempt, a.state, a.node,
       a.policy, a.strategy, a.reason AS why_node, a.placer, a.placed_at, a.accepted_at, a.started_at, a.finished_at,
       extract(epoch FROM a.started_at - a.placed_at)::float8 AS dispatch_seconds,
       extract(epoch FROM a.finished_at - a.started_at)::float8 AS ran_seconds,
       a.predicted_seconds, b.millicores, b.memory_mib, b.gpus, a.exit_code, a.end_code, a.end_message,
       a.peak_memory_mib, a.cpu_seconds
FROM attempts AS a
JOIN runs AS r ON r.id = a.run_id
LEFT JOIN bookings AS b USING (run_id, path, attempt)
"""

_VIEWS = {
    "run_times": (
        _RUN_TIMES,
        "execution_seconds: time in which at least one attempt of the run was running. "
        "waiting_seconds: time in which none was, before the first start and between tasks. "
        "total_seconds: submission to end; always waiting + execution. "
        "start_delay_seconds: submission to the first start. "
        "What has not happened yet is counted up to now.",
    ),
    "task_times": (
        _TASK_TIMES,
        "Each task with its latest attempt: node and why, waited (inputs there to start), ran, predicted, attempts. "
        "What has not happened yet is counted up to now.",
    ),
    "node_utilisation": (
        _NODE_UTILISATION,
        "Per node: core-seconds booked by running attempts against core-seconds offered, "
        "from the first start to the last end on any node.",
    ),
    "running_and_waiting": (
        _RUNNING_AND_WAITING,
        "After every change: runs that run and that wait (PENDING), tasks that run and that wait for a node or on it "
        "(READY, ADMITTED, PLACED). Read it ORDER BY at.",
    ),
    "predictions": (
        _PREDICTIONS,
        "Predicted against actual run time of every attempt that succeeded and had a prediction; "
        "ratio = actual / predicted.",
    ),
    "booking_peaks": (
        _BOOKING_PEAKS,
        "Per node: the most that was booked at any instant of the recorded history, against its capacity. "
        "overbooked must never be true.",
    ),
    "attempt_history": (
        _ATTEMPT_HISTORY,
        "Every attempt at every task: where, why there, when, how it ended.",
    ),
}


def upgrade() -> None:
    for name, (query, comment) in _VIEWS.items():
        op.execute(f"CREATE VIEW {name} AS {query}")
        op.execute(f"COMMENT ON VIEW {name} IS '{comment}'")


def downgrade() -> None:
    for name in reversed(_VIEWS):
        op.execute(f"DROP VIEW {name}")
