"""The figures of the summary report, over all runs or one team's. Reads only.

A pipeline waits from its submission to the first start of one of its tasks, and executes from there to its end.
"""

from collections.abc import Sequence

from sqlalchemy import Connection, RowMapping, text

_RUN_SPANS = """
WITH spans AS (
    SELECT r.id, r.name, r.pipeline_name, r.state, r.submitted_at, r.finished_at, min(a.started_at) AS started_at,
           max(a.finished_at) AS last_end
    FROM runs AS r LEFT JOIN attempts AS a ON a.run_id = r.id
    WHERE CAST(:team AS text) IS NULL OR r.team = :team
    GROUP BY r.id
)
"""
_RUN_COUNTS = text(
    "SELECT state, count(*) FROM runs WHERE CAST(:team AS text) IS NULL OR team = :team GROUP BY state"
)
_TASK_COUNTS = text("""
SELECT t.state, count(*) FROM tasks AS t JOIN runs AS r ON r.id = t.run_id
WHERE CAST(:team AS text) IS NULL OR r.team = :team GROUP BY t.state
""")
_TOTALS = text(
    _RUN_SPANS
    + """
SELECT min(started_at) AS first_start, max(last_end) AS last_end,
       extract(epoch FROM max(last_end) - min(started_at))::float8 AS total_execution_seconds,
       avg(extract(epoch FROM started_at - submitted_at))::float8 AS mean_waiting_seconds,
       max(extract(epoch FROM started_at - submitted_at))::float8 AS max_waiting_seconds,
       avg(extract(epoch FROM finished_at - started_at))::float8 AS mean_execution_seconds,
       max(extract(epoch FROM finished_at - started_at))::float8 AS max_execution_seconds
FROM spans
"""
)
_PIPELINES = text(
    _RUN_SPANS
    + """
SELECT pipeline_name AS pipeline, count(*) AS runs,
       count(*) FILTER (WHERE state = 'SUCCEEDED') AS succeeded,
       count(*) FILTER (WHERE state = 'FAILED') AS failed,
       avg(extract(epoch FROM started_at - submitted_at))::float8 AS mean_waiting_seconds,
       max(extract(epoch FROM started_at - submitted_at))::float8 AS max_waiting_seconds,
       avg(extract(epoch FROM finished_at - started_at))::float8 AS mean_execution_seconds,
       max(extract(epoch FROM finished_at - started_at))::float8 AS max_execution_seconds
FROM spans GROUP BY pipeline_name ORDER BY pipeline_name COLLATE "C" LIMIT :limit
"""
)
# Utilisation: core-seconds that attempts really ran on the cores booked for them, over the core-seconds that the node
# offered from the first start to the last end of all (now, while something runs).
_NODES = text("""
WITH ran AS (
    SELECT a.node, a.path, b.millicores, a.started_at, coalesce(a.finished_at, CAST(:now AS timestamptz)) AS ended_at
    FROM attempts AS a JOIN bookings AS b USING (run_id, path, attempt) JOIN runs AS r ON r.id = a.run_id
    WHERE a.started_at IS NOT NULL AND (CAST(:team AS text) IS NULL OR r.team = :team)
), span AS (
    SELECT extract(epoch FROM max(ended_at) - min(started_at)) AS seconds FROM ran
)
SELECT n.name AS node, n.node_class, count(ran.node) AS tasks,
       coalesce(sum(extract(epoch FROM ran.ended_at - ran.started_at)), 0)::float8 AS busy_seconds,
       (coalesce(sum(extract(epoch FROM ran.ended_at - ran.started_at) * ran.millicores), 0)
        / nullif(l.capacity_millicores * (SELECT seconds FROM span), 0))::float8 AS utilisation
FROM nodes AS n JOIN node_loads AS l ON l.node = n.name LEFT JOIN ran ON ran.node = n.name
GROUP BY n.name, n.node_class, l.capacity_millicores ORDER BY n.name COLLATE "C"
""")


def run_counts(connection: Connection, team: str | None) -> dict[str, int]:
    """How many runs are in which state."""
    return {row[0]: row[1] for row in connection.execute(_RUN_COUNTS, {"team": team})}


def task_state_counts(connection: Connection, team: str | None) -> dict[str, int]:
    """How many tasks are in which state."""
    return {row[0]: row[1] for row in connection.execute(_TASK_COUNTS, {"team": team})}


def totals(connection: Connection, team: str | None) -> RowMapping:
    """First start, last end, and waiting and execution over all runs; null where nothing started yet."""
    return connection.execute(_TOTALS, {"team": team}).mappings().one()


def by_pipeline(connection: Connection, team: str | None, *, limit: int) -> Sequence[RowMapping]:
    """Waiting and execution per pipeline name."""
    return connection.execute(_PIPELINES, {"team": team, "limit": limit}).mappings().all()


def by_node(connection: Connection, team: str | None, *, now: object) -> Sequence[RowMapping]:
    """Tasks and utilisation per node; utilisation is null before anything ran."""
    return connection.execute(_NODES, {"team": team, "now": now}).mappings().all()
