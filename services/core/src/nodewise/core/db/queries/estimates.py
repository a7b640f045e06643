"""Learned run times. Writer: recorder."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, text

from nodewise.core.estimates.runtime import RuntimeEstimate


@dataclass(frozen=True, slots=True, kw_only=True)
class RunTime:
    """One successful run, as a sample to learn from."""

    task_class: str
    node_class: str
    seconds: float


_LOAD = text("SELECT task_class, node_class, runs, mean_log_seconds, m2_log_seconds FROM runtime_estimates")

# The merge of `RuntimeEstimate.merged`, done where the row is locked.
_MERGE = text("""
INSERT INTO runtime_estimates AS e (task_class, node_class, runs, mean_log_seconds, m2_log_seconds, updated_at)
SELECT v.task_class, v.node_class, v.runs, v.mean, v.m2, :at
FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS v(
    task_class text, node_class text, runs int, mean float8, m2 float8)
ORDER BY v.task_class, v.node_class
ON CONFLICT (task_class, node_class) DO UPDATE SET
    runs = e.runs + excluded.runs,
    mean_log_seconds = e.mean_log_seconds
        + (excluded.mean_log_seconds - e.mean_log_seconds) * excluded.runs / (e.runs + excluded.runs),
    m2_log_seconds = e.m2_log_seconds + excluded.m2_log_seconds
        + (excluded.mean_log_seconds - e.mean_log_seconds) ^ 2 * e.runs * excluded.runs / (e.runs + excluded.runs),
    updated_at = excluded.updated_at
""")


def load_estimates(connection: Connection) -> Mapping[tuple[str, str], RuntimeEstimate]:
    """All learned run times by (task class, node class)."""
    return {
        (row.task_class, row.node_class): RuntimeEstimate(
            runs=row.runs, mean_log_seconds=row.mean_log_seconds, m2_log_seconds=row.m2_log_seconds
        )
        for row in connection.execute(_LOAD)
    }


def record_run_times(connection: Connection, samples: Sequence[RunTime], *, at: datetime) -> None:
    """Learn from these runs. One round trip."""
    seen: dict[tuple[str, str], RuntimeEstimate] = {}
    for sample in samples:
        pair = (sample.task_class, sample.node_class)
        seen[pair] = seen.get(pair, RuntimeEstimate()).updated(sample.seconds)
    if not seen:
        return
    rows = [
        {
            "task_class": task_class,
            "node_class": node_class,
            "runs": estimate.runs,
            "mean": estimate.mean_log_seconds,
            "m2": estimate.m2_log_seconds,
        }
        for (task_class, node_class), estimate in sorted(seen.items())
    ]
    connection.execute(_MERGE, {"rows": json.dumps(rows), "at": at})


def record_run_time(connection: Connection, sample: RunTime, *, at: datetime) -> None:
    """Learn from one run."""
    record_run_times(connection, [sample], at=at)
