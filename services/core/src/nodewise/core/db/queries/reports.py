"""What reports and exports read. Reads only, mostly through the views of migrations 0002 and 0003."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Final

from sqlalchemy import Connection, Table, TextClause, select, text

from nodewise.core.db import schema

Rows = Sequence[Mapping[str, object]]

_BATCH: Final = 2000

_TOTALS = text("""
SELECT count(*) AS runs,
       count(*) FILTER (WHERE state = 'SUCCEEDED') AS succeeded,
       count(*) FILTER (WHERE state = 'FAILED') AS failed,
       count(*) FILTER (WHERE state = 'CANCELED') AS canceled,
       count(*) FILTER (WHERE finished_at IS NULL) AS unfinished,
       min(submitted_at) AS first_submission, min(started_at) AS first_start, max(finished_at) AS last_end,
       extract(epoch FROM max(finished_at) - min(submitted_at))::float8 AS total_seconds,
       extract(epoch FROM max(finished_at) FILTER (WHERE started_at IS NOT NULL)
                          - min(started_at))::float8 AS total_execution_seconds,
       sum(execution_seconds) AS sum_execution_seconds,
       avg(waiting_seconds) AS mean_waiting_seconds, max(waiting_seconds) AS longest_waiting_seconds,
       avg(execution_seconds) AS mean_execution_seconds, max(execution_seconds) AS longest_execution_seconds
FROM run_times WHERE submitted_at >= :since
""")

_RUNS = text("SELECT * FROM run_times WHERE submitted_at >= :since ORDER BY submitted_at, run_id")

_PIPELINES = text("""
SELECT pipeline, count(*) AS runs, count(*) FILTER (WHERE state = 'SUCCEEDED') AS succeeded,
       avg(waiting_seconds) AS mean_waiting_seconds, max(waiting_seconds) AS longest_waiting_seconds,
       avg(execution_seconds) AS mean_execution_seconds, max(execution_seconds) AS longest_execution_seconds
FROM run_times WHERE submitted_at >= :since
GROUP BY pipeline ORDER BY min(submitted_at), pipeline
""")

_CHOICES = text("""
SELECT policy, strategy, count(*) AS runs, avg(waiting_seconds) AS mean_waiting_seconds,
       avg(execution_seconds) AS mean_execution_seconds, avg(total_seconds) AS mean_total_seconds,
       extract(epoch FROM max(finished_at) FILTER (WHERE started_at IS NOT NULL)
                          - min(started_at))::float8 AS makespan_seconds
FROM run_times WHERE submitted_at >= :since
GROUP BY policy, strategy ORDER BY min(submitted_at), policy, strategy
""")

_TASKS = text("""
SELECT t.*, r.submitted_at, r.policy, r.strategy FROM task_times AS t JOIN runs AS r ON r.id = t.run_id
WHERE r.submitted_at >= :since ORDER BY r.submitted_at, t.run_id, t.ordinal
""")

_SPANS = text("""
SELECT a.node, a.path AS task, r.name AS run_name, a.run_id, t.kind, a.state, a.started_at,
       coalesce(a.finished_at, now()) AS finished_at
FROM attempts AS a JOIN runs AS r ON r.id = a.run_id JOIN tasks AS t ON t.run_id = a.run_id AND t.path = a.path
WHERE a.started_at IS NOT NULL AND r.submitted_at >= :since
ORDER BY a.started_at, a.node, a.run_id, a.path LIMIT :limit
""")

_NODES = text("SELECT * FROM node_utilisation ORDER BY node")
_PEAKS = text("SELECT * FROM booking_peaks ORDER BY node")
_LEVELS = text("SELECT * FROM running_and_waiting WHERE at >= :since ORDER BY at")

_QUALITY = """
    count(*) AS attempts,
    percentile_cont(0.5) WITHIN GROUP (ORDER BY p.absolute_error_share) AS median_error_share,
    avg(p.held::int)::float8 AS held_share, avg(p.prediction_level) AS promised_share,
    avg(p.memory_held::int)::float8 AS memory_held_share
"""

_PREDICTIONS = text(f"""
SELECT p.task_class, p.node_class, {_QUALITY}, avg(p.predicted_seconds) AS mean_predicted_seconds,
       avg(p.actual_seconds) AS mean_actual_seconds, avg(p.predicted_memory_mib) AS mean_predicted_memory_mib,
       avg(p.actual_memory_mib)::float8 AS mean_actual_memory_mib
