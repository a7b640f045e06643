"""A budget is kept: what is left when it is spent is placed without planning."""

from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Any

import pytest

from nodewise.core.model.problem import Objective, PlanningContext, Schedule
from nodewise.planning import portfolio
from nodewise.planning.bounds import bounds_of, quick_bounds
from nodewise.planning.instance import index
from nodewise.planning.score import score
from nodewise.simulator import request
from nodewise.simulator.budget import Budget, Timed
from nodewise.simulator.pace import beginning_of, hurried_pace
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
    """By a clock that goes on whenever somebody looks at it: hurried decisions, too, take time then."""
    scenario = large(2)
    planned = Choice(policy="balanced", strategy="portfolio", budget_seconds=800.0)
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


class Turned:
    """A clock that goes on where work is done."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Slow:
    """Takes so long for a decision, which ends so many tasks."""

    clock: Turned
    seconds: float
    tasks: int = 10
    decisions: int = 0

    def decide(self, world: Any) -> None:
        self.clock.now += self.seconds * (self.tasks if world.unfinished > 0 else 0)
        self.decisions += 1
        world.unfinished = max(0, world.unfinished - self.tasks)


@dataclass
class Left:
    """As much of a world as is asked for."""

    unfinished: int


def carried_out(
    budget: float, *, tasks: int, planning: float, hurried: float, pace: float | None = None
) -> tuple[Slow, Slow, float]:
    """Both deciders, and the time taken in all; `planning` and `hurried` are seconds for a task."""
    clock = Turned()
    planner, quick = Slow(clock, planning), Slow(clock, hurried)
    timed = Timed(
        planner, Budget(clock, budget), instead=lambda: quick, pace=hurried if pace is None else pace
    )
    world = Left(tasks)
    while world.unfinished:
        timed.decide(world)  # type: ignore[arg-type]
    return planner, quick, clock.now


def test_what_hurried_decisions_will_take_is_kept_for_them() -> None:
    planner, quick, taken = carried_out(100.0, tasks=1000, planning=0.2, hurried=0.02)
    assert planner.decisions > 10
    assert quick.decisions > 10
    assert 80.0 < taken <= 100.0


@pytest.mark.parametrize("planning", [0.1, 0.5, 2.0])
@pytest.mark.parametrize("hurried", [0.0, 0.001, 0.02])
def test_a_budget_is_kept_whatever_decisions_take(planning: float, hurried: float) -> None:
    """But for the first one, of which only is known what hurried ones take."""
    _, quick, taken = carried_out(60.0, tasks=1000, planning=planning, hurried=hurried)
    assert taken <= 60.0
    assert quick.decisions


def test_where_not_even_hurried_decisions_fit_nothing_else_is_done() -> None:
    planner, quick, taken = carried_out(10.0, tasks=1000, planning=0.1, hurried=0.02)
    assert (planner.decisions, quick.decisions) == (0, 100)
    assert taken == pytest.approx(20.0)


def test_all_is_planned_where_it_fits() -> None:
    planner, quick, _ = carried_out(1000.0, tasks=1000, planning=0.1, hurried=0.02)
    assert (planner.decisions, quick.decisions) == (100, 0)


def test_a_search_is_no_time_that_the_next_decision_needs() -> None:
    """It ends with its share, however large that was."""
    clock = Turned()
    budget = Budget(clock, 100.0)

    class Searching(Slow):
        def decide(self, world: Any) -> None:
            share = budget.share(2)
            while not share():
                clock.now += 1.0
            super().decide(world)

    planner, quick = Searching(clock, 0.1), Slow(clock, 0.0)
    timed = Timed(planner, budget, instead=lambda: quick)
    world = Left(100)
    for _ in range(5):
        timed.decide(world)  # type: ignore[arg-type]
    assert (planner.decisions, quick.decisions) == (5, 0)


def test_the_pace_is_tried_on_the_beginning_of_a_problem_with_all_that_it_waits_for() -> None:
    problem = large(6).believed
    part = beginning_of(problem, tasks=20)
    kept = {(pipeline.name, task.name) for pipeline in part.pipelines for task in pipeline.tasks}
    assert len(kept) == 20
    assert all(
        (pipeline.name, item.task) in kept
        for pipeline in part.pipelines
        for task in pipeline.tasks
        for item in task.after
    )
    assert hurried_pace(problem, clock_of(0.01)) > 0


def test_a_budget_that_was_too_small_is_told_of() -> None:
    outcome, _ = simulate(large(7), Choice(policy="fifo", strategy="greedy", budget_seconds=0.0))
    choice = Choice(policy="fifo", strategy="greedy", budget_seconds=3.0)
    tasks = len(outcome.assignments)
    all_of_them, too_little = request.note(choice, outcome, 4.5).splitlines()
    assert all_of_them.startswith(f"budget of 3 s: nothing was planned: {tasks} of {tasks} tasks")
    assert (
        too_little == "budget of 3 s: too little for the quickest decisions that there are, which took 4.5 s"
    )
    assert len(request.note(choice, outcome, 3.2).splitlines()) == 1


@pytest.mark.parametrize("asked", range(0, 160, 27))
@pytest.mark.parametrize("objective", list(Objective))
def test_whenever_time_is_out_there_is_a_whole_plan(
    monkeypatch: pytest.MonkeyPatch, asked: int, objective: Objective
) -> None:
    """Everything is given up then but the first, so no answer is worse than that one."""
    monkeypatch.setattr(portfolio, "LARGE", 0)
    monkeypatch.setattr(portfolio, "VERY_LARGE", 0 if asked % 2 else 10**9)
    problem = parse_scenario(random_problem(4, pipelines=130, nodes=4)).truth
    instance = index(problem)
    assert len(instance.free) > 512
    times = [0]

    def out_of_time() -> bool:
        times[0] += 1
        return times[0] > asked

    context = PlanningContext(rng=Random(0), objective=objective, out_of_time=out_of_time)
    plan = portfolio.Portfolio(placements=5_000).on(instance, context)
    assert_valid(problem, plan.schedule())
    if objective is Objective.MAKESPAN:
        assert max(plan.end) <= max(portfolio.heft(instance).end) + 1e-9


@pytest.mark.parametrize("seed", range(12))
def test_quick_bounds_hold(seed: int) -> None:
    problem = parse_scenario(random_problem(seed, pipelines=1 + seed, nodes=1 + seed % 4)).truth
    reached = score(
        problem, portfolio.Portfolio(placements=2_000).plan(problem, PlanningContext(rng=Random(0)))
    )
    found = quick_bounds(problem)
    assert 0 < found.makespan <= reached.makespan
    assert 0 < found.mean_flow <= reached.mean_flow


def test_bounds_are_the_quick_ones_where_time_is_out_before_there_are_paths() -> None:
    problem = parse_scenario(random_problem(4, pipelines=130, nodes=4)).truth
    found = bounds_of(index(problem), out_of_time=lambda: True)
    assert found == quick_bounds(problem)
    assert set(found.which.values()) <= {"chains", "work"}


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
