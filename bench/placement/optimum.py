"""60 random DAGs of 6 to 14 tasks on 3 or 4 nodes: makespan over proven optimum."""

import time
from statistics import geometric_mean, mean, median

from rich.console import Console
from rich.table import Table

from bench.measure import save
from bench.placement.contest import compete, entries
from bench.placement.random_dags import random_dag
from nodewise.core.model.problem import Objective, Problem
from nodewise.planning.bounds import lower_bounds
from nodewise.planning.exact import Exact

SEEDS = range(60)
BUDGET_S = 30.0
NAME = "placement_optimum"


def run() -> None:
    """Print the table and save it."""
    problems = {seed: random_dag(seed) for seed in SEEDS}
    optima, proving = _optima(problems)
    gaps = [optima[seed] / lower_bounds(problems[seed]).makespan for seed in optima]
    rows = {}
    for entry in entries([Objective.MAKESPAN]):
        results = {seed: compete(entry, problems[seed], seed=seed) for seed in optima}
        ratios = [result.score.makespan / optima[seed] for seed, result in results.items()]
        rows[entry.label] = {
            "mean": mean(ratios),
            "geometric_mean": geometric_mean(ratios),
            "max": max(ratios),
            "optimal": sum(ratio <= 1 + 1e-6 for ratio in ratios),
            "median_seconds": median(result.seconds for result in results.values()),
        }
    _show(rows, proved=len(optima))
    print(f"optimum / lower bound: mean {mean(gaps):.3f}, max {max(gaps):.3f}")
    print(f"exact: median {median(proving):.2f} s, max {max(proving):.2f} s")
    figures = {
        "seeds": [SEEDS.start, SEEDS.stop],
        "proved": len(optima),
        "planners": rows,
        "optimum_over_bound": {"mean": mean(gaps), "max": max(gaps)},
        "exact_seconds": {"median": median(proving), "max": max(proving)},
    }
    print(f"saved: {save(NAME, figures)}")


def _optima(problems: dict[int, Problem]) -> tuple[dict[int, float], list[float]]:
    """The proven optimum by seed (without those that were not proved in the time), and the seconds of each proof."""
    found, taken = {}, []
    for seed, problem in problems.items():
        start = time.perf_counter()
        proof = Exact(seconds=BUDGET_S).prove(problem, Objective.MAKESPAN)
        taken.append(time.perf_counter() - start)
        if proof.proved:
            found[seed] = proof.score.makespan
    return found, taken


def _show(rows: dict[str, dict[str, float]], *, proved: int) -> None:
    table = Table(
        title=f"makespan / proven optimum, {proved} of {len(SEEDS)} random DAGs (6-14 tasks, 3-4 nodes)"
    )
    for heading in ("planner", "mean", "geo. mean", "max", "optimal", "median ms"):
        table.add_column(heading, justify="left" if heading == "planner" else "right")
    for label, row in sorted(rows.items(), key=lambda item: -item[1]["mean"]):
        cells = (f"{row['mean']:.3f}", f"{row['geometric_mean']:.3f}", f"{row['max']:.3f}")
        table.add_row(label, *cells, f"{row['optimal']:.0f}", f"{row['median_seconds'] * 1000:.1f}")
    Console(width=110).print(table)
