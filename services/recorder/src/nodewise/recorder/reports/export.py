"""Writes the record to files: JSON and CSV in the forms that people of this field know, Parquet of every table."""

import csv
import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

from sqlalchemy import Connection

from nodewise.core.db.queries import reports
from nodewise.recorder.reports.build import find_waves

if TYPE_CHECKING:
    from nodewise.recorder.reports.parquet import Written

Row = Mapping[str, object]

PREDICTION_COLUMNS: Final = (
    "run_id", "run_name", "task", "attempt", "task_class", "node", "node_class", "finished_at",
    "predicted_seconds", "predicted_low", "predicted_high", "prediction_level", "prediction_basis",
    "prediction_samples", "actual_seconds", "absolute_error_share", "held",
    "predicted_memory_mib", "predicted_memory_low", "predicted_memory_high", "actual_memory_mib", "memory_held",
)  # fmt: skip
_EVER: Final = datetime(1970, 1, 1, tzinfo=UTC)


def export_all(connection: Connection, directory: Path) -> Sequence[Path]:
    """Write every export into `directory` (made if absent); return the files, the human ones first.

    `pipelines.json`, `n_pipelines.csv`, `predictions.csv`, and one Parquet file per table. Files of the same name are
    replaced.
    """
    from nodewise.recorder.reports.parquet import write_tables  # noqa: PLC0415 - pyarrow is heavy

    directory.mkdir(parents=True, exist_ok=True)
    pipelines, counts = directory / "pipelines.json", directory / "n_pipelines.csv"
    pipelines.write_text(json.dumps(pipeline_records(connection), indent=2) + "\n", encoding="utf-8")
    with counts.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("timestamp", "type", "running_pipelines", "waiting_pipelines"))
        writer.writerows(pipeline_counts(connection))
    predictions = _write_predictions(connection, directory / "predictions.csv")
    written: Sequence[Written] = write_tables(connection, directory)
    return [pipelines, counts, predictions, *(table.path for table in written)]


def pipeline_records(connection: Connection) -> list[dict[str, object]]:
    """Each run with its components: where each ran, on what platform, from when to when.

    `duration` goes from `started_at` to `finished_at`; `waiting` and `execution` are those of the view `run_times`.
    """
    components: dict[str, list[dict[str, object]]] = {}
    for task in reports.tasks(connection, since=_EVER):
        components.setdefault(str(task["run_id"]), []).append(_component(task))
    return [
        {
            "id": str(run["run_id"]),
            "name": run["run_name"],
            "pipeline": run["pipeline"],
            "state": run["state"],
            "submitted_at": _iso(run["submitted_at"]),
            "scheduled_at": _iso(run["scheduled_at"]),
            "started_at": _iso(run["started_at"]),
            "finished_at": _iso(run["finished_at"]),
            "duration": _span(run),
            "waiting": run["waiting_seconds"],
            "execution": run["execution_seconds"],
            "components": components.get(str(run["run_id"]), []),
        }
        for run in reports.runs(connection, since=_EVER)
    ]


def pipeline_counts(connection: Connection) -> Iterator[tuple[str, str, int, int]]:
    """(timestamp, type, running, waiting) at every change, and at the start of every wave of submissions."""
    waves = [wave.started_at for wave in find_waves(reports.runs(connection, since=_EVER))]
    last = (0, 0)
    for row in reports.running_and_waiting(connection, since=_EVER):
        at, counts = row["at"], (int(str(row["running_runs"])), int(str(row["waiting_runs"])))
        assert isinstance(at, datetime)  # noqa: S101 - the column is not null
        while waves and waves[0] <= at:
            yield _stamp(waves.pop(0)), "new_window", *last
        if counts != last:
            yield _stamp(at), "update", *counts
            last = counts


def _write_predictions(connection: Connection, path: Path) -> Path:
    """Predicted against actual run time and memory of every attempt that succeeded."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, PREDICTION_COLUMNS, extrasaction="ignore")
        writer.writeheader()
        for row in reports.predicted_outcomes(connection, since=_EVER):
            writer.writerow({**row, "finished_at": _iso(row["finished_at"])})
    return path


def _component(task: Row) -> dict[str, object]:
    return {
        "name": task["task"],
        "type": task["kind"],
        "state": task["state"],
        "node": task["node"],
        "platform": task["architecture"],
        "start_time": _iso(task["started_at"]),
        "end_time": _iso(task["finished_at"]),
        "duration": task["ran_seconds"] if task["finished_at"] else None,
    }


def _span(run: Row) -> float | None:
    started, finished = run["started_at"], run["finished_at"]
    if isinstance(started, datetime) and isinstance(finished, datetime):
        return (finished - started).total_seconds()
    return None


def _iso(time: object) -> str | None:
    return _stamp(time) if isinstance(time, datetime) else None


def _stamp(time: datetime) -> str:
    return time.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
