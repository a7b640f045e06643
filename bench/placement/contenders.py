"""Who decides about a stream of pipelines, and one job: one contender, one stream."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from random import Random

from bench.placement.beliefs import misjudged
from bench.placement.checked import Result, judged
from bench.placement.pool import each
from bench.placement.scale import Scale
from bench.placement.streams import stream
from nodewise.core import plugins
from nodewise.core.model.problem import Objective, PlanningContext, Schedule
from nodewise.planning import PLANNERS
from nodewise.planning.bounds import lower_bounds
from nodewise.planning.portfolio import Portfolio
from nodewise.simulator.simulation import Choice, simulate

DEFAULT = "balanced"
SEED_SYSTEM = "custom"
"""The presets that targets name: our default, and the best of the system before."""
OTHERS_SHARE = 0.25
"""Of the default's time to plan, for the other presets that plan: nothing is judged by them."""
HARD_SIZE = 60
"""Pipelines in the streams that are judged most closely."""
REFERENCES = {
    f"plan, {objective.value} only": objective for objective in (Objective.MAKESPAN, Objective.MEAN_FLOW)
}
"""The portfolio with one figure in mind, on a long search, with everything known before the start."""
PLANS = ("heft", "peft", "max_min", "min_min", "sufferage", "eft")
"""Classic planners, with everything known before the start."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A contender and a stream, by what they are made of."""

    contender: str
    pipelines: int
    gap: float
    error: float
    seed: int
    budget_seconds: float | None
    placements: int

    @property
    def where(self) -> str:
        return f"{self.pipelines} pipelines, {arriving(self.gap)}, seed {self.seed}"


def arriving(gap: float) -> str:
    return "over time" if gap else "at once"


def presets() -> tuple[str, ...]:
    """Every installed preset."""
    return tuple(plugins.presets())


def all_contenders() -> tuple[str, ...]:
    """The slowest first, so that the last to end are quick ones."""
    others = [name for name in presets() if name != DEFAULT]
    return (DEFAULT, *REFERENCES, *others, *(f"plan, {name}" for name in PLANS))


def known_or_solved(jobs: Sequence[Job], known: dict[Job, Result]) -> list[Result]:
    """What becomes of each job, in their order; what is known already is not done again, and all becomes known."""
    new = [job for job in dict.fromkeys(jobs) if job not in known]
    known.update(zip(new, each(solve, new), strict=True))
    return [known[job] for job in jobs]


def jobs_of(scale: Scale, pipelines: int, gap: float, *, contenders: tuple[str, ...]) -> list[Job]:
    """Everyone on each of the scale's streams of that kind, with estimates that are right."""
    return [
        Job(
            contender=contender,
            pipelines=pipelines,
            gap=gap,
            error=0.0,
            seed=seed,
            budget_seconds=_budget(scale.streams[pipelines], contender),
            placements=scale.reference_placements if pipelines == HARD_SIZE else scale.search_placements,
        )
        for contender in contenders
        for seed in range(scale.seed, scale.seed + scale.seeds)
    ]


def allowed(seconds: float | None) -> str:
    """How long the default may plan, for a heading."""
    return "planning bounded by counts" if seconds is None else f"the default may plan {seconds:g} s in all"


def _budget(seconds: float | None, contender: str) -> float | None:
    """Who does not plan has no clock: out of time, its own decisions would give way to hurried ones."""
    if seconds is None or contender == DEFAULT:
        return seconds
    preset = plugins.presets().get(contender)
    plans = preset is not None and preset.strategy in plugins.planners()
    return seconds * OTHERS_SHARE if plans else None


def wrong_by(job: Job, error: float) -> Job:
    return replace(job, error=error)


def solve(job: Job) -> Result:
    """What the contender makes of the stream.

    Raises:
        InvalidPlan: What happened breaks a rule.
    """
    if job.contender in presets():
        return _online(job)
    truth = stream(job.pipelines, job.seed, gap=job.gap)
    objective = REFERENCES.get(job.contender, Objective.MAKESPAN)
    planner = (
        Portfolio(placements=job.placements)
        if job.contender in REFERENCES
        else PLANNERS[job.contender.removeprefix("plan, ")]
    )
    schedule = planner.plan(truth, PlanningContext(rng=Random(job.seed), objective=objective))
    return judged(truth, schedule, who=job.contender, where=job.where, seconds=0.0)


def _online(job: Job) -> Result:
    preset = plugins.presets()[job.contender]
    choice = Choice(
        policy=preset.policy,
        strategy=preset.strategy,
        objective=Objective.BALANCED,
        budget_seconds=job.budget_seconds,
        seed=job.seed,
    )
    truth = stream(job.pipelines, job.seed, gap=job.gap)
    outcome, seconds = simulate(misjudged(truth, job.error, job.seed), choice)
    happened = Schedule(assignments=outcome.assignments)
    return judged(truth, happened, who=job.contender, where=job.where, seconds=seconds)


@dataclass(frozen=True, slots=True, kw_only=True)
class BoundJob:
    """A stream whose lower bounds are asked for."""

    pipelines: int
    gap: float
    seed: int


def bound(job: BoundJob) -> tuple[float, float]:
    """Least makespan and least mean flow that any schedule could have."""
    found = lower_bounds(stream(job.pipelines, job.seed, gap=job.gap))
    return found.makespan, found.mean_flow
