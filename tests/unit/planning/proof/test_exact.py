import time
from collections.abc import Iterator
from dataclasses import replace
from itertools import count, permutations, product
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nodewise.core.errors import Unplannable
from nodewise.core.model.ids import NodeName
from nodewise.core.model.problem import Links, Objective, PlanningContext, Problem, Schedule
from nodewise.core.model.resources import Resources
from nodewise.planning.bounds import lower_bounds
from nodewise.planning.exact import Exact, Proof
from nodewise.planning.portfolio import Portfolio
from nodewise.planning.score import Score, score, value
from tests.support.examples import examples
from tests.support.generated_problems import problems
from tests.support.schedule_checker import assert_valid
from tests.unit.planning.proof.problems import at, held, key, node, pipeline, task

BRIEF = Portfolio(placements=2000)

ROUNDING = 1e-3
"""Seconds: far more than the ticks of these problems add up to, far less than any of their run times."""


def prove(problem: Problem, objective: Objective = Objective.MAKESPAN, **options: bool) -> Proof:
    proof = Exact(seconds=3.0, **options).prove(problem, objective)
    assert_valid(problem, proof.schedule)
    assert proof.score == score(problem, proof.schedule)
    return proof


def one_at_a_time(problem: Problem) -> Iterator[Score]:
    """Every schedule of one pipeline, on nodes with one slot, in which no task could start earlier in its order."""
    tasks = problem.pipelines[0].tasks
    for order in permutations(tasks):
        for nodes in product(*(here.seconds for here in order)):
            free = {n.name: 0.0 for n in problem.nodes}
            ends: dict[str, float] = {}
            places: dict[str, NodeName] = {}
            for here, where in zip(order, nodes, strict=True):
                if any(d.task not in ends for d in here.after):
                    break
                arrivals = [
                    ends[d.task] + problem.links.seconds(d.mib, places[d.task], where) for d in here.after
                ]
                free[where] = ends[here.name] = max([free[where], *arrivals]) + here.seconds[where]
                places[here.name] = where
            else:
                yield Score(max(ends.values()), max(ends.values()))


@pytest.mark.parametrize("seed", range(6))
def test_it_finds_the_least_of_all_schedules(seed: int) -> None:
    rng = Random(seed)
    tasks = [
        task(
            f"t{k}",
            {name: rng.uniform(1, 9) for name in ("a", "b")},
            after=[(f"t{p}", rng.uniform(0, 300)) for p in range(k) if rng.random() < 0.4],
        )
        for k in range(4)
    ]
    problem = Problem(nodes=(node("a"), node("b")), pipelines=(pipeline(*tasks),))
    least = min(found.makespan for found in one_at_a_time(problem))
    proof = prove(problem)
    assert proof.proved
    assert proof.score.makespan == pytest.approx(least, abs=ROUNDING)
    assert proof.bound <= least


