"""Plots of a report as SVG for a page: no fonts, scripts or addresses inside, and never too large to open."""

import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

from nodewise.recorder.reports.build import Report, Wave
from nodewise.recorder.reports.lanes import Lane, lanes_of
from nodewise.recorder.reports.wording import duration, percent

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Row = Mapping[str, object]

MAX_BARS: Final = 40
MAX_POINTS: Final = 1500
MAX_SPANS: Final = 3000
_MAX_FOUND_WAVES: Final = 12
_LETTER: Final = 0.0085
"""Width of a letter of a wave's name, as a share of the plot."""
_MAX_NAME: Final = 32

# Okabe and Ito's palette: told apart by people with any colour vision.
_WAITING: Final = "#e69f00"
_EXECUTION: Final = "#0072b2"
_ENDED_BADLY: Final = "#d55e00"
_KINDS: Final = {
    "preprocessing": "#56b4e9",
    "training": "#0072b2",
    "evaluation": "#009e73",
    "inference": "#cc79a7",
    "other": "#8a8a8a",
}
_BASES: Final[Mapping[str | None, tuple[str, str]]] = {
    "prior": ("#e69f00", "from size and node only"),
    "pooled": ("#56b4e9", "from other tasks and nodes"),
    "learned": ("#0072b2", "from earlier runs of its kind there"),
    None: ("#8a8a8a", "by a release without ranges"),
}
_STYLE: Final[dict[Any, Any]] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "nodewise",
    "font.family": "sans-serif",
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#8b94a3",
    "axes.labelcolor": "#3a4252",
    "text.color": "#1b2230",
    "xtick.color": "#3a4252",
    "ytick.color": "#3a4252",
    "axes.grid.axis": "x",
    "axes.grid": True,
    "grid.color": "#e4e8ee",
    "axes.axisbelow": True,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Plot:
    """A drawn plot. `description` is its text alternative, `note` says what was left out."""

    name: str
    title: str
    description: str
    svg: str
    note: str = ""


def draw_all(report: Report) -> Sequence[Plot]:
    """The plots that this report has rows for."""
    import matplotlib as mpl  # noqa: PLC0415 - half a second that only a page with plots should cost

    with mpl.rc_context(_STYLE):
        drawn = (
            draw_pipelines(report),
            draw_levels(report),
            draw_gantt(report),
            draw_predictions(report),
        )
    return tuple(plot for plot in drawn if plot is not None)


def draw_pipelines(report: Report) -> Plot | None:
    """Bars of waiting and execution per pipeline; of too many, the longest."""
    rows = report.pipelines
    if not rows:
        return None
    rows = sorted(rows, key=_bar_length, reverse=True)[:MAX_BARS] if len(rows) > MAX_BARS else rows
    names = [_short(str(row["pipeline"])) for row in rows]
    waiting = [_number(row["mean_waiting_seconds"]) for row in rows]
    execution = [_number(row["mean_execution_seconds"]) for row in rows]
    figure, axes = _figure(height=1.2 + 0.3 * len(rows))
    axes.barh(range(len(rows)), waiting, color=_WAITING, label="waiting", height=0.7)
    axes.barh(range(len(rows)), execution, left=waiting, color=_EXECUTION, label="execution", height=0.7)
    axes.set_yticks(range(len(rows)), names)
    axes.margins(y=0.02)
    axes.invert_yaxis()
    axes.set_xlabel("seconds, mean over the runs of a pipeline")
    _legend(axes)
    slowest = max(rows, key=_bar_length)
    return Plot(
        name="pipelines",
        title="Waiting and execution per pipeline",
        description=(
            f"Bars of {len(rows)} pipelines. The longest is {slowest['pipeline']}: it waited "
            f"{duration(slowest['mean_waiting_seconds'])} and executed {duration(slowest['mean_execution_seconds'])}."
        ),
        svg=_svg(figure, "pipelines"),
        note=f"The {MAX_BARS} longest of {len(report.pipelines)}."
        if len(report.pipelines) > MAX_BARS
        else "",
    )


def draw_levels(report: Report) -> Plot | None:
    """Running against waiting, runs above and tasks below, with the waves of submissions marked."""
    if not report.levels:
        return None
    from matplotlib.ticker import MaxNLocator  # noqa: PLC0415 - see draw_all

    rows = thinned(report.levels, MAX_POINTS)
    start = _time(rows[0]["at"])
    unit, label = _unit((_time(rows[-1]["at"]) - start).total_seconds())
    times = [(_time(row["at"]) - start).total_seconds() / unit for row in rows]
    figure, (above, below) = _figures(height=5.2)
    for axes, what in ((above, "runs"), (below, "tasks")):
        running, waiting = (
            [_number(row[f"{name}_{what}"]) for row in rows] for name in ("running", "waiting")
        )
        axes.step(times, waiting, where="post", color=_WAITING, label="waiting", linewidth=1.8)
        axes.step(times, running, where="post", color=_EXECUTION, label="running", linewidth=1.8)
        axes.fill_between(times, running, step="post", color=_EXECUTION, alpha=0.12, linewidth=0)
        axes.set_ylabel(what)
        axes.set_ylim(bottom=0, top=1.15 * axes.get_ylim()[1])
        axes.yaxis.set_major_locator(MaxNLocator(integer=True, nbins=6))
        _mark_waves(axes, report, start, unit, named=axes is above)
    below.set_xlabel(f"{label} since the first submission")
    _legend(above)
    return Plot(
        name="levels",
        title="Running against waiting over time",
        description=(
            f"Steps over {duration(times[-1] * unit)}. At most {_top(rows, 'running_runs')} runs ran and "
            f"{_top(rows, 'waiting_runs')} waited, at most {_top(rows, 'running_tasks')} tasks ran and "
            f"{_top(rows, 'waiting_tasks')} waited.{_count_waves(report)}"
        ),
        svg=_svg(figure, "levels"),
        note=f"Thinned to {len(rows)} of {len(report.levels)} changes."
        if len(report.levels) > len(rows)
        else "",
    )


