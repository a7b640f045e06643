"""`nodewise watch`: a live table on a terminal, one line per change elsewhere."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import typer

from nodewise.sdk.cli.options import RunRef, Url, connect, find_run
from nodewise.sdk.cli.output import fits, rich_blocks, rich_table
from nodewise.sdk.cli.reporting import is_terminal
from nodewise.sdk.models import TaskInfo
from nodewise.sdk.progress import TASK_HEADERS, progress_line, seconds_text, short, task_row, why

if TYPE_CHECKING:
    from nodewise.sdk.client import Run

_POLL_SECONDS = 0.5
_INTERRUPTED = 130
"""What a shell expects after Ctrl-C."""


def watch(run: RunRef, url: Url = None) -> None:
    """Follow a run to its end.

    The exit code is 0 only if it SUCCEEDED.
    """
    with connect(url) as client:
        run_id = find_run(client, run).id
    raise typer.Exit(0 if follow(run_id, url=url).succeeded else 1)


def follow(run_id: str, *, url: str | None, quiet: bool = False) -> Run:
    """Show the run until it has ended, and return it; `quiet`: just wait."""
    with connect(url, patient=True) as client:
        run = client.get(run_id)
        if quiet:
            return run.wait(progress=False, check=False)
        show = _follow_live if is_terminal() else _follow_plainly
        try:
            show(run)
        except KeyboardInterrupt:
            typer.echo(f"the run goes on; `nodewise cancel {short(run.id)}` ends it", err=True)
            raise typer.Exit(_INTERRUPTED) from None
        if run.info.get("error"):
            typer.echo(f"why: {run.info['error']}")
        return run


def _follow_live(run: Run) -> None:
    from rich.console import Console  # noqa: PLC0415
    from rich.live import Live  # noqa: PLC0415

    console = Console(file=sys.stdout)
    with Live(_screen(run, console.width), console=console, auto_refresh=False) as live:
        while not run.ended:
            run.pause(_POLL_SECONDS)
            run.refresh()
            live.update(_screen(run, console.width), refresh=True)


def _screen(run: Run, width: int) -> Any:
    rows = [task_row(task) for task in run.tasks()]
    title = progress_line(run.info)
    if fits(TASK_HEADERS, rows, width=width):
        return rich_table(TASK_HEADERS, rows, title=title)
    return rich_blocks(TASK_HEADERS, rows, width=width, title=title)


def _follow_plainly(run: Run) -> None:
    said: dict[str, tuple[Any, ...]] = {}
    typer.echo(progress_line(run.info))
    while True:
        # The run first: tasks that are read after its end are at their ends too.
        run.refresh()
        for task in run.tasks():
            now = (task["state"], task["node"], task["attempt"], task["reason_code"])
            if said.get(task["path"]) != now:
                said[task["path"]] = now
                typer.echo(_line(task))
        if run.ended:
            break
        run.pause(_POLL_SECONDS)
    typer.echo(progress_line(run.info))


def _line(task: TaskInfo) -> str:
    where = f" on {task['node']}" if task["node"] else ""
    ran = (
        f" after {seconds_text(task['ran_seconds'])} s" if task["finished_at"] and task["ran_seconds"] else ""
    )
    reason = why(task)
    return f"  {task['path']}: {task['state']}{where}{ran}" + (f" ({reason})" if reason != "-" else "")
