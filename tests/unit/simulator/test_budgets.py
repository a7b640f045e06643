"""A budget is kept: what is left when it is spent is placed without planning."""

from collections.abc import Callable
from random import Random

import pytest

from nodewise.core.model.problem import Objective, PlanningContext, Schedule
from nodewise.planning import portfolio
from nodewise.planning.instance import index
from nodewise.simulator.problem_file import parse_scenario
from nodewise.simulator.result import result_document
from nodewise.simulator.scenario import Scenario
from nodewise.simulator.simulation import Choice, simulate
from tests.support.scenarios import a_node, a_pipeline, a_scenario, a_task, random_problem
from tests.support.schedule_checker import assert_valid

N1, N2 = a_node("n1"), a_node("n2")


def clock_of(step: float) -> Callable[[], float]:
    now = [0.0]

    def clock() -> float:
        now[0] += step
        return now[0]

    return clock


def large(seed: int) -> Scenario:
    return parse_scenario(random_problem(seed, pipelines=25, nodes=4, spread=40.0))


@pytest.mark.parametrize("strategy", ["portfolio", "heft", "greedy"])
@pytest.mark.parametrize("offline", [False, True])
@pytest.mark.parametrize("budget", [0.0, 20.0])
def test_a_spent_budget_leaves_nothing_undone(strategy: str, offline: bool, budget: float) -> None:
    scenario = large(1)
    choice = Choice(policy="balanced", strategy=strategy, offline=offline, budget_seconds=budget)
    outcome, _ = simulate(scenario, choice, clock=clock_of(0.5))
    assert len(outcome.assignments) == sum(len(pipeline.tasks) for pipeline in scenario.truth.pipelines)
    assert_valid(scenario.truth, Schedule(assignments=outcome.assignments))


def test_without_time_each_task_goes_where_it_is_believed_to_end_first() -> None:
    tasks = [a_task(name, {"n1": 4, "n2": 10}) for name in "abc"]
    choice = Choice(policy="balanced", strategy="portfolio", budget_seconds=0.0)
    outcome, _ = simulate(a_scenario([N1, N2], a_pipeline(*tasks)), choice)
    assert [done.node for done in outcome.assignments.values()].count("n1") == 2
    assert outcome.unplanned == 3


def test_a_plan_is_carried_on_when_the_budget_is_spent() -> None:
    scenario = large(2)
    planned = Choice(policy="balanced", strategy="portfolio", budget_seconds=30.0)
    outcome, _ = simulate(scenario, planned, clock=clock_of(0.5))
    assert 0 < outcome.unplanned < len(outcome.assignments)


def test_without_time_what_waits_on_a_node_that_goes_is_placed_elsewhere() -> None:
    tasks = [a_task(name, {"n1": 10, "n2": 30}) for name in "abc"]
    scenario = a_scenario([N1, N2], a_pipeline(*tasks), failures=[["n1", 5, None]])
    outcome, _ = simulate(scenario, Choice(policy="fifo", strategy="greedy", budget_seconds=0.0))
    assert {done.node for done in outcome.assignments.values()} == {"n2"}


def test_no_budget_bounds_nothing() -> None:
    outcome, _ = simulate(large(3), Choice(policy="balanced", strategy="heft"), clock=clock_of(1e6))
    assert outcome.unplanned == 0


def test_a_blend_of_a_large_problem_is_given_up_when_time_is_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(portfolio, "LARGE", 0)
    instance = index(parse_scenario(random_problem(4, pipelines=150, nodes=4)).truth)
    assert len(instance.free) > 512
    asked = [0]

    def out_of_time() -> bool:
        asked[0] += 1
        return asked[0] > 1

    context = PlanningContext(rng=Random(0), objective=Objective.MAKESPAN, out_of_time=out_of_time)
    plan = portfolio.Portfolio().on(instance, context)
    assert plan.start == portfolio.heft(instance).start


def test_bounds_without_time_hold_and_are_there() -> None:
    scenario = large(5)
    outcome, _ = simulate(scenario, Choice(policy="balanced", strategy="heft"))
    full, spent = (
        result_document(
            scenario.truth, outcome, objective=Objective.BALANCED, planning_seconds=1.0, budget_seconds=budget
        )["lower_bound"]
        for budget in (None, 0.0)
    )
    assert 0 < spent["makespan"] <= full["makespan"]
    assert 0 < spent["mean_flow"] <= full["mean_flow"]


def test_an_answer_is_proved_where_there_is_time() -> None:
    scenario = a_scenario([N1], a_pipeline(a_task("a", {"n1": 4})))
    outcome, _ = simulate(scenario, Choice(policy="fifo", strategy="greedy"))
    found = result_document(
        scenario.truth, outcome, objective=Objective.MAKESPAN, planning_seconds=0.0, budget_seconds=60.0
    )
    assert found["optimal"]
