"""Every planner that is installed keeps the contract, and they are as good in comparison as they say."""

from collections.abc import Mapping
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nodewise.core import plugins
from nodewise.core.errors import UnknownName
from nodewise.core.model.ids import NodeName
from nodewise.core.model.problem import (
    Dependency,
    Links,
    Objective,
    Planner,
    PlanningContext,
    Problem,
    ProblemNode,
    ProblemPipeline,
    ProblemTask,
    Schedule,
)
from nodewise.core.model.resources import Resources
from nodewise.planning import PLANNERS
from nodewise.planning.bounds import lower_bounds
from nodewise.planning.exact import Exact
from nodewise.planning.portfolio import QUICK_MEMBERS, THOROUGH_MEMBERS, Portfolio
from nodewise.planning.score import Score, score, value
from tests.contracts.planner_contract import ROOM, PlannerContract
from tests.support.examples import examples
from tests.support.generated_problems import problems

ROUNDING = 1e-3
"""Far more than ticks add up to in these problems, far less than any run time."""


class TestHeft(PlannerContract):
    def make(self) -> Planner:
        return plugins.planner("heft")


class TestPeft(PlannerContract):
    def make(self) -> Planner:
        return plugins.planner("peft")


class TestCpop(PlannerContract):
    def make(self) -> Planner:
        return plugins.planner("cpop")


class TestMinMin(PlannerContract):
    def make(self) -> Planner:
        return plugins.planner("min_min")


class TestMaxMin(PlannerContract):
    def make(self) -> Planner:
        return plugins.planner("max_min")


class TestSufferage(PlannerContract):
    def make(self) -> Planner:
        return plugins.planner("sufferage")


class TestFastestNode(PlannerContract):
    def make(self) -> Planner:
        return plugins.planner("fastest_node")


class TestOwnFastestNode(PlannerContract):
    def make(self) -> Planner:
        return plugins.planner("own_fastest_node")


class TestEft(PlannerContract):
    def make(self) -> Planner:
        return plugins.planner("eft")


class TestExact(PlannerContract):
    def make(self) -> Planner:
        return Exact(seconds=60.0, start=Portfolio(placements=200, vain_steps=20))


class TestPortfolio(PlannerContract):
    def make(self) -> Planner:
        return Portfolio(placements=600, vain_steps=40)


CASES: tuple[type[PlannerContract], ...] = (
    TestHeft,
    TestPeft,
    TestCpop,
    TestMinMin,
    TestMaxMin,
    TestSufferage,
    TestFastestNode,
    TestOwnFastestNode,
    TestEft,
    TestExact,
    TestPortfolio,
)


def test_every_installed_planner_has_its_contract_tests() -> None:
    assert {case().make().name for case in CASES} == set(plugins.planners()) == set(PLANNERS)


def test_no_planner_has_the_name_of_a_strategy_that_decides_by_itself() -> None:
    mapping = {name for name in plugins.strategies() if name not in plugins.planners()}
    assert mapping == {"random", "round_robin", "greedy", "custom"}


def test_an_unknown_planner_is_refused_with_the_known_ones() -> None:
    with pytest.raises(UnknownName, match="no planner named 'nope'; known: cpop, eft") as refused:
        plugins.planner("nope")
    assert set(refused.value.known) == set(PLANNERS)


def every_plan(problem: Problem, objective: Objective) -> Mapping[str, Score]:
    """What each planner reaches but the exact one; the portfolio with little effort."""
    planners = [case().make() for case in CASES if case is not TestExact]
    return {planner.name: reached(planner, problem, objective) for planner in planners}


def reached(planner: Planner, problem: Problem, objective: Objective) -> Score:
    context = PlanningContext(rng=Random(0), objective=objective)
    return score(problem, planner.plan(problem, context))


