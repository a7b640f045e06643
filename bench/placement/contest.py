"""One problem set, all who answer it: our planners and SAGA's schedulers, each answer checked."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import geometric_mean, mean, median

from bench.placement.checked import Result, planned
from bench.placement.peers import PeerAnswer, schedules
from bench.placement.pool import cores
from bench.placement.shelf import kept
from nodewise.core.model.problem import Objective, Problem
from nodewise.core.model.validation import violations
from nodewise.planning import PLANNERS
from nodewise.planning.portfolio import Portfolio
from nodewise.planning.score import score

PORTFOLIO = "portfolio"
OTHERS = tuple(name for name in PLANNERS if name not in {PORTFOLIO, "exact"})
"""Our planners that answer at once, all of which the portfolio should never be worse than."""


@dataclass(slots=True, kw_only=True)
class Tally:
    """One contestant: results by problem, how many answers were invalid, how many there were none of."""

    results: dict[str, Result] = field(default_factory=dict)
    invalid: int = 0
    silent: int = 0
    examples: list[str] = field(default_factory=list)


def ours(problem: Problem, *, seed: int, placements: int, where: str) -> dict[str, Result]:
    """What our planners make of a problem, for the makespan.

    Raises:
        InvalidPlan: One of them breaks a rule.
    """
    everyone = {name: PLANNERS[name] for name in OTHERS} | {PORTFOLIO: Portfolio(placements=placements)}
    return {
        name: planned(planner, problem, objective=Objective.MAKESPAN, seed=seed, where=where)
        for name, planner in everyone.items()
    }


def peers(problems: Mapping[str, Problem], *, limit: float) -> dict[str, Tally]:
    """What SAGA's schedulers make of the problems. An invalid schedule is counted, and its figures are left out."""
    tallies: dict[str, Tally] = {}
    asked = f"SAGA {sorted(problems)} {limit} s, {cores()} processes"
    for name, answers in kept(asked, lambda: schedules(problems, limit=limit, processes=cores())).items():
        for answer in answers:
            _count(tallies.setdefault(f"SAGA {answer.scheduler}", Tally()), name, problems[name], answer)
    return tallies


def _count(tally: Tally, name: str, problem: Problem, answer: PeerAnswer) -> None:
    if answer.schedule is None:
        tally.silent += 1
        tally.examples.append(f"{name}: {answer.error}")
        return
    if found := violations(problem, answer.schedule):
        tally.invalid += 1
        tally.examples.append(f"{name}: {len(found)} violations, such as: {found[0]}")
        return
    figures = score(problem, answer.schedule)
    tally.results[name] = Result(
        makespan=figures.makespan, mean_flow=figures.mean_flow, seconds=answer.seconds
    )


def by_contestant(results: Mapping[str, Mapping[str, Result]]) -> dict[str, Tally]:
    """Results by problem and contestant, turned round."""
    tallies: dict[str, Tally] = {}
    for problem, found in results.items():
        for name, result in found.items():
            tallies.setdefault(name, Tally()).results[problem] = result
    return tallies


def standings(tallies: Mapping[str, Tally], yardstick: Mapping[str, float]) -> dict[str, dict[str, float]]:
    """Each contestant's makespans over the yardstick of each problem, best mean first."""
    rows = {name: _standing(tally, yardstick) for name, tally in tallies.items()}
    return dict(sorted(rows.items(), key=lambda item: (-item[1]["answers"], item[1].get("mean", 0.0))))


def _standing(tally: Tally, yardstick: Mapping[str, float]) -> dict[str, float]:
    ratios = [
        result.makespan / yardstick[name] for name, result in tally.results.items() if name in yardstick
    ]
    row: dict[str, float] = {"answers": len(ratios), "invalid": tally.invalid, "none": tally.silent}
    if ratios:
        row |= {"mean": mean(ratios), "geometric_mean": geometric_mean(ratios), "max": max(ratios)}
        row["best"] = sum(ratio <= 1 + 1e-6 for ratio in ratios)
        row["median_seconds"] = median(result.seconds for result in tally.results.values())
    return row


HEADINGS = ("who", "mean", "geo. mean", "max", "= 1", "median ms", "valid", "invalid", "no answer")


def cells(standing: Mapping[str, Mapping[str, float]]) -> Sequence[Sequence[str]]:
    """Rows for `HEADINGS`."""
    return [_cells(name, row) for name, row in standing.items()]


def _cells(name: str, row: Mapping[str, float]) -> Sequence[str]:
    counts = tuple(f"{row[key]:.0f}" for key in ("answers", "invalid", "none"))
    if "mean" not in row:
        return (name, "", "", "", "", "", *counts)
    ratios = tuple(f"{row[key]:.3f}" for key in ("mean", "geometric_mean", "max"))
    return (name, *ratios, f"{row['best']:.0f}", f"{row['median_seconds'] * 1000:.1f}", *counts)
