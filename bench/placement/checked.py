"""Plans that count only after an independent check."""

import time
from dataclasses import dataclass
from random import Random

from nodewise.core.model.problem import Objective, Planner, PlanningContext, Problem, Schedule
from nodewise.core.model.validation import violations
from nodewise.planning.score import score


class InvalidPlan(Exception):
    """A schedule of ours breaks a rule: no figure may be shown."""

    def __init__(self, who: str, where: str, what: str) -> None:
        super().__init__(f"{who} on {where}: {what}")
        self.who, self.where, self.what = who, where, what

    def __reduce__(self) -> tuple[type["InvalidPlan"], tuple[str, str, str]]:
        return InvalidPlan, (self.who, self.where, self.what)


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """A valid schedule's figures, and the seconds that deciding took."""

    makespan: float
    mean_flow: float
    seconds: float


def planned(planner: Planner, problem: Problem, *, objective: Objective, seed: int, where: str) -> Result:
    """Plan once, without a clock, and check.

    Raises:
        InvalidPlan: The check found something.
    """
    start = time.perf_counter()
    schedule = planner.plan(problem, PlanningContext(rng=Random(seed), objective=objective))
    seconds = time.perf_counter() - start
    return judged(problem, schedule, who=planner.name, where=where, seconds=seconds)


def judged(problem: Problem, schedule: Schedule, *, who: str, where: str, seconds: float) -> Result:
    """The schedule's figures.

    Raises:
        InvalidPlan: The check found something.
    """
    if found := violations(problem, schedule):
        raise InvalidPlan(who, where, found[0])
    figures = score(problem, schedule)
    return Result(makespan=figures.makespan, mean_flow=figures.mean_flow, seconds=seconds)
