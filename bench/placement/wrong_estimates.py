"""Part d: the same streams with estimates that are off."""

from itertools import product
from statistics import mean

from bench.placement.checked import Result
from bench.placement.contenders import (
    DEFAULT,
    HARD_SIZE,
    SEED_SYSTEM,
    Job,
    allowed,
    arriving,
    jobs_of,
    known_or_solved,
    wrong_by,
)
from bench.placement.on_streams import GAP_S
from bench.placement.report import Report, show
from bench.placement.scale import Scale
from bench.placement.targets import Target

SHOWN = (DEFAULT, "shortest_eft", SEED_SYSTEM)
"""Presets that look at estimates: what does not is as good with wrong ones."""
ERRORS = (0.0, 0.2, 0.5)
JUDGED = 0.5
LIMIT = 1.15


def run(scale: Scale, known: dict[Job, Result]) -> Report:
    """The figures of some presets over their own with perfect knowledge.

    Args:
        scale: How much is measured.
        known: Results that need not be found again; gains what is found here.
    """
    order = SHOWN
    jobs = [
        wrong_by(job, error)
        for gap, error in product((0.0, GAP_S), ERRORS)
        for job in jobs_of(scale, HARD_SIZE, gap, contenders=order)
    ]
    jobs.sort(key=lambda job: order.index(job.contender))
    found = {
        (job.gap, job.contender, job.error, job.seed): result
        for job, result in zip(jobs, known_or_solved(jobs, known), strict=True)
    }
    seeds = range(scale.seed, scale.seed + scale.seeds)
    figures, targets = {}, []
    for gap in (0.0, GAP_S):
        name = f"{HARD_SIZE} pipelines, {arriving(gap)}"
        by_preset = {
            who: {error: losses(found, (gap, who, error), seeds) for error in ERRORS if error}
            for who in order
        }
        figures[name] = by_preset
        _show(name, by_preset, budget=scale.streams[HARD_SIZE], seeds=len(seeds))
        value = by_preset[DEFAULT][JUDGED]["mean_flow"]
        text = f"{name}: mean flow of {DEFAULT}, estimates off by {JUDGED:.0%} / right ones"
        targets.append(Target(part="d", what=text, value=value, limit=LIMIT))
    return Report(figures={"over_perfect_knowledge": figures}, targets=tuple(targets))


def losses(
    found: dict[tuple[float, str, float, int], Result], key: tuple[float, str, float], seeds: range
) -> dict[str, float]:
    """Means over the seeds: figures with that error over those without any, on the same streams."""
    gap, who, error = key
    pairs = [(found[gap, who, error, seed], found[gap, who, 0.0, seed]) for seed in seeds]
    flows = [wrong.mean_flow / right.mean_flow for wrong, right in pairs]
    return {
        "makespan": mean(wrong.makespan / right.makespan for wrong, right in pairs),
        "mean_flow": mean(flows),
        "worst_flow": max(flows),
        "flow_seconds": mean(wrong.mean_flow for wrong, _ in pairs),
    }


def _show(
    name: str, rows: dict[str, dict[float, dict[str, float]]], *, budget: float | None, seeds: int
) -> None:
    keys = (("makespan", "makespan"), ("mean_flow", "flow"), ("worst_flow", "worst flow"))
    wrong = [error for error in ERRORS if error]
    show(
        f"d. {name}: over the same with right estimates, means of {seeds} streams; {allowed(budget)}",
        ("who", *(f"{error:.0%}: {word}" for error in wrong for _, word in keys)),
        [
            (
                who,
                *(f"{row[error][key]:.3f}" for error in wrong for key, _ in keys),
            )
            for who, row in rows.items()
        ],
    )
