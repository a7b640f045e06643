"""Estimates with intervals: what was believed of each attempt, what was learned, and where a plan wants each task."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from importlib import import_module

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from nodewise.core.estimates.learning import Beliefs, NodeFacts, Observation, Query, Samples, observe_all

revision: str = "0003"
down_revision: str | Sequence[str] | None = "0002"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

_TIME = sa.DateTime(timezone=True)

_CHECKS = {
    "tasks": {
        "input_bytes_not_negative": "input_bytes >= 0",
        "expected_end_after_start": "expected_end_at >= expected_start_at",
    },
    "attempts": {
        "prediction_basis_is_known": "prediction_basis IN ('prior', 'pooled', 'learned')",
        "predicted_within_interval": "predicted_seconds >= predicted_low AND predicted_seconds <= predicted_high",
        "memory_within_interval": "predicted_memory_mib >= predicted_memory_low "
        "AND predicted_memory_mib <= predicted_memory_high",
        "level_is_a_share": "prediction_level > 0 AND prediction_level < 1",
        "samples_not_negative": "prediction_samples >= 0",
    },
}

_ESTIMATES = "What was learned of run times and memory per task class and node class. Writer: recorder."
_OLD_ESTIMATES = "Learned run times per task class and node class. Writer: recorder."

_PREDICTED = "Expected run time (the median); null: nothing known."
_OLD_PREDICTED = "Expected run time; null: nothing known."

_OUTCOMES = """
SELECT t.task_class, a.node_class, t.effort_flops, n.accelerator, l.capacity_millicores,
       extract(epoch FROM a.finished_at - a.started_at)::float8 AS seconds, a.peak_memory_mib
FROM attempts AS a
JOIN tasks AS t USING (run_id, path)
JOIN nodes AS n ON n.name = a.node
LEFT JOIN node_loads AS l ON l.node = a.node
WHERE a.state = 'SUCCEEDED' AND a.finished_at >= a.started_at
ORDER BY a.finished_at, a.run_id, a.path, a.attempt
"""

_OLD_OUTCOMES = """
INSERT INTO runtime_estimates (task_class, node_class, runs, mean_log_seconds, m2_log_seconds, updated_at)
SELECT task_class, node_class, count(*), avg(value), coalesce(var_pop(value) * count(*), 0), max(finished_at)
FROM (
    SELECT t.task_class, a.node_class, a.finished_at,
           ln(greatest(extract(epoch FROM a.finished_at - a.started_at)::float8, 1e-3)) AS value
    FROM attempts AS a JOIN tasks AS t USING (run_id, path)
    WHERE a.state = 'SUCCEEDED' AND a.finished_at >= a.started_at
) AS outcomes
GROUP BY task_class, node_class
"""

_TASK_TIMES = """
SELECT t.run_id, r.name AS run_name, r.pipeline_name AS pipeline, t.path AS task, t.ordinal, t.component, t.kind,
       t.task_class, t.state, a.node, a.node_class, n.architecture, t.attempt AS attempts, t.failures,
       t.ready_at, a.placed_at, t.started_at, t.finished_at,
       CASE WHEN t.started_at IS NOT NULL OR t.state IN ('READY', 'ADMITTED', 'PLACED')
            THEN extract(epoch FROM coalesce(t.started_at, now()) - t.ready_at)::float8 END AS waited_seconds,
       extract(epoch FROM coalesce(t.finished_at, now()) - t.started_at)::float8 AS ran_seconds,
       a.predicted_seconds, a.predicted_low, a.predicted_high, a.prediction_basis,
       a.predicted_memory_mib, a.peak_memory_mib, a.reason_code AS why_code, a.reason AS why_node
