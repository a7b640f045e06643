"""The report as tables of text: the console and the page show the same ones."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from nodewise.recorder.reports.build import Report
from nodewise.recorder.reports.wording import duration, factor, percent

Row = Mapping[str, object]
Cell = Callable[[Row], str]

TASKS_TITLE: Final = "Tasks"


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A heading and how a row fills it. Numbers stand right."""

    heading: str
    cell: Cell
    right: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class TextTable:
    """A titled table; `note` says how to read it, `left_out` how many rows were too many."""

    title: str
    note: str
    columns: Sequence[Column]
    cells: Sequence[Sequence[str]]
    left_out: int = 0


def _text(name: str) -> Cell:
    return lambda row: "–" if row[name] is None else str(row[name])  # noqa: RUF001 - a dash


def _seconds(name: str) -> Cell:
    return lambda row: duration(row[name])


def _cores(name: str) -> Cell:
    return lambda row: f"{float(str(row[name])) / 1000:g}"


_PIPELINES: Final = (
    Column(heading="Pipeline", cell=_text("pipeline")),
    Column(heading="Runs", cell=_text("runs"), right=True),
    Column(heading="Succeeded", cell=_text("succeeded"), right=True),
    Column(heading="Waited (mean)", cell=_seconds("mean_waiting_seconds"), right=True),
    Column(heading="Waited (longest)", cell=_seconds("longest_waiting_seconds"), right=True),
    Column(heading="Executed (mean)", cell=_seconds("mean_execution_seconds"), right=True),
    Column(heading="Executed (longest)", cell=_seconds("longest_execution_seconds"), right=True),
)
_TASKS: Final = (
    Column(heading="Run", cell=_text("run_name")),
    Column(heading="Task", cell=_text("task")),
    Column(heading="State", cell=_text("state")),
    Column(heading="Node", cell=_text("node")),
    Column(heading="Waited", cell=_seconds("waited_seconds"), right=True),
    Column(heading="Ran", cell=_seconds("ran_seconds"), right=True),
    Column(heading="Predicted", cell=_seconds("predicted_seconds"), right=True),
    Column(heading="Tries", cell=_text("attempts"), right=True),
    Column(heading="Why this node", cell=_text("why_node")),
)
_NODES: Final = (
    Column(heading="Node", cell=_text("node")),
    Column(heading="Class", cell=_text("node_class")),
    Column(heading="Architecture", cell=_text("architecture")),
    Column(heading="Worker type", cell=_text("worker_type")),
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
    Column(heading="GPUs, most booked", cell=_text("peak_gpus"), right=True),
    Column(heading="of", cell=_text("capacity_gpus"), right=True),
    Column(heading="Overbooked", cell=lambda row: "YES" if row["overbooked"] else "never"),
)
_PREDICTIONS: Final = (
    Column(heading="Task class", cell=_text("task_class")),
    Column(heading="Node class", cell=_text("node_class")),
    Column(heading="Attempts", cell=_text("attempts"), right=True),
    Column(heading="Predicted (mean)", cell=_seconds("mean_predicted_seconds"), right=True),
    Column(heading="Actual (mean)", cell=_seconds("mean_actual_seconds"), right=True),
    Column(heading="Error (mean)", cell=_seconds("mean_absolute_error_seconds"), right=True),
    Column(heading="Actual / predicted", cell=lambda row: factor(row["typical_ratio"]), right=True),
)


def summary(report: Report) -> Sequence[tuple[str, str]]:
    """The headline figures: (what, how much)."""
    totals = report.totals
    return (
        ("Runs", _ends(totals)),
        ("Total execution time", duration(totals["total_execution_seconds"])),
        ("Waiting per run, mean", duration(totals["mean_waiting_seconds"])),
        ("Waiting per run, longest", duration(totals["longest_waiting_seconds"])),
        ("Execution per run, mean", duration(totals["mean_execution_seconds"])),
        ("Execution per run, longest", duration(totals["longest_execution_seconds"])),
        ("Most runs at once", _most(report, "running_runs", "waiting_runs")),
        ("Most tasks at once", _most(report, "running_tasks", "waiting_tasks")),
    )  # fmt: skip


def text_tables(report: Report, *, max_rows: int) -> Sequence[TextTable]:
    """All tables of the report, each with its first `max_rows` rows."""
    parts: Sequence[tuple[str, str, Sequence[Column], Sequence[Row]]] = (
        (
            "Pipelines",
            "A run waits from its submission to the first start of one of its tasks, and executes from there to its end.",
            _PIPELINES,
            report.pipelines,
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
        (
            "Prediction against reality",
            "Attempts that succeeded and had a learned run time when they were placed.",
            _PREDICTIONS,
            report.predictions,
        ),
    )  # fmt: skip
    return tuple(
        TextTable(
            title=title,
            note=note,
            columns=columns,
            cells=[[column.cell(row) for column in columns] for row in rows[:max_rows]],
            left_out=max(0, len(rows) - max_rows),
        )
        for title, note, columns, rows in parts
        if rows
    )


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
