"""The report as tables of text: the console and the page show the same ones."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from nodewise.core.estimates.learning import Basis
from nodewise.recorder.reports.build import Report
from nodewise.recorder.reports.wording import duration, mebibytes, moment, percent, within

Row = Mapping[str, object]
Cell = Callable[[Row], str]

TASKS_TITLE: Final = "Tasks"


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A heading and how a row fills it. Numbers stand right."""

    heading: str
    cell: Cell
    right: bool = False
    at_least: int = 0
    """A terminal narrower than so many characters leaves the column out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TextTable:
    """A titled table; `note` says how to read it, `left_out` how many rows were too many.

    `narrowed`: some columns did not fit either.
    """

    title: str
    note: str
    columns: Sequence[Column]
    cells: Sequence[Sequence[str]]
    left_out: int = 0
    narrowed: bool = False


def _text(name: str) -> Cell:
    return lambda row: "–" if row[name] is None else str(row[name])  # noqa: RUF001 - a dash


def _seconds(name: str) -> Cell:
    return lambda row: duration(row[name])


def _moment(name: str) -> Cell:
    return lambda row: moment(row[name])


def _percent(name: str) -> Cell:
    return lambda row: percent(row[name])


def _mebibytes(name: str) -> Cell:
    return lambda row: mebibytes(row[name])


def _cores(name: str) -> Cell:
    return lambda row: f"{float(str(row[name])) / 1000:g}"


_BASES: Final = {
    Basis.PRIOR.value: "size and node only",
    Basis.POOLED.value: "other tasks and nodes",
    Basis.LEARNED.value: "earlier runs of its kind there",
    None: "a release without ranges",
}


def _basis(row: Row) -> str:
    if row["overall"]:
        return "all together"
    name = row["prediction_basis"]
    return _BASES[None if name is None else str(name)]


_WIDE: Final = 120
_VERY_WIDE: Final = 190

_PIPELINES: Final = (
    Column(heading="Pipeline", cell=_text("pipeline")),
    Column(heading="Runs", cell=_text("runs"), right=True),
    Column(heading="Succeeded", cell=_text("succeeded"), right=True),
    Column(heading="Waited (mean)", cell=_seconds("mean_waiting_seconds"), right=True),
    Column(heading="Waited (longest)", cell=_seconds("longest_waiting_seconds"), right=True, at_least=_WIDE),
    Column(heading="Executed (mean)", cell=_seconds("mean_execution_seconds"), right=True),
    Column(heading="Executed (longest)", cell=_seconds("longest_execution_seconds"), right=True, at_least=_WIDE),
)  # fmt: skip
_CHOICES: Final = (
    Column(heading="Policy", cell=_text("policy")),
    Column(heading="Strategy", cell=_text("strategy")),
    Column(heading="Runs", cell=_text("runs"), right=True),
    Column(heading="Waited (mean)", cell=_seconds("mean_waiting_seconds"), right=True),
    Column(heading="Executed (mean)", cell=_seconds("mean_execution_seconds"), right=True),
    Column(heading="Total (mean)", cell=_seconds("mean_total_seconds"), right=True),
    Column(heading="Makespan", cell=_seconds("makespan_seconds"), right=True),
)
_TASKS: Final = (
    Column(heading="Run", cell=_text("run_name")),
    Column(heading="Task", cell=_text("task")),
    Column(heading="State", cell=_text("state")),
    Column(heading="Node", cell=_text("node")),
    Column(heading="Start (UTC)", cell=_moment("started_at"), at_least=_VERY_WIDE),
    Column(heading="End (UTC)", cell=_moment("finished_at"), at_least=_VERY_WIDE),
    Column(heading="Waited", cell=_seconds("waited_seconds"), right=True),
    Column(heading="Ran", cell=_seconds("ran_seconds"), right=True),
    Column(heading="Predicted", cell=_seconds("predicted_seconds"), right=True, at_least=_WIDE),
    Column(heading="Likely range", cell=lambda row: within(row["predicted_low"], row["predicted_high"]), right=True, at_least=_VERY_WIDE),
    Column(heading="Tries", cell=_text("attempts"), right=True, at_least=_WIDE),
    Column(heading="Policy, strategy", cell=lambda row: f"{row['policy']}, {row['strategy']}", at_least=_VERY_WIDE),
    Column(heading="Why this node", cell=_text("why_node"), at_least=_WIDE),
)  # fmt: skip
_NODES: Final = (
    Column(heading="Node", cell=_text("node")),
    Column(heading="Class", cell=_text("node_class")),
    Column(heading="Architecture", cell=_text("architecture"), at_least=_WIDE),
    Column(heading="Worker type", cell=_text("worker_type"), at_least=_WIDE),
    Column(heading="Cores", cell=lambda row: f"{float(str(row['cores'])):g}", right=True),
    Column(heading="Attempts", cell=_text("attempts"), right=True),
    Column(heading="Busy core time", cell=_seconds("busy_core_seconds"), right=True),
    Column(heading="Utilisation", cell=lambda row: percent(row["utilisation"]), right=True),
)
_PEAKS: Final = (
    Column(heading="Node", cell=_text("node")),
    Column(heading="Cores, most booked", cell=_cores("peak_millicores"), right=True),
    Column(heading="of", cell=_cores("capacity_millicores"), right=True),
    Column(heading="MiB, most booked", cell=_text("peak_memory_mib"), right=True),
    Column(heading="of", cell=_text("capacity_memory_mib"), right=True),
    Column(heading="GPUs, most booked", cell=_text("peak_gpus"), right=True, at_least=_WIDE),
    Column(heading="of", cell=_text("capacity_gpus"), right=True, at_least=_WIDE),
    Column(heading="Overbooked", cell=lambda row: "YES" if row["overbooked"] else "never"),
)
_PREDICTIONS: Final = (
    Column(heading="Task class", cell=_text("task_class")),
    Column(heading="Node class", cell=_text("node_class")),
    Column(heading="Attempts", cell=_text("attempts"), right=True),
    Column(heading="Predicted (mean)", cell=_seconds("mean_predicted_seconds"), right=True),
    Column(heading="Actual (mean)", cell=_seconds("mean_actual_seconds"), right=True),
    Column(heading="Off by (median)", cell=_percent("median_error_share"), right=True),
    Column(heading="Within range", cell=_percent("held_share"), right=True),
    Column(heading="Memory predicted", cell=_mebibytes("mean_predicted_memory_mib"), right=True, at_least=_WIDE),
    Column(heading="Memory used", cell=_mebibytes("mean_actual_memory_mib"), right=True, at_least=_WIDE),
)  # fmt: skip
_QUALITY: Final = (
    Column(heading="Predicted from", cell=_basis),
    Column(heading="Attempts", cell=_text("attempts"), right=True),
    Column(heading="Off by (median)", cell=_percent("median_error_share"), right=True),
    Column(heading="Within range", cell=_percent("held_share"), right=True),
    Column(heading="Promised", cell=_percent("promised_share"), right=True),
    Column(heading="Memory within range", cell=_percent("memory_held_share"), right=True, at_least=_WIDE),
)


def summary(report: Report) -> Sequence[tuple[str, str]]:
    """The headline figures: (what, how much)."""
    totals = report.totals
    return (
        ("Runs", _ends(totals)),
        ("Makespan (first start to last end)", duration(totals["total_execution_seconds"])),
        ("Execution, sum over runs", duration(totals["sum_execution_seconds"])),
        ("Waiting per run, mean", duration(totals["mean_waiting_seconds"])),
        ("Waiting per run, longest", duration(totals["longest_waiting_seconds"])),
        ("Execution per run, mean", duration(totals["mean_execution_seconds"])),
        ("Execution per run, longest", duration(totals["longest_execution_seconds"])),
        ("Most runs at once", _most(report, "running_runs", "waiting_runs")),
        ("Most tasks at once", _most(report, "running_tasks", "waiting_tasks")),
        *_foresight(report),
    )  # fmt: skip


def text_tables(report: Report, *, max_rows: int, width: int | None = None) -> Sequence[TextTable]:
    """All tables of the report, each with its first `max_rows` rows and the columns that `width` characters hold."""
    return tuple(
        TextTable(
            title=title,
            note=note,
            columns=shown,
            cells=[[column.cell(row) for column in shown] for row in rows[:max_rows]],
            left_out=max(0, len(rows) - max_rows),
            narrowed=len(shown) < len(columns),
        )
        for title, note, columns, rows in _parts(report)
        if rows and (shown := [column for column in columns if width is None or column.at_least <= width])
    )


def _parts(report: Report) -> Sequence[tuple[str, str, Sequence[Column], Sequence[Row]]]:
    """Title, note, columns and rows of each table."""
    return (
        (
            "Pipelines",
            "A run executes while at least one of its tasks runs. From its submission to its end it waits the rest of "
            "the time: before its first task and between tasks.",
            _PIPELINES,
            report.pipelines,
        ),
        (
            "By policy and strategy",
            "Total: waiting and execution of a run. Makespan: from the first start to the last end of these runs.",
            _CHOICES,
            report.choices,
        ),
        (
            TASKS_TITLE,
            "A task waits from the time its inputs are there to its start, latest attempt.",
            _TASKS,
            report.tasks,
        ),
        (
            "Nodes",
            "Utilisation: core time of running attempts, as booked, against what the node offered from the first "
            "start to the last end.",
            _NODES,
            report.nodes,
        ),
        ("Bookings", "The most that was ever booked at one instant, against the capacity.", _PEAKS, report.peaks),
        *_predictions(report),
    )  # fmt: skip


def _predictions(report: Report) -> Sequence[tuple[str, str, Sequence[Column], Sequence[Row]]]:
    """As `_parts`: how good the predictions were, per pair and by what they rested on."""
    return (
        (
            "Prediction against reality",
            "Attempts that succeeded, against what was expected of them when they were placed. Off by: the difference as a "
            "share of the actual run time. Within range: outcomes inside the range that was named before.",
            _PREDICTIONS,
            report.predictions,
        ),
        (
            "What predictions rest on",
            "The more is learned, the smaller the error should be; about as many outcomes should lie within their range "
            "as were promised to.",
            _QUALITY,
            report.quality,
        ),
    )  # fmt: skip


def _foresight(report: Report) -> Sequence[tuple[str, str]]:
    """How good the predictions were, where there were any."""
    overall = next((row for row in report.quality if row["overall"]), None)
    if overall is None:
        return ()
    off = f"{percent(overall['median_error_share'])} (median of {overall['attempts']})"
    figures = [("Run times were predicted to within", off)]
    if overall["held_share"] is not None:
        held = f"{percent(overall['held_share'])}, promised: {percent(overall['promised_share'])}"
        figures.append(("Run times within their predicted range", held))
    return figures


def _ends(totals: Row) -> str:
    """How many runs, and how they ended, as far as there are any."""
    ends = (
        ("succeeded", "succeeded"),
        ("failed", "failed"),
        ("canceled", "canceled"),
        ("unfinished", "under way"),
    )
    said = [f"{totals[name]} {word}" for name, word in ends if totals[name]]
    return f"{totals['runs']}: {', '.join(said)}"


def _most(report: Report, running: str, waiting: str) -> str:
    def top(name: str) -> int:
        return max((int(str(row[name])) for row in report.levels), default=0)

    return f"{top(running)} running, {top(waiting)} waiting"