@settings(max_examples=examples(60), deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(problem=problems(), objective=st.sampled_from([Objective.MAKESPAN, Objective.MEAN_FLOW]))
def test_no_bound_is_above_the_optimum(problem: Problem, objective: Objective) -> None:
    """Proved without what the bounds have said, so that they cannot confirm themselves."""
    bounds = lower_bounds(problem)
    found = getattr(prove(problem, objective, implied=False).score, objective.value)
    assert getattr(bounds, objective.value) <= found
    assert max(bounds.tried[objective].values(), default=0.0) <= found + ROUNDING


@settings(max_examples=examples(50), deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(problem=problems(), objective=st.sampled_from(Objective))
def test_what_is_implied_changes_no_optimum(problem: Problem, objective: Objective) -> None:
    with_it, without = prove(problem, objective), prove(problem, objective, implied=False)
    assert max(with_it.bound, without.bound) <= min(with_it.value, without.value)
    if with_it.proved and without.proved:  # nearly always: these are small
        assert with_it.value == pytest.approx(without.value, abs=ROUNDING)
        assert with_it.value <= with_it.bound + ROUNDING


def test_balanced_has_the_larger_ratio_least() -> None:
    tasks = [pipeline(task("t", {"a": 1.0 + k, "b": 4.0 - k / 2}), name=f"p{k}") for k in range(4)]
    problem = Problem(nodes=(node("a"), node("b")), pipelines=tuple(tasks))
    makespan, flow = prove(problem, Objective.MAKESPAN), prove(problem, Objective.MEAN_FLOW)
    reference = Score(makespan.score.makespan, flow.score.mean_flow)
    proof = Exact().prove(problem, Objective.BALANCED, reference=reference)
    assert proof.proved
    ratios = proof.score.makespan / reference.makespan, proof.score.mean_flow / reference.mean_flow
    assert proof.value == pytest.approx(max(ratios) + 0.01 * sum(ratios))
    assert proof.bound == pytest.approx(proof.value, rel=1e-5)


def test_slots_let_tasks_run_side_by_side() -> None:
    tasks = [task(f"t{k}", {"a": 2.0}) for k in range(4)]
    for slots, makespan in ((1, 8.0), (2, 4.0), (3, 4.0), (None, 2.0)):
        found = prove(Problem(nodes=(node("a", slots=slots),), pipelines=(pipeline(*tasks),)))
        assert found.score.makespan == makespan
        assert found.proved


def test_resources_bound_what_runs_side_by_side() -> None:
    tasks = [task(f"t{k}", {"a": 2.0}, millicores=1500, gpus=k % 2) for k in range(4)]
    here = node("a", slots=None, millicores=3000)
    assert prove(Problem(nodes=(here,), pipelines=(pipeline(*tasks),))).score.makespan == 4.0


def test_it_waits_for_what_is_fixed_and_does_not_move_it() -> None:
    fixed = {key("x"): at(key("x"), "a", -1.0, 3.0)}
    tasks = (
        task("x", {"a": 4.0}),
        task("y", {"a": 1.0, "b": 9.0}),
        task("z", {"b": 1.0}, after=[("x", 200.0)]),
    )
    problem = Problem(
        nodes=(node("a"), node("b")), pipelines=(pipeline(*tasks, submitted_at=-1.0),), fixed=fixed
    )
    found = prove(problem)
    assert found.score.makespan == 7.0
    assert found.schedule.assignments[key("x")] == fixed[key("x")]
    assert found.schedule.assignments[key("y")].start == 3.0


def test_it_plans_around_what_is_held_and_waits_for_what_may_not_start_yet() -> None:
    rests = replace(task("rests", {"a": 1.0}), not_before=4.0)
    tasks = task("short", {"a": 2.0}), task("long", {"a": 3.0}), rests
    problem = Problem(
        nodes=(node("a", slots=2, millicores=1000),),
        pipelines=(pipeline(*(replace(t, resources=Resources(millicores=600)) for t in tasks)),),
        held=(held("a", 2.0, 4.0, millicores=500),),
    )
    found = prove(problem)
    assert found.proved
    assert found.score.makespan == 8.0
    assert found.schedule.assignments[key("short")].start == 0.0


def test_of_nothing_to_plan_the_proof_is_trivial() -> None:
    fixed = {key("x"): at(key("x"), "a", 0.0, 3.0)}
    problem = Problem(nodes=(node("a"),), pipelines=(pipeline(task("x", {"a": 3.0})),), fixed=fixed)
    found = prove(problem)
    assert found.proved
    assert found.schedule == Schedule(assignments=fixed)
    assert Exact().prove(Problem(nodes=(), pipelines=()), Objective.MAKESPAN).proved


def test_a_task_without_a_node_is_refused() -> None:
    problem = Problem(nodes=(node("a"),), pipelines=(pipeline(task("x", {"b": 1.0})),))
    with pytest.raises(Unplannable, match="p/x"):
        Exact().plan(problem, PlanningContext(rng=Random(0)))


def large() -> Problem:
    rng = Random(5)
    names = [f"n{j}" for j in range(5)]
    return Problem(
        nodes=tuple(node(name) for name in names),
        pipelines=tuple(
            pipeline(*[task(f"t{k}", {n: rng.uniform(1, 9) for n in names}) for k in range(4)], name=f"p{p}")
            for p in range(8)
        ),
        links=Links(),
    )


def test_without_enough_time_it_still_answers_with_a_valid_plan_and_a_bound() -> None:
    found = Exact(seconds=0.01).prove(large(), Objective.MEAN_FLOW)
    assert_valid(large(), found.schedule)
    assert not found.proved
    assert found.bound <= found.value


def test_it_gives_up_as_soon_as_time_is_out_though_no_better_plan_is_found() -> None:
    """The solver itself asks nobody: of this problem it would go on for half an hour."""
    asked = count()
    start = time.monotonic()
    found = Exact(seconds=1800.0).prove(large(), Objective.MEAN_FLOW, out_of_time=lambda: next(asked) >= 3)
    assert time.monotonic() - start < 60.0
    assert_valid(large(), found.schedule)
    assert not found.proved


@pytest.mark.parametrize("objective", Objective)
def test_as_a_planner_it_is_never_worse_than_the_portfolio(objective: Objective) -> None:
    problem = replace(large(), pipelines=large().pipelines[:5])
    context = PlanningContext(rng=Random(0), objective=objective)
    known = score(problem, BRIEF.plan(problem, context))
    found = Exact(seconds=0.2, start=BRIEF).plan(problem, replace(context, rng=Random(0)))
    assert_valid(problem, found)
    bounds = lower_bounds(problem)
    reference = Score(bounds.makespan, bounds.mean_flow)
    ours = value(score(problem, found), objective, best=reference)
    assert ours <= value(known, objective, best=reference) + 1e-9


def test_what_is_too_large_to_prove_is_planned_by_the_portfolio() -> None:
    more = [replace(p, name=f"{p.name}-{k}") for k in range(4) for p in large().pipelines]
    problem = replace(large(), pipelines=tuple(more))
    context = PlanningContext(rng=Random(0), objective=Objective.MAKESPAN)
    known = BRIEF.plan(problem, replace(context, rng=Random(0)))
    assert Exact(seconds=1800.0, start=BRIEF).plan(problem, context) == known


def test_without_any_time_it_has_the_plan_that_the_portfolio_has_then() -> None:
    context = PlanningContext(rng=Random(0), objective=Objective.MEAN_FLOW, out_of_time=lambda: True)
    assert Exact(seconds=1800.0).plan(large(), context) == Portfolio().plan(large(), context)


def test_equal_problems_have_equal_plans() -> None:
    problem = Problem(nodes=large().nodes, pipelines=large().pipelines[:2])
    context = PlanningContext(rng=Random(0))
    assert Exact().plan(problem, context) == Exact().plan(problem, context)
