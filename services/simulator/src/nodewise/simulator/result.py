"""A simulation's result: as the fixed JSON document, and as a page for a person."""

import time
from typing import Any, Final

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from nodewise.core.model.problem import Objective, Problem, Schedule
from nodewise.planning.proof import Certificate, prove, prove_quickly
from nodewise.simulator.metrics import figures
from nodewise.simulator.scenario import Outcome
from nodewise.simulator.simulation import SHARE_FOR_PROVING

_ROWS: Final = 40
"""So many rows of the schedule are printed; the JSON has all."""

_PROVING_SECONDS: Final = 1.0
"""For a small problem that the bounds leave open; most are proved in a tenth of that."""

_THOROUGH_SECONDS: Final = 1.0
"""The linear relaxation may take so long: with less it is left out."""

_TO_BEGIN: Final = 4
"""So many times as long as the quick bounds it takes until the others are begun at all."""


def result_document(
    problem: Problem,
    outcome: Outcome,
    *,
    objective: Objective,
    planning_seconds: float,
    budget_seconds: float | None = None,
) -> dict[str, Any]:
    """The document of `--json`; its keys are fixed. Bounds and gaps are those of the true problem.

    A budget is for decisions and bounds together: bounds have what decisions have left of it, or a tenth if that is more.
    """
    found = figures(problem, outcome)
    left = None
    if budget_seconds is not None:
        left = max(budget_seconds - planning_seconds, SHARE_FOR_PROVING * budget_seconds)
    certificate = _proved(problem, outcome, objective, seconds=left)
    schedule = sorted(outcome.assignments.values(), key=lambda done: (done.start, done.end, done.id))
    return {
        "schedule": [
            {
                "pipeline": done.id.pipeline,
                "task": done.id.task,
                "node": done.node,
                "start": done.start,
                "end": done.end,
            }
            for done in schedule
        ],
        "makespan": found.makespan,
        "mean_flow": found.mean_flow,
        "mean_wait": found.mean_wait,
        "lower_bound": dict(certificate.lower_bound),
        "gap": dict(certificate.gap),
        "optimal": certificate.optimal,
        "planning_seconds": planning_seconds,
    }


def _proved(
    problem: Problem, outcome: Outcome, objective: Objective, *, seconds: float | None
) -> Certificate:
    planned = Schedule(assignments=outcome.assignments)
    if seconds is None:
        return prove(problem, planned, objective, exact_seconds=_PROVING_SECONDS)
    began = time.perf_counter()
    until = began + seconds
    quick = prove_quickly(problem, planned, objective)
    now = time.perf_counter()
    if now + _TO_BEGIN * (now - began) > until:
        return quick
    return prove(
        problem,
        planned,
        objective,
        exact_seconds=min(seconds, _PROVING_SECONDS),
        thorough=None if seconds >= _THOROUGH_SECONDS else False,
        out_of_time=lambda: time.perf_counter() >= until,
    )


def print_result(document: dict[str, Any], console: Console, *, title: str, note: str = "") -> None:
    """The first rows of the schedule and all figures."""
    rows = document["schedule"]
    console.print(title, soft_wrap=True, highlight=False, markup=False)
    table = Table()
    for heading in ("pipeline", "task", "node"):
        table.add_column(heading)
    for heading in ("start", "end"):
        table.add_column(heading, justify="right")
    for row in rows[:_ROWS]:
        table.add_row(
            *(escape(row[key]) for key in ("pipeline", "task", "node")),
            f"{row['start']:.2f}",
            f"{row['end']:.2f}",
        )
    console.print(table)
    if len(rows) > _ROWS:
        console.print(f"... and {len(rows) - _ROWS} more tasks; --json prints all", highlight=False)
    for line in _lines(document):
        console.print(line, highlight=False)
    if note:
        console.print(note, soft_wrap=True, highlight=False)


def _lines(document: dict[str, Any]) -> list[str]:
    lines = [f"{len(document['schedule'])} tasks"]
    for name in ("makespan", "mean_flow"):
        bound, gap = document["lower_bound"][name], document["gap"][name]
        proof = (
            "" if gap is None else f"; at least {bound:.2f} s, so at most {gap:.1%} above the best possible"
        )
        lines.append(f"{name:<10} {document[name]:.2f} s{proof}")
    lines.append(f"{'mean_wait':<10} {document['mean_wait']:.2f} s")
    if document["optimal"]:
        lines.append("no schedule is better: proved")
    lines.append(f"decided in {document['planning_seconds']:.3f} s")
    return lines
