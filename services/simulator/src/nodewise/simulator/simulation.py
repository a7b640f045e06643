"""One simulation: from a scenario and a choice to what happened. Pure but for the clock that comes in."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from random import Random
from typing import Final

from nodewise.core import plugins
from nodewise.core.errors import UnknownName
from nodewise.core.model.problem import Objective, Planner, PlanningContext, Problem, Schedule
from nodewise.core.ports import Policy
from nodewise.simulator.believing import Believing, spread_of
from nodewise.simulator.budget import Budget, Timed
from nodewise.simulator.engine import Decider, World, run
from nodewise.simulator.following import PlanFollower
from nodewise.simulator.hurried import HurriedDecider
from nodewise.simulator.limits import Limits
from nodewise.simulator.live import LiveDecider
from nodewise.simulator.pace import hurried_pace
from nodewise.simulator.planned import PlanningDecider
from nodewise.simulator.scenario import Outcome, Scenario, check_plannable
from nodewise.simulator.tables import tables_of
from nodewise.simulator.team import Team

SHARE_FOR_PROVING: Final = 0.1
"""So much of a budget is for bounds, even where decisions could use it, or have used it up."""

_FOR_WRITING: Final = 0.05
"""So much of a budget a planner is not given for its search: it has to write down what it has found."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """Who decides. `strategy` is a strategy of production or a planner; `budget_seconds` is for decisions and bounds together."""

    policy: str
    strategy: str
    objective: Objective = Objective.BALANCED
    offline: bool = False
    budget_seconds: float | None = None
    seed: int = 0
    limits: Limits = field(default_factory=Limits)


def simulate(
    scenario: Scenario, choice: Choice, *, clock: Callable[[], float] = time.perf_counter
) -> tuple[Outcome, float]:
    """What happens, and how many seconds the decisions took.

    * Online, policy and strategy, or policy and planner, decide in the cycle of production, as things happen.
    * Offline, all pipelines are known at time 0 and one plan is made from what is believed, by the planner, or by
      letting policy and strategy decide on the believed problem; then it is carried out with the true durations.

    Raises:
        UnknownName: There is no such policy, strategy or planner; carries the known ones.
        Unplannable: A task fits on no node.
        Stalled: Tasks remain that nobody places.
        DecisionFailed: The policy or planner broke.
    """
    policy, budget = check_names(choice), Budget(clock, _for_decisions(choice))
    check_plannable(scenario.truth)
    if choice.offline:
        return _offline(scenario, choice, policy, budget, clock)
    world = World(tables_of(scenario.truth), scenario.failures)
    return _online(world, scenario, choice, policy, budget, clock), budget.spent


def _for_decisions(choice: Choice) -> float | None:
    """The rest is for bounds; see `result`."""
    return None if choice.budget_seconds is None else (1 - SHARE_FOR_PROVING) * choice.budget_seconds


def _online(  # noqa: PLR0917
    world: World,
    scenario: Scenario,
    choice: Choice,
    policy: Policy,
    budget: Budget,
    clock: Callable[[], float],
) -> Outcome:
    decider = _decider(scenario, choice, policy, budget)
    hurried: list[HurriedDecider] = []

    def instead() -> Decider:
        hints = decider.hints() if isinstance(decider, PlanningDecider) else {}
        hurried.append(HurriedDecider(world.tables, scenario.believed, hints))
        return hurried[0]

    pace = 0.0
    if budget.is_bounded and not budget.is_spent:
        with budget.spending():
            pace = hurried_pace(scenario.believed, clock)
    outcome = run(world, Timed(decider, budget, instead=instead, pace=pace))
    return replace(outcome, unplanned=sum(found.placed for found in hurried))


def check_names(choice: Choice) -> Policy:
    """The policy of the choice.

    Raises:
        UnknownName: There is no such policy, strategy or planner; carries the known ones.
    """
    known = {*plugins.strategies(), *plugins.planners()}
    if choice.strategy not in known:
        raise UnknownName("strategy or preset", choice.strategy, sorted({*known, *plugins.presets()}))
    return plugins.policy(choice.policy)


def _offline(  # noqa: PLR0917
    scenario: Scenario, choice: Choice, policy: Policy, budget: Budget, clock: Callable[[], float]
) -> tuple[Outcome, float]:
    planner = plugins.planners().get(choice.strategy)
    if planner is None:
        decided = _online(World(tables_of(scenario.believed)), scenario, choice, policy, budget, clock)
        followed = follow(scenario, Schedule(assignments=decided.assignments))
        return replace(followed, unplanned=decided.unplanned), budget.spent
    if choice.budget_seconds is not None:
        budget.keep(_FOR_WRITING * choice.budget_seconds)
    with budget.spending():
        schedule = _planned(planner, scenario.believed, choice, budget)
    return follow(scenario, schedule), budget.spent


def _decider(scenario: Scenario, choice: Choice, policy: Policy, budget: Budget) -> Decider:
    planner = plugins.planners().get(choice.strategy)
    team = Team(
        policy=policy,
        strategy=choice.strategy,
        strategies=plugins.strategies(),
        believed=scenario.believed,
        predict=Believing(scenario.believed, spread_of(scenario)),
        estimated=scenario.believed is not scenario.truth,
        objective=choice.objective,
        limits=choice.limits,
        seed=choice.seed,
    )
    if planner is None:
        return LiveDecider(team)
    share = None if choice.budget_seconds is None else budget.share
    return PlanningDecider(team, planner, share=share)


def _planned(planner: Planner, problem: Problem, choice: Choice, budget: Budget) -> Schedule:
    if not problem.pipelines:
        return Schedule(assignments={})
    context = PlanningContext(
        rng=Random(choice.seed),  # noqa: S311 - chance for a planner, not a secret
        objective=choice.objective,
        out_of_time=budget.share(1),
    )
    return planner.plan(problem, context)


def follow(scenario: Scenario, schedule: Schedule) -> Outcome:
    """What happens when a plan is carried out.

    Raises:
        Stalled: The plan lacks tasks, or a node that it needs never comes back.
    """
    tables = tables_of(scenario.truth)
    return run(World(tables, scenario.failures), PlanFollower(tables, schedule.assignments))