@settings(max_examples=examples(60))
@given(problems(most_tasks=8), st.sampled_from(Objective))
def test_the_portfolio_is_never_worse_than_a_member(problem: Problem, objective: Objective) -> None:
    plans = every_plan(problem, objective)
    members = [plans[name] for name in (*QUICK_MEMBERS, *THOROUGH_MEMBERS)]
    best = Score(min(m.makespan for m in members), min(m.mean_flow for m in members))
    ours = value(plans["portfolio"], objective, best=best)
    assert all(ours <= value(member, objective, best=best) + 1e-9 for member in members)


@settings(max_examples=examples(40))
@given(problems(), st.sampled_from(Objective))
def test_exact_is_never_worse_than_any_other(problem: Problem, objective: Objective) -> None:
    bounds = lower_bounds(problem)
    best = Score(bounds.makespan, bounds.mean_flow)
    ours = value(reached(TestExact().make(), problem, objective), objective, best=best)
    for name, plan in every_plan(problem, objective).items():
        other = value(plan, objective, best=best)
        assert ours <= other + ROUNDING * max(1.0, other), name


def test_a_task_of_no_length_starts_at_once_on_a_busy_node() -> None:
    """It takes no room, as validation and bounds have it: what is proved optimal must not wait for any."""
    n0, n1, nothing = NodeName("n0"), NodeName("n1"), Resources()
    long = ProblemTask(name="long", task_class="c", resources=nothing, seconds={n0: 1.0, n1: 2.0})
    after = Dependency(task="long", mib=53.0)
    last = ProblemTask(
        name="last",
        task_class="c",
        resources=nothing,
        seconds={n0: 1.0, n1: 0.0},
        after=(after,),
        not_before=6.5,
    )
    short = ProblemTask(name="short", task_class="c", resources=nothing, seconds={n0: 1.0, n1: 0.0})
    problem = Problem(
        nodes=tuple(
            ProblemNode(name=name, capacity=Resources(millicores=1000), slots=1) for name in (n0, n1)
        ),
        pipelines=(
            ProblemPipeline(name="a", submitted_at=2.0, tasks=(short,)),
            ProblemPipeline(name="b", submitted_at=1.0, tasks=(long, last)),
        ),
        links=Links(default_mib_per_s=10.0),
    )
    for planner in (TestExact().make(), TestPortfolio().make()):
        assert reached(planner, problem, Objective.MEAN_FLOW).mean_flow == 2.75


@settings(max_examples=examples(60))
@given(problems(most_tasks=12, most_nodes=4), st.sampled_from(Objective))
def test_no_plan_is_better_than_the_bounds(problem: Problem, objective: Objective) -> None:
    bounds = lower_bounds(problem)
    for name, plan in every_plan(problem, objective).items():
        assert bounds.makespan <= plan.makespan, name
        assert bounds.mean_flow <= plan.mean_flow, name


class Forgetful:
    """Loses a task, as a published library does."""

    name = "forgetful"
    summary = "all but one"

    def plan(self, problem: Problem, context: PlanningContext) -> Schedule:
        whole = plugins.planner("heft").plan(problem, context)
        return Schedule(assignments=dict(list(whole.assignments.items())[1:]))


class Refusing:
    """Refuses what could be done."""

    name = "refusing"
    summary = "no"

    def plan(self, problem: Problem, context: PlanningContext) -> Schedule:
        return plugins.planner("heft").plan(Problem(nodes=(), pipelines=problem.pipelines), context)


@pytest.mark.parametrize("wrong", [Forgetful, Refusing])
def test_the_check_of_the_contract_refuses_what_breaks_it(wrong: type[Forgetful | Refusing]) -> None:
    class Case(PlannerContract):
        def make(self) -> Planner:
            return wrong()

    node = ProblemNode(name=NodeName("n"), capacity=ROOM)
    task = ProblemTask(name="t", seconds={node.name: 1.0})
    problem = Problem(nodes=(node,), pipelines=(ProblemPipeline(name="p", tasks=(task,)),))
    with pytest.raises(AssertionError):
        Case().checked(problem, Case().plan(problem))
