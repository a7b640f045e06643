"""The figures of the summary report, over all runs or one team's. Reads only.

Waiting and execution are those of the view `run_times`: a run executes while at least one of its attempts runs, and
waits the rest of the time from its submission to its end, also between its tasks. `total_execution_seconds` is the
makespan: from the first start to the last end of all runs.
"""

from collections.abc import Sequence

from sqlalchemy import Connection, RowMapping, text

_RUN_COUNTS = text(
    "SELECT state, count(*) FROM runs WHERE CAST(:team AS text) IS NULL OR team = :team GROUP BY state"
)
_TASK_COUNTS = text("""
SELECT t.state, count(*) FROM tasks AS t JOIN runs AS r ON r.id = t.run_id
WHERE CAST(:team AS text) IS NULL OR r.team = :team GROUP BY t.state
""")
_TOTALS = text("""
SELECT min(started_at) AS first_start, max(finished_at) FILTER (WHERE started_at IS NOT NULL) AS last_end,
       extract(epoch FROM max(finished_at) FILTER (WHERE started_at IS NOT NULL)
                          - min(started_at))::float8 AS total_execution_seconds,
       avg(waiting_seconds) AS mean_waiting_seconds, max(waiting_seconds) AS max_waiting_seconds,
       avg(execution_seconds) AS mean_execution_seconds, max(execution_seconds) AS max_execution_seconds
FROM run_times WHERE CAST(:team AS text) IS NULL OR team = :team
""")
_PIPELINES = text("""
SELECT pipeline, count(*) AS runs,
       count(*) FILTER (WHERE state = 'SUCCEEDED') AS succeeded,
       count(*) FILTER (WHERE state = 'FAILED') AS failed,
       avg(waiting_seconds) AS mean_waiting_seconds, max(waiting_seconds) AS max_waiting_seconds,
       avg(execution_seconds) AS mean_execution_seconds, max(execution_seconds) AS max_execution_seconds
FROM run_times WHERE CAST(:team AS text) IS NULL OR team = :team
GROUP BY pipeline ORDER BY pipeline COLLATE "C" LIMIT :limit
""")
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
    """First start, last end and the makespan between them (null before them), waiting and execution over all runs."""
    return connection.execute(_TOTALS, {"team": team}).mappings().one()


def by_pipeline(connection: Connection, team: str | None, *, limit: int) -> Sequence[RowMapping]:
    """Waiting and execution per pipeline name."""
    return connection.execute(_PIPELINES, {"team": team, "limit": limit}).mappings().all()


def by_node(connection: Connection, team: str | None, *, now: object) -> Sequence[RowMapping]:
    """Tasks and utilisation per node; utilisation is null before anything ran."""
    return connection.execute(_NODES, {"team": team, "now": now}).mappings().all()