FROM predictions AS p JOIN runs AS r ON r.id = p.run_id
WHERE r.submitted_at >= :since
GROUP BY p.task_class, p.node_class ORDER BY p.task_class, p.node_class
""")  # noqa: S608 - constants

_PREDICTION_QUALITY = text(f"""
SELECT grouping(p.prediction_basis) = 1 AS overall, p.prediction_basis, {_QUALITY}
FROM predictions AS p JOIN runs AS r ON r.id = p.run_id
WHERE r.submitted_at >= :since
GROUP BY GROUPING SETS ((p.prediction_basis), ()) HAVING count(*) > 0
ORDER BY array_position(ARRAY['prior', 'pooled', 'learned'], p.prediction_basis), overall
""")  # noqa: S608 - constants

_OUTCOMES = text("""
SELECT p.*, r.name AS run_name, r.submitted_at FROM predictions AS p JOIN runs AS r ON r.id = p.run_id
WHERE r.submitted_at >= :since ORDER BY p.finished_at, p.run_id, p.task, p.attempt LIMIT :limit
""")


def totals(connection: Connection, *, since: datetime) -> Mapping[str, object]:
    """Counts of runs by end, waiting and execution on average and at most, and two ways to add up.

    `total_execution_seconds` is the makespan: from the first start of all to the last end. `sum_execution_seconds` adds
    the execution of every run, also of those that ran at the same time.
    """
    return dict(connection.execute(_TOTALS, {"since": since}).mappings().one())


def runs(connection: Connection, *, since: datetime) -> Rows:
    """Each run with its waiting, execution and total seconds, in the order of submission."""
    return _rows(connection, _RUNS, {"since": since})


def pipelines(connection: Connection, *, since: datetime) -> Rows:
    """Waiting and execution per pipeline name."""
    return _rows(connection, _PIPELINES, {"since": since})


def policies_and_strategies(connection: Connection, *, since: datetime) -> Rows:
    """Waiting, execution and makespan (first start to last end) per pair of policy and strategy."""
    return _rows(connection, _CHOICES, {"since": since})


def tasks(connection: Connection, *, since: datetime) -> Rows:
    """Each task with its node, its wait and its run time, in the order of submission and of the pipeline."""
    return _rows(connection, _TASKS, {"since": since})


def spans_on_nodes(connection: Connection, *, since: datetime, limit: int) -> Rows:
    """From when to when each attempt ran where; the first `limit` by start."""
    return _rows(connection, _SPANS, {"since": since, "limit": limit})


def nodes(connection: Connection) -> Rows:
    """Utilisation per node, over the whole record."""
    return _rows(connection, _NODES)


def booking_peaks(connection: Connection) -> Rows:
    """The most that was ever booked per node, against its capacity."""
    return _rows(connection, _PEAKS)


def running_and_waiting(connection: Connection, *, since: datetime) -> Rows:
    """Running and waiting runs and tasks after every change."""
    return _rows(connection, _LEVELS, {"since": since})


def predictions(connection: Connection, *, since: datetime) -> Rows:
    """Predicted against actual run time and memory per task class and node class.

    `median_error_share` is |actual - predicted| / actual, `held_share` of the outcomes lay within their interval,
    `promised_share` were to.
    """
    return _rows(connection, _PREDICTIONS, {"since": since})


def prediction_quality(connection: Connection, *, since: datetime) -> Rows:
    """The same figures over all (`overall`), and per basis of the prediction (None: placed by an older release)."""
    return _rows(connection, _PREDICTION_QUALITY, {"since": since})


def predicted_outcomes(connection: Connection, *, since: datetime, limit: int | None = None) -> Rows:
    """Every outcome that was predicted, with its prediction: the view `predictions`, oldest first. `None`: all."""
    return _rows(connection, _OUTCOMES, {"since": since, "limit": limit})


def tables() -> Sequence[Table]:
    """Every table of the record, by name; who may see it is none of that."""
    shown = (table for name, table in schema.metadata.tables.items() if name != schema.api_keys.name)
    return sorted(shown, key=lambda table: table.name)


def batches_of(connection: Connection, table: Table) -> Iterator[Rows]:
    """All rows of a table, in batches, ordered by its primary key; never the whole table in memory."""
    ordered = select(table).order_by(*table.primary_key.columns)
    with connection.execution_options(yield_per=_BATCH).execute(ordered) as result:
        for batch in result.mappings().partitions():
            yield [dict(row) for row in batch]


def _rows(connection: Connection, query: TextClause, parameters: Mapping[str, object] | None = None) -> Rows:
    return [dict(row) for row in connection.execute(query, parameters).mappings()]
