"""Reads a report from the database and finds the waves of submissions in it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from sqlalchemy import Connection

from nodewise.core.db.queries import reports

Row = Mapping[str, object]

_EVER: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MAX_SPANS: Final = 10_000
_MAX_OUTCOMES: Final = 10_000
_WAVE_GAP: Final = timedelta(seconds=3)
"""Submissions closer than this are one wave, where runs have no label `wave`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wave:
    """Runs that were submitted together."""

    name: str
    started_at: datetime
    runs: int
    labelled: bool
    """Whether it was named by whoever submitted it; else it was found by the gaps around it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """All figures of a report. The rows are those of `nodewise.core.db.queries.reports`."""

    made_at: datetime
    totals: Row
    runs: Sequence[Row]
    pipelines: Sequence[Row]
    choices: Sequence[Row]
    """By policy and strategy."""
    tasks: Sequence[Row]
    spans: Sequence[Row]
    nodes: Sequence[Row]
    peaks: Sequence[Row]
    levels: Sequence[Row]
    predictions: Sequence[Row]
    """By task class and node class."""
    quality: Sequence[Row]
    """How good the predictions were, by what they rested on, and over all."""
    outcomes: Sequence[Row]
    """Predicted against actual, one row per attempt that succeeded."""
    waves: Sequence[Wave]

    @property
    def empty(self) -> bool:
        """Whether nothing was submitted in its time."""
        return not self.runs


def build_report(connection: Connection, *, since: datetime | None = None) -> Report:
    """Everything that was recorded of the runs submitted since then (None: of all)."""
    start = since or _EVER
    runs = reports.runs(connection, since=start)
    return Report(
        made_at=datetime.now(UTC),
        totals=reports.totals(connection, since=start),
        runs=runs,
        pipelines=reports.pipelines(connection, since=start),
        choices=reports.policies_and_strategies(connection, since=start),
        tasks=reports.tasks(connection, since=start),
        spans=reports.spans_on_nodes(connection, since=start, limit=_MAX_SPANS),
        nodes=reports.nodes(connection),
        peaks=reports.booking_peaks(connection),
        levels=reports.running_and_waiting(connection, since=start),
        predictions=reports.predictions(connection, since=start),
        quality=reports.prediction_quality(connection, since=start),
        outcomes=reports.predicted_outcomes(connection, since=start, limit=_MAX_OUTCOMES),
        waves=find_waves(runs),
    )


def find_waves(runs: Sequence[Row]) -> tuple[Wave, ...]:
    """The waves of submissions: by the label `wave` where every run has one, else by gaps.

    Args:
        runs: With `submitted_at` and `labels`, in the order of submission.
    """
    groups: dict[str, list[datetime]] = {}
    labels = [_label(run) for run in runs]
    labelled = all(label is not None for label in labels)
    last: datetime | None = None
    for run, label in zip(runs, labels, strict=True):
        at = run["submitted_at"]
        assert isinstance(at, datetime)  # noqa: S101 - the column is not null
        if last is None or (not labelled and at - last > _WAVE_GAP):
            number = len(groups) + 1
        last = at
        groups.setdefault(label if labelled and label else str(number), []).append(at)
    return tuple(
        Wave(name=name, started_at=times[0], runs=len(times), labelled=labelled)
        for name, times in groups.items()
    )


def _label(run: Row) -> str | None:
    labels = run["labels"]
    return str(labels["wave"]) if isinstance(labels, Mapping) and "wave" in labels else None
