"""Part b: workflows of every recipe that WfCommons ships, on unrelated nodes."""

from collections.abc import Mapping
from dataclasses import dataclass
from statistics import mean
from typing import Any

from bench.placement import peers as peer_scripts
from bench.placement.checked import Result
from bench.placement.contest import HEADINGS, PORTFOLIO, Tally, by_contestant, cells, ours, peers, standings
from bench.placement.pool import each
from bench.placement.report import Report, say, show
from bench.placement.scale import Scale
from bench.placement.targets import Target
from bench.placement.workflows import workflow_problem
from nodewise.core.model.problem import Problem

RATIOS = (0.1, 1.0)
"""Mean transfer time over mean run time."""
LIMIT = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One problem, by what it is made of."""

    workflow: Mapping[str, Any]
    nodes: int
    ratio: float
    seed: int
    placements: int

    @property
    def name(self) -> str:
        tasks = len(self.workflow["tasks"])
        return f"{self.workflow['recipe']}, {tasks} tasks, {self.nodes} nodes, ratio {self.ratio:g}"

    @property
    def group(self) -> str:
        return f"about {self.workflow['asked']} tasks, {self.nodes} nodes, ratio {self.ratio:g}"

    def problem(self) -> Problem:
        return workflow_problem(self.workflow, self.nodes, ratio=self.ratio, seed=self.seed)


def run(scale: Scale) -> Report:
    """The portfolio against the best of all others on each instance, and everybody against the best."""
    jobs = list(reversed(_jobs(scale)))
    tallies = by_contestant(dict(zip((job.name for job in jobs), each(solve, jobs), strict=True)))
    tallies |= peers({job.name: job.problem() for job in jobs}, limit=scale.peer_seconds)
    others = {name: tally for name, tally in tallies.items() if name != PORTFOLIO}
    best = {job.name: _best(others, job.name) for job in jobs}
    ratios = {name: found.makespan / best[name] for name, found in tallies[PORTFOLIO].results.items()}
    heft = {
        name: found.makespan / tallies["heft"].results[name].makespan
        for name, found in tallies[PORTFOLIO].results.items()
    }
    rows = standings(tallies, best)
    title = f"b. makespan / best of all but portfolio: {len(jobs)} workflows of {_recipes(jobs)} recipes"
    show(title, HEADINGS, cells(rows))
    groups = _groups(jobs, ratios, heft)
    show(
        "b. portfolio by size",
        ("size", "/ best other: mean", "max", "/ heft: mean"),
        [(group, *(f"{value:.4f}" for value in found.values())) for group, found in groups.items()],
    )
    worst = max(ratios, key=ratios.__getitem__)
    say(f"portfolio / heft: mean {mean(heft.values()):.4f}; nearest to the best other: {worst}")
    return Report(
        figures={
            "standings": rows,
            "by_size": groups,
            "portfolio_over_best_other": ratios,
            "portfolio_over_heft": heft,
            "peers_without_result": {name: tally.examples[:5] for name, tally in tallies.items()},
        },
        targets=(
            Target(
                part="b",
                what="portfolio / best of all others, on the worst instance",
                value=ratios[worst],
                limit=LIMIT,
            ),
        ),
    )


def _jobs(scale: Scale) -> list[Job]:
    """Every recipe in every shape and ratio, smallest first."""
    found = peer_scripts.workflows([tasks for tasks, _ in scale.shapes], scale.seed)
    nodes = dict(scale.shapes)
    return [
        Job(
            workflow=workflow,
            nodes=nodes[workflow["asked"]],
            ratio=ratio,
            seed=scale.seed,
            placements=scale.search_placements,
        )
        for workflow in sorted(found, key=lambda one: len(one["tasks"]))
        for ratio in RATIOS
    ]


def solve(job: Job) -> dict[str, Result]:
    """What our planners make of it."""
    return ours(job.problem(), seed=job.seed, placements=job.placements, where=job.name)


def _best(others: Mapping[str, Tally], name: str) -> float:
    return min(tally.results[name].makespan for tally in others.values() if name in tally.results)


def _recipes(jobs: list[Job]) -> int:
    return len({job.workflow["recipe"] for job in jobs})


def _groups(
    jobs: list[Job], ratios: Mapping[str, float], heft: Mapping[str, float]
) -> dict[str, dict[str, float]]:
    found: dict[str, list[str]] = {}
    for job in reversed(jobs):
        found.setdefault(job.group, []).append(job.name)
    return {
        group: {
            "mean": mean(ratios[name] for name in names),
            "max": max(ratios[name] for name in names),
            "over_heft": mean(heft[name] for name in names),
        }
        for group, names in sorted(found.items(), key=lambda item: len(item[0]))
    }
