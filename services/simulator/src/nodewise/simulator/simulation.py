"""One simulation: from a scenario and a choice to what happened. Pure but for the clock that comes in."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from nodewise.core import plugins
from nodewise.core.errors import UnknownName
from nodewise.core.model.problem import Objective, Planner, PlanningContext, Problem, Schedule
from nodewise.planning import PLANNERS
from nodewise.simulator.budget import Budget, Timed
from nodewise.simulator.engine import Decider, World, run
from nodewise.simulator.following import PlanFollower
from nodewise.simulator.live import LiveDecider
from nodewise.simulator.rolling import RollingPlanner
from nodewise.simulator.scenario import Outcome, Scenario, check_plannable
from nodewise.simulator.tables import tables_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """Who decides. `strategy` is a strategy of production or a planner; `budget_seconds` is for all planning together."""

    policy: str
    strategy: str
    objective: Objective = Objective.BALANCED
    offline: bool = False
    budget_seconds: float | None = None
    seed: int = 0


def simulate(
    scenario: Scenario, choice: Choice, *, clock: Callable[[], float] = time.perf_counter
) -> tuple[Outcome, float]:
    """What happens, and how many seconds the decisions took.

    * Online, a strategy decides with the policy in the cycle of production; a planner's plan is remade as things happen.
    * Offline, all pipelines are known at time 0 and one plan is made from what is believed, by the planner, or by
      letting policy and strategy decide on the believed problem; then it is carried out with the true durations.

    Raises:
        UnknownName: There is no such policy, strategy or planner; carries the known ones.
        Unplannable: A task fits on no node.
        Stalled: Tasks remain that nobody places.
        DecisionFailed: The policy or planner broke.
    """
    policy, budget = plugins.policy(choice.policy), Budget(clock, choice.budget_seconds)
    planner, strategy = PLANNERS.get(choice.strategy), plugins.strategies().get(choice.strategy)
    if planner is None and strategy is None:
        raise UnknownName("strategy", choice.strategy, sorted({*plugins.strategies(), *PLANNERS}))
    check_plannable(scenario.truth)

    def decider() -> Decider:
        if planner is not None:
            return RollingPlanner(
                scenario.believed, planner, seed=choice.seed, objective=choice.objective, share=budget.share
            )
        assert strategy is not None  # noqa: S101 - for the type checker: one of the two is there
        return LiveDecider(scenario.believed, policy, strategy, seed=choice.seed)

    if not choice.offline:
        world = World(tables_of(scenario.truth), scenario.failures)
        return run(world, Timed(decider(), budget)), budget.spent
    with budget.spending():
        schedule = (
            _planned(planner, scenario.believed, choice, budget)
            if planner is not None
            else Schedule(assignments=run(World(tables_of(scenario.believed)), decider()).assignments)
        )
    return follow(scenario, schedule), budget.spent


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
