"""What the demo shows: a live table on a terminal, plain lines elsewhere, then the tables of the end."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Self

from nodewise.sdk.cli.output import print_table, rich_table
from nodewise.sdk.client import Client, Run
from nodewise.sdk.models import TaskInfo
from nodewise.sdk.progress import done, seconds_text, why

if TYPE_CHECKING:
    from rich.live import Live


_REGRESSION = "-linear-regression"


class DemoView:
    """Shows the runs while they run. Asks for the tasks of a run only when the run has moved."""

    def __init__(self, client: Client, *, total: int) -> None:
        self._client = client
        self._total = total
        self._live: Live | None = None
        self._tasks: dict[str, tuple[Any, list[TaskInfo]]] = {}
        self._told: set[str] = set()

    def __enter__(self) -> Self:
        if sys.stdout.isatty():
            from rich.console import Console  # noqa: PLC0415
            from rich.live import Live  # noqa: PLC0415

            self._live = Live(console=Console(file=sys.stdout), auto_refresh=False)
            self._live.start()
        return self

    def __exit__(self, *exc: object) -> None:
        if self._live is not None:
            self._live.stop()

    def say(self, line: str) -> None:
        """A line above the table."""
        if self._live is not None:
            self._live.console.print(line, highlight=False)
        else:
            print(line, flush=True)

    def show(self, runs: list[Run]) -> None:
        """Draw the runs as they are now; on no terminal, a line for each that has ended."""
        if self._live is not None:
            self._live.update(self._screen(runs), refresh=True)
            return
        for run in runs:
            if run.ended and run.id not in self._told:
                self._told.add(run.id)
                print(f"  {run.name}: {run.state} ({len(self._told)} of {self._total} ended)", flush=True)

    def _screen(self, runs: list[Run]) -> Any:
        from rich.console import Group  # noqa: PLC0415

        ended = sum(run.ended for run in runs)
        fits = self._live is None or self._live.console.height > len(runs) + 10
        shown = [run for run in runs if fits or not run.ended]
        return Group(
            rich_table(("node", "kind", "cores free", "runs"), self._nodes(runs)),
            "",
            rich_table(("wave", "pipeline", "state", "tasks"), [self._row(run) for run in shown]),
            f"\n{ended} of {self._total} pipelines have ended",
        )

    def _row(self, run: Run) -> tuple[str, ...]:
        cells = [
            f"{task['path']}@{task['node']}" for task in self._tasks_of(run) if task["state"] == "RUNNING"
        ]
        progress = f"{done(run.info)}/{run.info['tasks']['total']}  {' '.join(cells)}"
        return (run.info["labels"].get("wave", ""), run.name, run.state, progress)

    def _tasks_of(self, run: Run) -> list[TaskInfo]:
        mark = run.info["tasks"]["by_state"]
        known = self._tasks.get(run.id)
        if known is None or known[0] != mark:
            known = self._tasks[run.id] = (mark, run.tasks())
        return known[1]

    def _nodes(self, runs: list[Run]) -> list[tuple[str, ...]]:
        running: dict[str, list[str]] = {}
        for run in runs:
            for task in self._tasks_of(run):
                if task["state"] == "RUNNING" and task["node"]:
                    running.setdefault(task["node"], []).append(f"{run.name}/{task['path']}")
        return [
            (
                node["name"], f"{node['node_class']} {node['accelerator'] or ''}",
                f"{node['free']['millicores'] / 1000:g} of {node['capacity']['millicores'] / 1000:g}",
                ", ".join(running.get(node["name"], [])),
            )
            for node in self._client.nodes()
        ]  # fmt: skip


def print_tasks(runs: list[Run]) -> None:
    """Per task: where it ran, how long it waited and ran, and why there."""
    rows = [
        (
            run.name, task["path"], task["node"] or "-", seconds_text(task["waited_seconds"]),
            seconds_text(task["ran_seconds"]), why(task),
        )
        for run in runs
        for task in run.tasks()
    ]  # fmt: skip
    print()
    print_table(("pipeline", "task", "node", "waited", "ran", "why that node"), rows)


def print_accuracies(runs: list[Run]) -> None:
    """Per pipeline: how often its model was right on what it had not seen, and what that means of a regression."""
    marks = {run.id: " *" if run.name.endswith(_REGRESSION) else "" for run in runs}
    rows = [
        (run.name, run.state, _percent(run.outputs("evaluate").get("Output")) + marks[run.id]) for run in runs
    ]
    print()
    print_table(("pipeline", "state", "score"), rows)
    print("\nscore: the share of unseen samples that the model got right (accuracy).")
    if any(marks.values()):
        print("* a linear regression: right where its prediction rounds to the true grade; not an R^2.")


def print_savings(replayed: dict[str, Any]) -> None:
    """The recorded choice against the other one, both in the simulator, and what was recorded."""
    recorded, again, asked = (replayed[key] for key in ("recorded", "resimulated", "asked"))
    rows = [
        (
            name.replace("_", " "), *(f"{way[name]:.1f} s" for way in (recorded, again, asked)),
            f"{1 - again[name] / asked[name] + 0.0:.0%}".replace("-0%", "0%") if asked[name] else "-",
        )
        for name in ("makespan", "mean_flow", "mean_wait")
    ]  # fmt: skip
    ways = [f"{way['policy']} + {way['strategy']}, simulated" for way in (again, asked)]
    print("\nWhat the choice saved, by replaying these runs with another one:\n")
    print_table(("", "recorded", *ways, "saved"), rows)
    print(
        f"\n{replayed['estimated']} Another choice would have moved {asked['moved_tasks']} of {replayed['tasks']} tasks."
    )
    print("The nodes share one machine here; simulated ones do not slow each other down.")


def _percent(share: object) -> str:
    return f"{share:.1%}" if isinstance(share, float | int) else "-"