def draw_gantt(report: Report) -> Plot | None:
    """Tasks on nodes over time: one bar per attempt, as many lanes per node as ran there at once."""
    spans = report.spans[:MAX_SPANS]
    if not spans:
        return None
    lanes = lanes_of(spans)
    start = min(_time(span["started_at"]) for span in spans)
    end = max(_time(span["finished_at"]) for span in spans)
    unit, label = _unit((end - start).total_seconds())
    height = min(14.0, 1.4 + 0.2 * len(lanes))
    figure, axes = _figure(height=height)
    for kind, colour in (*_KINDS.items(), (None, _ENDED_BADLY)):
        _bars(axes, lanes, kind, colour, start=start, unit=unit)
    _name_nodes(axes, lanes)
    axes.set_xlabel(f"{label} since the first start")
    _legend(axes)
    more = len(report.spans) - len(spans)
    return Plot(
        name="gantt",
        title="Tasks on nodes",
        description=f"Gantt chart of {len(spans)} attempts on {len({lane.node for lane in lanes})} nodes "
        f"over {duration((end - start).total_seconds())}; the table of tasks has the start and the end of each task's latest attempt.",
        svg=_svg(figure, "gantt"),
        note=f"The first {len(spans)} attempts; {more} more are not drawn." if more else "",
    )


def draw_predictions(report: Report) -> Plot | None:
    """Actual against predicted run times, on logarithmic axes; on the diagonal a prediction was right."""
    rows = [
        row
        for row in report.outcomes
        if _number(row["predicted_seconds"]) > 0 < _number(row["actual_seconds"])
    ]
    if not rows:
        return None
    shown = rows[-MAX_POINTS:]
    figure, axes = _figure(height=5.2)
    for basis, (colour, label) in _BASES.items():
        points = [row for row in shown if row["prediction_basis"] == basis]
        predicted, actual = (
            [_number(row[f"{what}_seconds"]) for row in points] for what in ("predicted", "actual")
        )
        if points:
            axes.scatter(predicted, actual, s=14, color=colour, alpha=0.7, linewidths=0, label=label)
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.axline((1.0, 1.0), (10.0, 10.0), color="#5b6475", linestyle=(0, (3, 3)), linewidth=1)
    axes.set_xlabel("predicted seconds")
    axes.set_ylabel("actual seconds")
    _legend(axes)
    held = [row["held"] for row in rows if row["held"] is not None]
    within = f"{percent(sum(map(bool, held)) / len(held))} of them" if held else "none"
    return Plot(
        name="predictions",
        title="Predicted and actual run times",
        description=f"Points of {len(shown)} attempts that succeeded, actual against predicted run time; "
        f"{within} lay within the range that was named before.",
        svg=_svg(figure, "predictions"),
        note=f"The last {len(shown)} of {len(rows)}." if len(rows) > len(shown) else "",
    )


