from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nodewise.core.errors import Unplannable
from nodewise.core.model.problem import Objective, PlanningContext, Problem, Schedule
from nodewise.planning.bounds import lower_bounds
from nodewise.planning.exact import Exact
from nodewise.planning.heft import Heft
from nodewise.planning.proof import SEARCH, SMALL, Certificate, prove
from nodewise.planning.score import score
from tests.support.examples import examples
from tests.support.generated_problems import problems
from tests.unit.planning.proof.problems import at, key, node, pipeline, schedule, task

MAKESPAN, MEAN_FLOW, BALANCED = Objective.MAKESPAN, Objective.MEAN_FLOW, Objective.BALANCED

THREE_ON_TWO = Problem(
    nodes=(node("x"), node("y")),
    pipelines=tuple(pipeline(task("t", {"x": 2.0, "y": 2.0}), name=f"p{k}") for k in range(3)),
)
"""No relaxation sees that one of three equal tasks has to wait: 3 s by area, 4 s in truth."""


def heft(problem: Problem) -> Schedule:
    return Heft().plan(problem, PlanningContext(rng=Random(0)))


def of(problem: Problem, objective: Objective = MAKESPAN, *, exact_seconds: float = 0) -> Certificate:
    return prove(problem, heft(problem), objective, exact_seconds=exact_seconds)


def test_a_plan_that_meets_the_bound_is_optimal() -> None:
    chain = pipeline(task("a", {"x": 2.0, "y": 5.0}), task("b", {"x": 1.0, "y": 5.0}, after=[("a", 9.0)]))
    problem = Problem(nodes=(node("x"), node("y")), pipelines=(chain,))
    found = of(problem, BALANCED)
    assert found.optimal
    assert found.lower_bound == {"makespan": pytest.approx(3.0), "mean_flow": pytest.approx(3.0)}
    assert found.gap == {"makespan": pytest.approx(0.0, abs=1e-6), "mean_flow": pytest.approx(0.0, abs=1e-6)}
    assert found.which == {"makespan": "critical path", "mean_flow": "pipelines alone"}


def test_a_worse_plan_has_its_gap() -> None:
    problem = Problem(nodes=(node("x"),), pipelines=(pipeline(task("a", {"x": 2.0})),))
    found = prove(problem, schedule(at(key("a"), "x", 1.0, 3.0)), MAKESPAN)
    assert not found.optimal
    assert found.gap["makespan"] == pytest.approx(0.5)


def test_optimal_is_about_the_objective_only() -> None:
    chain = [
        pipeline(task("t", {"x": seconds}), name=name) for name, seconds in (("long", 5.0), ("short", 1.0))
    ]
    problem = Problem(nodes=(node("x"),), pipelines=tuple(chain))
    long_first = schedule(at(key("t", "long"), "x", 0.0, 5.0), at(key("t", "short"), "x", 5.0, 6.0))
    assert prove(problem, long_first, MAKESPAN).optimal
    assert not prove(problem, long_first, MEAN_FLOW).optimal
    assert not prove(problem, long_first, BALANCED).optimal


def test_without_a_search_a_gap_of_the_bound_stays() -> None:
    found = of(THREE_ON_TWO)
    assert found.lower_bound["makespan"] == pytest.approx(3.0)
    assert found.gap["makespan"] == pytest.approx(1 / 3)
    assert not found.optimal


def test_an_exact_search_closes_it() -> None:
    found = of(THREE_ON_TWO, exact_seconds=5.0)
    assert found.optimal
    assert found.lower_bound["makespan"] == pytest.approx(4.0)
    assert found.which["makespan"] == SEARCH
    assert found.which["mean_flow"] != SEARCH
    assert of(THREE_ON_TWO, BALANCED, exact_seconds=5.0).optimal


def test_an_exact_search_does_not_call_a_worse_plan_optimal() -> None:
    one_after_the_other = [at(key("t", f"p{k}"), "x", 2.0 * k, 2.0 * k + 2.0) for k in range(3)]
    for objective in Objective:
        found = prove(THREE_ON_TWO, schedule(*one_after_the_other), objective, exact_seconds=5.0)
        assert not found.optimal
    assert prove(THREE_ON_TWO, schedule(*one_after_the_other), MAKESPAN, exact_seconds=5.0).gap[
        "makespan"
    ] == pytest.approx(0.5)


def test_what_is_not_small_is_not_searched() -> None:
    many = tuple(pipeline(task("t", {"x": 2.0, "y": 2.0}), name=f"p{k}") for k in range(SMALL + 1))
    problem = Problem(nodes=(node("x"), node("y")), pipelines=many)
    assert len(many) % 2 == 1
    assert not of(problem, exact_seconds=60.0).optimal


def test_of_nothing_every_plan_is_optimal() -> None:
    found = prove(Problem(nodes=(), pipelines=()), Schedule(assignments={}), BALANCED)
    assert found.optimal
    assert found.gap == {"makespan": 0.0, "mean_flow": 0.0}


def test_where_the_bound_is_nothing_there_is_no_gap_to_tell() -> None:
    problem = Problem(nodes=(node("x"),), pipelines=(pipeline(task("a", {"x": 0.0})),))
    found = prove(problem, schedule(at(key("a"), "x", 1.0, 1.0)), MAKESPAN)
    assert found.gap["makespan"] is None
    assert not found.optimal


def test_a_task_without_a_node_is_refused() -> None:
    problem = Problem(nodes=(node("x"),), pipelines=(pipeline(task("a", {"y": 1.0})),))
    with pytest.raises(Unplannable):
        prove(problem, schedule(at(key("a"), "y", 0.0, 1.0)), MAKESPAN)


@settings(max_examples=examples(25), deadline=None)
@given(problem=problems(), objective=st.sampled_from(Objective))
def test_only_what_cannot_be_bettered_is_called_optimal(problem: Problem, objective: Objective) -> None:
    planned = heft(problem)
    for certificate in (
        prove(problem, planned, objective),
        prove(problem, planned, objective, exact_seconds=2.0),
    ):
        best = Exact(seconds=2.0, implied=False).prove(problem, objective)
        for name, bound in certificate.lower_bound.items():
            assert bound <= getattr(score(problem, planned), name)
        if objective is not BALANCED:
            assert certificate.lower_bound[objective] <= getattr(best.score, objective)
            assert (
                not certificate.optimal
                or getattr(score(problem, planned), objective) <= best.value * (1 + 1e-5) + 1e-4
            )
    assert lower_bounds(problem).makespan <= certificate.lower_bound["makespan"]
