"""Part a: random DAGs so small that their optimum can be proved."""

import time
from dataclasses import dataclass
from statistics import mean, median

from bench.placement.checked import Result, judged
from bench.placement.contest import HEADINGS, PORTFOLIO, by_contestant, cells, ours, peers, standings
from bench.placement.pool import each
from bench.placement.random_dags import random_dag
from bench.placement.report import Report, say, show
from bench.placement.scale import Scale
from bench.placement.targets import Target
from nodewise.core.model.problem import Objective
from nodewise.planning.bounds import lower_bounds
from nodewise.planning.exact import Exact

LIMIT = 1.02


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One problem by its seed."""

    seed: int
    exact_seconds: float
    placements: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Solved:
    """What is known of one problem. `optimum` is None where it was not proved in the time."""

    optimum: float | None
    proving_seconds: float
    bound: float
    results: dict[str, Result]


def run(scale: Scale) -> Report:
    """Makespan over proven optimum, of everybody."""
    names = {seed: f"dag {seed}" for seed in range(scale.seed, scale.seed + scale.dags)}
    jobs = [
        Job(seed=seed, exact_seconds=scale.exact_seconds, placements=scale.search_placements)
        for seed in names
    ]
    solved = dict(zip(names, each(solve, jobs), strict=True))
    optima = {names[seed]: one.optimum for seed, one in solved.items() if one.optimum is not None}
    tallies = by_contestant({names[seed]: one.results for seed, one in solved.items()})
    tallies |= peers({name: random_dag(seed) for seed, name in names.items()}, limit=scale.peer_seconds)
    rows = standings(tallies, optima)
    title = f"a. makespan / proven optimum: {len(optima)} of {len(names)} random DAGs (6-14 tasks, 3-4 nodes)"
    show(title, HEADINGS, cells(rows))
    gaps = [one.optimum / one.bound for one in solved.values() if one.optimum is not None]
    proving = [one.proving_seconds for one in solved.values()]
    say(f"the optimum itself is {mean(gaps):.3f} times its lower bound on average, {max(gaps):.3f} at most")
    say(f"proofs took {median(proving):.2f} s in the median, {max(proving):.2f} s at most")
    return Report(
        figures={
            "dags": len(names),
            "proved": len(optima),
            "standings": rows,
            "optimum_over_bound": {"mean": mean(gaps), "max": max(gaps)},
            "proving_seconds": {"median": median(proving), "max": max(proving)},
            "peers_without_result": {name: tally.examples[:3] for name, tally in tallies.items()},
        },
        targets=(
            Target(
                part="a",
                what="mean makespan of portfolio / optimum",
                value=rows[PORTFOLIO]["mean"],
                limit=LIMIT,
            ),
            Target(part="a", what="optima that could not be proved", value=len(names) - len(optima), limit=0),
        ),
    )


def solve(job: Job) -> Solved:
    """Prove the optimum, and ask our planners."""
    problem, where = random_dag(job.seed), f"dag {job.seed}"
    start = time.perf_counter()
    proof = Exact(seconds=job.exact_seconds).prove(problem, Objective.MAKESPAN)
    seconds = time.perf_counter() - start
    optimum = judged(problem, proof.schedule, who="exact", where=where, seconds=seconds).makespan
    return Solved(
        optimum=optimum if proof.proved else None,
        proving_seconds=seconds,
        bound=lower_bounds(problem).makespan,
        results=ours(problem, seed=job.seed, placements=job.placements, where=where),
    )
