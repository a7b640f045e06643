"""Streams of ML pipelines, all known at once or as releases: makespan and mean flow over their lower bounds."""

from collections import defaultdict
from statistics import mean

from rich.console import Console
from rich.table import Table

from bench.measure import save
from bench.placement.contest import Result, compete, entries
from bench.placement.streams import stream
from nodewise.core.model.problem import Objective
from nodewise.planning.bounds import Bounds, lower_bounds

SIZES = (10, 60, 300)
SEEDS = range(8)
GAP_S = 4.0
"""Mean time between two submissions of those over time: a little less than the ten nodes need for a pipeline."""
NAME = "placement_streams"


def run() -> None:
    """Print a table per size and way of arriving, and save all."""
    figures = {}
    for size in SIZES:
        for arrivals, gap in (("at once", 0.0), ("over time", GAP_S)):
            title = f"{size} pipelines, {arrivals}"
            figures[title] = rows = _rows(size, gap)
            _show(title, rows)
    print(
        f"saved: {save(NAME, {'seeds': [SEEDS.start, SEEDS.stop], 'gap_s': GAP_S, 'over_bounds': figures})}"
    )


def _rows(size: int, gap: float) -> dict[str, dict[str, float]]:
    found: dict[str, list[tuple[Bounds, Result]]] = defaultdict(list)
    for seed in SEEDS:
        problem = stream(size, seed, gap=gap)
        bounds = lower_bounds(problem)
        for entry in entries(list(Objective)):
            found[entry.label].append((bounds, compete(entry, problem, seed=seed)))
    return {
        label: {
            "makespan": mean(result.score.makespan / bounds.makespan for bounds, result in pairs),
            "mean_flow": mean(result.score.mean_flow / bounds.mean_flow for bounds, result in pairs),
            "seconds": mean(result.seconds for _, result in pairs),
        }
        for label, pairs in found.items()
    }


def _show(title: str, rows: dict[str, dict[str, float]]) -> None:
    table = Table(title=f"{title}: over the lower bound, mean of {len(SEEDS)} seeds")
    for heading in ("planner", "makespan", "mean flow", "planning s"):
        table.add_column(heading, justify="left" if heading == "planner" else "right")
    for label, row in rows.items():
        table.add_row(label, f"{row['makespan']:.3f}", f"{row['mean_flow']:.3f}", f"{row['seconds']:.3f}")
    Console(width=110).print(table)
