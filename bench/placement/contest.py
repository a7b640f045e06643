"""One planner, one problem: a plan that has been checked, and how long it took."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from nodewise.core.model.problem import Objective, Planner, PlanningContext, Problem
from nodewise.core.model.validation import violations
from nodewise.planning.cpop import Cpop
from nodewise.planning.eft import Eft
from nodewise.planning.fastest_node import FastestNode
from nodewise.planning.heft import Heft
from nodewise.planning.max_min import MaxMin
from nodewise.planning.min_min import MinMin
from nodewise.planning.peft import Peft
from nodewise.planning.portfolio import Portfolio
from nodewise.planning.score import Score, score
from nodewise.planning.sufferage import Sufferage


class InvalidPlan(Exception):
    """A planner's answer breaks a rule: no figure of it may be shown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A planner with what it is asked for."""

    label: str
    planner: Planner
    objective: Objective


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """A valid plan's score, and the seconds it took to make."""

    score: Score
    seconds: float


def entries(portfolio_for: Sequence[Objective]) -> tuple[Entry, ...]:
    """Every planner once, the portfolio once for each objective."""
    single: tuple[Planner, ...] = (
        FastestNode(),
        MaxMin(),
        MinMin(),
        Sufferage(),
        Cpop(),
        Peft(),
        Heft(),
        Eft(),
    )
    found = [Entry(label=one.name, planner=one, objective=Objective.MAKESPAN) for one in single]
    found += [
        Entry(label=f"portfolio ({objective.value})", planner=Portfolio(), objective=objective)
        for objective in portfolio_for
    ]
    return tuple(found)


def compete(entry: Entry, problem: Problem, *, seed: int) -> Result:
    """Plan, and check the plan independently.

    Raises:
        InvalidPlan: The check found something.
    """
    context = PlanningContext(rng=Random(seed), objective=entry.objective)
    start = time.perf_counter()
    schedule = entry.planner.plan(problem, context)
    seconds = time.perf_counter() - start
    if found := violations(problem, schedule):
        raise InvalidPlan(f"{entry.label}: {found[0]}")
    return Result(score=score(problem, schedule), seconds=seconds)