def thinned(rows: Sequence[Row], limit: int) -> Sequence[Row]:
    """At most `limit` rows; of each stretch the one with most going on, and always the first and the last."""
    if len(rows) <= limit:
        return rows
    inner, pieces = rows[1:-1], limit - 2
    bounds = [len(inner) * piece // pieces for piece in range(pieces + 1)]
    stretches = [inner[low:high] for low, high in pairwise(bounds) if high > low]
    return [rows[0], *(max(stretch, key=_going_on) for stretch in stretches), rows[-1]]


def _going_on(row: Row) -> float:
    return _number(row["running_tasks"]) + _number(row["waiting_tasks"])


def _bars(
    axes: "Axes", lanes: Sequence[Lane], kind: str | None, colour: str, *, start: datetime, unit: float
) -> None:
    """The bars of one kind in every lane; None: those that ended badly, whatever their kind."""
    labelled = False
    for position, lane in enumerate(lanes):
        bars = [
            ((_time(s["started_at"]) - start).total_seconds() / unit, _length(s) / unit)
            for s in lane.spans
            if _shown_as(s) == kind
        ]
        if bars:
            label = None if labelled else (kind or "did not succeed")
            axes.broken_barh(
                bars, (position - 0.4, 0.8), facecolors=colour, edgecolors="white", linewidth=0.4, label=label
            )
            labelled = True


def _shown_as(span: Row) -> str | None:
    if span["state"] not in {"SUCCEEDED", "RUNNING"}:
        return None
    return str(span["kind"]) if span["kind"] in _KINDS else "other"


def _name_nodes(axes: "Axes", lanes: Sequence[Lane]) -> None:
    """One tick per node in the middle of its lanes, a line between nodes."""
    positions: dict[str, list[int]] = {}
    for position, lane in enumerate(lanes):
        positions.setdefault(lane.node, []).append(position)
    axes.set_yticks([sum(own) / len(own) for own in positions.values()], [_short(node) for node in positions])
    for own in list(positions.values())[1:]:
        axes.axhline(own[0] - 0.5, color="#8b94a3", linewidth=0.6)
    axes.set_ylim(len(lanes) - 0.5, -0.5)


def _count_waves(report: Report) -> str:
    waves = waves_to_mark(report.waves)
    return f" Submission waves: {len(waves)}." if waves else ""


def waves_to_mark(waves: Sequence[Wave]) -> Sequence[Wave]:
    """Those that tell something: named ones, or a few found ones of which one has several runs."""
    if not waves or waves[0].labelled:
        return waves[:MAX_BARS]
    told = len(waves) <= _MAX_FOUND_WAVES and any(wave.runs > 1 for wave in waves)
    return waves if told else ()


def _mark_waves(axes: "Axes", report: Report, start: datetime, unit: float, *, named: bool) -> None:
    """A line at each wave; its name above the plot, or just inside, where the names before it leave room."""
    low, high = axes.get_xlim()
    free_from = [low, low]
    for wave in waves_to_mark(report.waves):
        at = (wave.started_at - start).total_seconds() / unit
        axes.axvline(at, color="#5b6475", linestyle=(0, (3, 3)), linewidth=1)
        name = f"wave {_short(wave.name)} ({wave.runs})"
        row = next((row for row, free in enumerate(free_from) if at >= free), None)
        if named and row is not None:
            free_from[row] = at + (high - low) * _LETTER * (len(name) + 2)
            axes.annotate(
                name,
                (at, 1.0),
                xycoords=("data", "axes fraction"),
                xytext=(3, 3 - 13 * row),
                textcoords="offset points",
                fontsize=8.5,
                color="#5b6475",
            )


def _figure(*, height: float) -> "tuple[Figure, Axes]":
    from matplotlib.figure import Figure  # noqa: PLC0415 - see draw_all

    figure = Figure(figsize=(9.6, height), layout="constrained")
    return figure, figure.add_subplot()


def _figures(*, height: float) -> "tuple[Figure, tuple[Axes, Axes]]":
    from matplotlib.figure import Figure  # noqa: PLC0415 - see draw_all

    figure = Figure(figsize=(9.6, height), layout="constrained")
    above, below = figure.subplots(2, 1, sharex=True)
    return figure, (above, below)


def _legend(axes: "Axes") -> None:
    axes.legend(frameon=False, ncols=6, loc="lower right", bbox_to_anchor=(1.0, 1.0), borderaxespad=1.4)


def _svg(figure: "Figure", name: str) -> str:
    """The figure for use inside a page: ids of its own, no prolog, no metadata, no fixed size."""
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None})
    drawn = buffer.getvalue()
    drawn = drawn[drawn.index("<svg") :]
    drawn = re.sub(r"<metadata>.*?</metadata>", "", drawn, flags=re.DOTALL)
    drawn = re.sub(r'\sxmlns(:\w+)?="[^"]*"', "", drawn)
    drawn = re.sub(r'(<svg[^>]*?) width="[^"]*"', r"\1", drawn, count=1)
    drawn = re.sub(r'(<svg[^>]*?) height="[^"]*"', r"\1", drawn, count=1)
    drawn = re.sub(r'\bid="', f'id="{name}-', drawn)
    return drawn.replace("url(#", f"url(#{name}-").replace('href="#', f'href="#{name}-')


def _unit(seconds: float) -> tuple[float, str]:
    if seconds < 600:
        return 1.0, "seconds"
    return (60.0, "minutes") if seconds < 4 * 3600 else (3600.0, "hours")


def _bar_length(row: Row) -> float:
    return _number(row["mean_waiting_seconds"]) + _number(row["mean_execution_seconds"])


def _length(span: Row) -> float:
    return (_time(span["finished_at"]) - _time(span["started_at"])).total_seconds()


def _top(rows: Sequence[Row], name: str) -> int:
    return int(max(_number(row[name]) for row in rows))


def _short(name: str) -> str:
    """Cut to what fits beside a plot; a dollar sign would start a formula."""
    cut = name if len(name) <= _MAX_NAME else f"{name[: _MAX_NAME - 1]}…"
    return cut.replace("$", r"\$")


def _number(value: object) -> float:
    return float(str(value)) if value is not None else 0.0


def _time(value: object) -> datetime:
    assert isinstance(value, datetime)  # noqa: S101 - the queries leave no null here
    return value
