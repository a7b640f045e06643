"""Part c: streams of ML pipelines, decided as they come; makespan and mean flow over their lower bounds."""

from collections.abc import Mapping, Sequence
from itertools import product
from statistics import mean
from typing import TypeAlias

from bench.measure import RESULTS
from bench.placement.checked import Result
from bench.placement.contenders import (
    DEFAULT,
    HARD_SIZE,
    SEED_SYSTEM,
    BoundJob,
    Job,
    all_contenders,
    allowed,
    arriving,
    bound,
    jobs_of,
    known_or_solved,
    presets,
)
from bench.placement.plot import Point, draw_front
from bench.placement.pool import each
from bench.placement.report import Report, say, show
from bench.placement.scale import Scale
from bench.placement.targets import Target

GAP_S = 4.0
"""Mean time between two submissions of those over time: a little less than the ten nodes need for a pipeline."""
SAVED_MAKESPAN, SAVED_FLOW = 0.35, 0.40
NEAR = 1.15

Kind: TypeAlias = tuple[int, float]
"""How many pipelines, and the gap between them."""
Found: TypeAlias = Mapping[tuple[str, int], Result]
"""By contender and seed."""


def run(scale: Scale, known: dict[Job, Result]) -> Report:
    """Everyone on every stream: the tables, the front as a plot, and the targets.

    Args:
        scale: How much is measured.
        known: Results that need not be found again; gains what is found here.
    """
    kinds: list[Kind] = list(product(sorted(scale.streams, reverse=True), (0.0, GAP_S)))
    jobs = [job for size, gap in kinds for job in jobs_of(scale, size, gap, contenders=all_contenders())]
    results: dict[Kind, dict[tuple[str, int], Result]] = {kind: {} for kind in kinds}
    for job, result in zip(jobs, known_or_solved(jobs, known), strict=True):
        results[job.pipelines, job.gap][job.contender, job.seed] = result
    seeds = range(scale.seed, scale.seed + scale.seeds)
    wanted = [BoundJob(pipelines=size, gap=gap, seed=seed) for size, gap in kinds for seed in seeds]
    bounds = {
        (job.pipelines, job.gap, job.seed): found
        for job, found in zip(wanted, each(bound, wanted), strict=True)
    }
    tables, saved = {}, {}
    for kind in sorted(kinds):
        name = f"{kind[0]} pipelines, {arriving(kind[1])}"
        lower = {seed: bounds[*kind, seed] for seed in seeds}
        tables[name] = over_bounds(results[kind], lower)
        saved[name] = savings(results[kind], seeds)
        _show(name, tables[name], budget=scale.streams[kind[0]], seeds=len(seeds))
        say(
            f"{DEFAULT} against {SEED_SYSTEM}: makespan {-saved[name]['makespan']:+.1%}, "
            f"mean flow {-saved[name]['mean_flow']:+.1%}"
        )
    near = nearness(results[HARD_SIZE, 0.0], seeds)
    say(f"{HARD_SIZE} pipelines at once, {DEFAULT} over the best that anybody found by that figure alone:")
    for what, values in near.items():
        say(f"  {what}: mean {mean(values):.3f}, worst {max(values):.3f}")
    hard = tables[f"{HARD_SIZE} pipelines, at once"]
    plot = draw_front(
        [
            Point(label=who, makespan=row["makespan"], flow=row["mean_flow"], preset=who in presets())
            for who, row in hard.items()
        ],
        near=NEAR,
        path=RESULTS / "placement_pareto.png",
    )
    say(f"Pareto front: {plot.name}")
    return Report(
        figures={"gap_s": GAP_S, "over_bounds": tables, "saved": saved, "over_best_by_one_figure": near},
        targets=tuple(_targets(saved, near)),
    )


def over_bounds(results: Found, bounds: Mapping[int, tuple[float, float]]) -> dict[str, dict[str, float]]:
    """Each contender's figures over the bounds, means over the seeds, and the seconds that deciding took."""
    names = dict.fromkeys(who for who, _ in results)
    rows = {
        who: {
            "makespan": mean(results[who, seed].makespan / least for seed, (least, _) in bounds.items()),
            "mean_flow": mean(results[who, seed].mean_flow / least for seed, (_, least) in bounds.items()),
            "seconds": mean(results[who, seed].seconds for seed in bounds),
        }
        for who in names
    }
    return dict(sorted(rows.items(), key=lambda item: item[1]["makespan"] * item[1]["mean_flow"]))


def savings(results: Found, seeds: Sequence[int]) -> dict[str, float]:
    """By which share the default is below the seed's system, as a mean over the seeds."""
    pairs = [(results[DEFAULT, seed], results[SEED_SYSTEM, seed]) for seed in seeds]
    return {
        "makespan": 1 - mean(new.makespan / old.makespan for new, old in pairs),
        "mean_flow": 1 - mean(new.mean_flow / old.mean_flow for new, old in pairs),
    }


def nearness(results: Found, seeds: Sequence[int]) -> dict[str, list[float]]:
    """The default's figures over the least that anybody reached on the same stream, seed by seed."""
    names = dict.fromkeys(who for who, _ in results)
    return {
        "makespan": [
            results[DEFAULT, seed].makespan / min(results[who, seed].makespan for who in names)
            for seed in seeds
        ],
        "mean_flow": [
            results[DEFAULT, seed].mean_flow / min(results[who, seed].mean_flow for who in names)
            for seed in seeds
        ],
    }


def _targets(saved: Mapping[str, Mapping[str, float]], near: Mapping[str, Sequence[float]]) -> list[Target]:
    """What is left of `custom`'s figures where all is submitted at once, and both figures at the hard size.

    Over time the last submission bounds the makespan for everyone, so nobody can save that much of it.
    """
    found = []
    for name, shares in saved.items():
        if arriving(0.0) in name:
            for what, least in (("makespan", SAVED_MAKESPAN), ("mean_flow", SAVED_FLOW)):
                text = f"{name}: {what} of {DEFAULT} / {SEED_SYSTEM}"
                found.append(Target(part="c", what=text, value=1 - shares[what], limit=1 - least))
    for what, values in near.items():
        text = f"{HARD_SIZE} pipelines, at once: {what} of {DEFAULT} / best by {what} alone"
        found.append(Target(part="c", what=text, value=mean(values), limit=NEAR))
    return found


def _show(name: str, rows: Mapping[str, Mapping[str, float]], *, budget: float | None, seeds: int) -> None:
    show(
        f"c. {name}: over the lower bound, means of {seeds} streams; {allowed(budget)}",
        ("who", "makespan", "mean flow", "deciding s"),
        [
            (
                who,
                f"{row['makespan']:.3f}",
                f"{row['mean_flow']:.3f}",
                f"{row['seconds']:.2f}" if row["seconds"] else "",
            )
            for who, row in rows.items()
        ],
    )
