"""What people see while and after a run: a bar on a terminal, plain lines elsewhere, and plain tables."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Self, TextIO

from nodewise.sdk.models import RunInfo, TaskInfo

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

_WAITING = ("WAITING", "READY", "ADMITTED")
_ENDED = ("SUCCEEDED", "FAILED", "SKIPPED", "CANCELED")


def progress_line(run: RunInfo) -> str:
    """One line: `kddcup99 (3f2a91c0): RUNNING, 1 of 3 tasks done, 1 RUNNING`."""
    counts = run["tasks"]["by_state"]
    moving = [f"{n} {state}" for state, n in sorted(counts.items()) if state not in _ENDED and n]
    failed = [f"{counts[state]} {state}" for state in _ENDED[1:] if counts.get(state)]
    parts = [run["state"], f"{done(run)} of {run['tasks']['total']} tasks done", *failed, *moving]
    return f"{run['name']} ({short(run['id'])}): {', '.join(parts)}"


def done(run: RunInfo) -> int:
    """How many tasks will not move any more."""
    return sum(run["tasks"]["by_state"].get(state, 0) for state in _ENDED)


def short(run_id: str) -> str:
    """Enough of a run's id to find it by."""
    return run_id[:8]


class RunProgress:
    """Shows a run's progress on stderr, so that stdout stays for results. Not shown: does nothing."""

    def __init__(self, *, shown: bool = True, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stderr
        self._shown = shown
        self._bar: Progress | None = None
        self._bar_id: TaskID | None = None
        self._last = ""

    def __enter__(self) -> Self:
        if self._shown and self._stream.isatty():
            self._bar = _bar(self._stream)
            self._bar.start()
        return self

    def __exit__(self, *exc: object) -> None:
        if self._bar is not None:
            self._bar.stop()

    def update(self, run: RunInfo) -> None:
        """Show the run as it is now."""
        line = progress_line(run)
        if not self._shown:
            return
        if self._bar is None:
            self._print(line)
            return
        if self._bar_id is None:
            self._bar_id = self._bar.add_task(run["name"], total=run["tasks"]["total"])
        self._bar.update(self._bar_id, completed=done(run), description=line)

    def _print(self, line: str) -> None:
        if line != self._last:
            print(line, file=self._stream, flush=True)
            self._last = line


def _bar(stream: TextIO) -> Progress:
    from rich.console import Console  # noqa: PLC0415
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn  # noqa: PLC0415

    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    return Progress(*columns, console=Console(file=stream))


def seconds_text(seconds: float | None) -> str:
    """`0.4`, `12.3`, `-` for unknown."""
    return "-" if seconds is None else f"{seconds:.1f}"


TASK_HEADERS = ("task", "state", "node", "waited", "ran", "why")


def task_row(task: TaskInfo) -> tuple[str, ...]:
    """The cells under `TASK_HEADERS`: why it is on its node, or why it has none yet."""
    return (
        task["path"],
        task["state"],
        task["node"] or "-",
        seconds_text(task["waited_seconds"]),
        seconds_text(task["ran_seconds"]),
        why(task),
    )


def why(task: TaskInfo) -> str:
    """Why it waits or failed, else why it is where it is; and what became of the attempt before."""
    return "; ".join([_reason(task), *_history(task)])


def _history(task: TaskInfo) -> list[str]:
    """`attempt 2`, `attempt 1 failed: ValueError: no rows`; nothing for a task that was never tried again."""
    failure = task.get("last_failure")
    waits = task["state"] in _WAITING
    said = [f"attempt {task['attempt']}"] if task["attempt"] > 1 and not waits else []
    if failure is None or (failure["attempt"] == task["attempt"] and not waits):
        return said
    cause = failure["message"] or failure["code"] or "-"
    if cause not in (task["reason"] or ""):
        said.append(f"attempt {failure['attempt']} {failure['state'].lower()}: {cause}")
    return said


def _reason(task: TaskInfo) -> str:
    if task["state"] in {"RUNNING", "SUCCEEDED", "PLACED"}:
        return task["why_node"] or task["reason"] or "-"
    return task["reason"] or task["reason_code"] or task["why_node"] or "-"


def task_table(tasks: Sequence[TaskInfo]) -> str:
    """The tasks of one run as plain text."""
    return plain_table(TASK_HEADERS, [task_row(task) for task in tasks])


def plain_table(headers: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """Aligned columns, two spaces apart, nothing cut off: good for pipes and logs."""
    cells = [[str(cell) for cell in row] for row in (headers, *rows)]
    widths = [max(len(row[i]) for row in cells) for i in range(len(headers))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in cells]
    return "\n".join(line.rstrip() for line in lines)