FROM tasks AS t
JOIN runs AS r ON r.id = t.run_id
LEFT JOIN attempts AS a ON a.run_id = t.run_id AND a.path = t.path AND a.attempt = t.attempt
LEFT JOIN nodes AS n ON n.name = a.node
"""

_PREDICTIONS = """
WITH ended AS (
    SELECT a.*, extract(epoch FROM a.finished_at - a.started_at)::float8 AS actual_seconds
    FROM attempts AS a
    WHERE a.state = 'SUCCEEDED' AND a.predicted_seconds IS NOT NULL AND a.started_at IS NOT NULL
)
SELECT e.run_id, e.path AS task, e.attempt, t.task_class, e.node, e.node_class, e.finished_at,
       e.predicted_seconds, e.predicted_low, e.predicted_high, e.prediction_level, e.prediction_basis,
       e.prediction_samples, e.actual_seconds,
       e.actual_seconds - e.predicted_seconds AS error_seconds,
       e.actual_seconds / nullif(e.predicted_seconds, 0) AS ratio,
       abs(e.actual_seconds - e.predicted_seconds) / nullif(e.actual_seconds, 0) AS absolute_error_share,
       e.actual_seconds BETWEEN e.predicted_low AND e.predicted_high AS held,
       e.predicted_memory_mib, e.predicted_memory_low, e.predicted_memory_high,
       e.peak_memory_mib AS actual_memory_mib,
       e.peak_memory_mib BETWEEN e.predicted_memory_low AND e.predicted_memory_high AS memory_held
FROM ended AS e JOIN tasks AS t USING (run_id, path)
"""

_CALIBRATION = """
SELECT task_class, node_class, count(*) AS attempts,
       percentile_cont(0.5) WITHIN GROUP (ORDER BY absolute_error_share) AS median_error_share,
       avg(held::int)::float8 AS held_share, avg(prediction_level) AS promised_share,
       avg(memory_held::int)::float8 AS memory_held_share
