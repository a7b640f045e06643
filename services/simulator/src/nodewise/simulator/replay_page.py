"""A replay as a JSON document, and as a table for a person."""

from typing import Any, Final

from rich.console import Console
from rich.table import Table

from nodewise.simulator.replay import FIGURES, Replay, Told, savings

_TITLES: Final = {"makespan": "makespan", "mean_flow": "mean flow", "mean_wait": "mean wait"}

ESTIMATED: Final = "Run times are measured where a task ran; on other nodes they are estimates: the medians learned for its class there."


def replay_document(found: Replay) -> dict[str, Any]:
    """The document of `--json`; `saving` are shares of the asked choice against the other two."""
    resimulated, asked = found.resimulated, found.asked.figures
    return {
        "runs": found.runs,
        "tasks": found.tasks,
        "recorded": _written(found.recorded) | {"choices": found.choices},
        "resimulated": None if resimulated is None else _written(resimulated),
        "asked": _written(found.asked),
        "saving": {
            "recorded": savings(found.recorded.figures, asked),
            "resimulated": None if resimulated is None else savings(resimulated.figures, asked),
        },
        "estimated": ESTIMATED,
    }


def _written(told: Told) -> dict[str, Any]:
    named = {"policy": told.policy, "strategy": told.strategy, "moved_tasks": told.moved}
    return named | {name: getattr(told.figures, name) for name in FIGURES}


def print_replay(found: Replay, console: Console) -> None:
    """The three ways side by side, the savings, and what is to be kept in mind."""
    columns = _columns(found)
    table = Table(title=f"{found.runs} runs, {found.tasks} tasks", title_justify="left")
    table.add_column("seconds")
    for heading, _ in columns:
        table.add_column(heading, justify="right")
    for name in FIGURES:
        table.add_row(_TITLES[name], *(cells[name] for _, cells in columns))
    console.print(table)
    for line in _notes(found):
        console.print(line, highlight=False, soft_wrap=True, markup=False)


def _columns(found: Replay) -> list[tuple[str, dict[str, str]]]:
    resimulated, asked = found.resimulated, found.asked
    columns = [("recorded", _seconds(found.recorded))]
    if resimulated is not None:
        columns.append((f"{_choice(resimulated)}, simulated", _seconds(resimulated)))
    columns.append((f"{_choice(asked)}, simulated", _seconds(asked)))
    columns.append(("saved of recorded", _percents(found.recorded, asked)))
    if resimulated is not None:
        columns.append(("saved of simulated", _percents(resimulated, asked)))
    return columns


def _choice(told: Told) -> str:
    return f"{told.policy}/{told.strategy}"


def _seconds(told: Told) -> dict[str, str]:
    return {name: f"{getattr(told.figures, name):.2f}" for name in FIGURES}


def _percents(before: Told, after: Told) -> dict[str, str]:
    found = savings(before.figures, after.figures)
    return {name: "-" if share is None else f"{100 * share:+.1f} %" for name, share in found.items()}


def _notes(found: Replay) -> list[str]:
    notes = []
    if found.choices > 1:
        what = f"Runs were decided in {found.choices} ways; simulated is the one of most runs, {_choice(found.recorded)}."
        notes.append(what)
    if found.resimulated is None:
        notes.append(f"{_choice(found.recorded)} cannot be simulated: {found.why_not}.")
    notes.append(f"{ESTIMATED} {_choice(found.asked)} moves {found.asked.moved} of {found.tasks} tasks.")
    return notes