FROM predictions
GROUP BY GROUPING SETS ((task_class, node_class), ())
HAVING count(*) > 0
"""

_VIEWS = {
    "task_times": (
        _TASK_TIMES,
        "Each task with its latest attempt: node and why, waited (inputs there to start), ran, predicted, attempts. "
        "What has not happened yet is counted up to now.",
    ),
    "predictions": (
        _PREDICTIONS,
        "Predicted against actual run time and peak of memory of every attempt that succeeded and had a prediction; "
        "ratio = actual / predicted; absolute_error_share = |actual - predicted| / actual; "
        "held: actual within predicted_low..predicted_high.",
    ),
    "calibration": (
        _CALIBRATION,
        "How good the predictions of run times were, per task class and node class, and over all (both null): "
        "the median of absolute_error_share; the share of intervals that held, against the share that they promised.",
    ),
}


def upgrade() -> None:
    for table, checks in _CHECKS.items():
        for column in _columns(table):
            op.add_column(table, column)
        for name, condition in checks.items():
            op.create_check_constraint(op.f(f"{table}_{name}"), table, condition)
    op.alter_column("attempts", "predicted_seconds", comment=_PREDICTED, existing_comment=_OLD_PREDICTED)
    _remake_estimates()
    for name in ("predictions", "task_times"):
        op.execute(f"DROP VIEW {name}")
    for name, (query, comment) in _VIEWS.items():
        op.execute(f"CREATE VIEW {name} AS {query}")
        op.execute(f"COMMENT ON VIEW {name} IS '{comment}'")


def downgrade() -> None:
    for name in reversed(_VIEWS):
        op.execute(f"DROP VIEW {name}")
    _restore_estimates()
    op.alter_column("attempts", "predicted_seconds", comment=_OLD_PREDICTED, existing_comment=_PREDICTED)
    for table, checks in _CHECKS.items():
        for name in checks:
            op.drop_constraint(op.f(f"{table}_{name}"), table)
        for column in _columns(table):
            op.drop_column(table, column.name)
    before = import_module("nodewise.core.db.migrations.versions.0002_report_views")
    for name in ("task_times", "predictions"):
        query, comment = before._VIEWS[name]  # what this migration replaced
        op.execute(f"CREATE VIEW {name} AS {query}")
        op.execute(f"COMMENT ON VIEW {name} IS '{comment}'")


def _columns(table: str) -> "tuple[sa.Column[object], ...]":
    if table == "tasks":
        return (
            sa.Column("input_bytes", sa.Float(), comment="Size of its data set in memory; null: unknown."),
            sa.Column(
                "allowed_nodes",
                postgresql.ARRAY(sa.Text()),
                comment="Where it may be placed while ADMITTED; null: anywhere.",
            ),
            sa.Column(
                "expected_node",
                sa.Text(),
                comment="Of the latest plan, with the two times; null: it is not planned.",
            ),
            sa.Column("expected_start_at", _TIME),
            sa.Column("expected_end_at", _TIME),
        )
    return (
        sa.Column(
            "predicted_low", sa.Float(), comment="Seconds; null: predicted by a release without intervals."
        ),
        sa.Column("predicted_high", sa.Float()),
        sa.Column("prediction_level", sa.Float(), comment="The chance that was given to low..high."),
        sa.Column("prediction_basis", sa.Text(), comment="nodewise.core.estimates.learning.Basis"),
        sa.Column("prediction_samples", sa.Integer(), comment="Runs of this pair seen by then."),
        sa.Column("predicted_memory_mib", sa.Float(), comment="Expected peak of memory (the median)."),
        sa.Column("predicted_memory_low", sa.Float()),
        sa.Column("predicted_memory_high", sa.Float()),
    )


def _remake_estimates() -> None:
    """Learn anew from every attempt on record: means of logarithms cannot be turned into samples."""
    op.drop_table("runtime_estimates")
    op.create_table(
        "runtime_estimates",
        sa.Column("task_class", sa.Text(), nullable=False),
        sa.Column("node_class", sa.Text(), nullable=False),
        sa.Column(
            "seconds",
            postgresql.JSONB(),
            nullable=False,
            comment="nodewise.core.estimates.learning.Samples of run times",
        ),
        sa.Column("memory", postgresql.JSONB(), nullable=False, comment="The same of peaks of memory."),
        sa.Column("updated_at", _TIME, nullable=False),
        sa.PrimaryKeyConstraint("task_class", "node_class", name=op.f("runtime_estimates_pkey")),
        comment=_ESTIMATES,
    )
    rows = op.get_bind().execute(sa.text(_OUTCOMES), execution_options={"yield_per": 1000})
    beliefs = observe_all(Beliefs(), _observations(rows))
    now = datetime.now(UTC)
    estimates = sa.table(
        "runtime_estimates",
        *(sa.column(name) for name in ("task_class", "node_class", "updated_at")),
        *(sa.column(name, postgresql.JSONB()) for name in ("seconds", "memory")),
    )
    op.bulk_insert(
        estimates,
        [
            {
                "task_class": task_class,
                "node_class": node_class,
                "seconds": seconds.to_json(),
                "memory": beliefs.memory.get((task_class, node_class), Samples()).to_json(),
                "updated_at": now,
            }
            for (task_class, node_class), seconds in sorted(beliefs.seconds.items(), key=lambda item: item[0])
        ],
    )


def _observations(rows: "sa.CursorResult[tuple[object, ...]]") -> Iterator[Observation]:
    for row in rows:
        cores = None if row.capacity_millicores is None else row.capacity_millicores / 1000
        peak = row.peak_memory_mib
        yield Observation(
            query=Query(
                task_class=row.task_class,
                node_class=row.node_class,
                effort_flops=row.effort_flops,
                node=NodeFacts(cores=cores, accelerator=row.accelerator),
            ),
            seconds=row.seconds,
            peak_memory_mib=peak if peak is not None and peak > 0 else None,
        )


def _restore_estimates() -> None:
    op.drop_table("runtime_estimates")
    op.create_table(
        "runtime_estimates",
        sa.Column("task_class", sa.Text(), nullable=False),
        sa.Column("node_class", sa.Text(), nullable=False),
        sa.Column("runs", sa.Integer(), nullable=False),
        sa.Column("mean_log_seconds", sa.Float(), nullable=False),
        sa.Column(
            "m2_log_seconds", sa.Float(), nullable=False, comment="Sum of squared deviations (Welford)."
        ),
        sa.Column("updated_at", _TIME, nullable=False),
        sa.PrimaryKeyConstraint("task_class", "node_class", name=op.f("runtime_estimates_pkey")),
        comment=_OLD_ESTIMATES,
    )
    op.execute(_OLD_OUTCOMES)
