from dataclasses import replace
from random import Random

import pytest
from hypothesis import given, settings

from nodewise.core.errors import Unplannable
from nodewise.core.model.ids import NodeName
from nodewise.core.model.problem import Links, Objective, PlanningContext, Problem, ProblemPipeline
from nodewise.core.model.resources import Resources
from nodewise.planning.bounds import Bounds, bounds_of, lower_bounds
from nodewise.planning.eft import Eft
from nodewise.planning.heft import Heft
from nodewise.planning.instance import index
from nodewise.planning.score import score
from tests.support.examples import examples
from tests.support.generated_problems import problems
from tests.unit.planning.proof.problems import at, held, key, node, pipeline, task

MAKESPAN, MEAN_FLOW = Objective.MAKESPAN, Objective.MEAN_FLOW


def about(value: float) -> object:
    return pytest.approx(value, rel=1e-6)


def test_the_critical_path_takes_the_fastest_nodes_and_pays_for_leaving_them() -> None:
    tasks = task("a", {"x": 1.0, "y": 5.0}), task("b", {"x": 9.0, "y": 1.0}, after=[("a", 200.0)])
    for rate, best in ((1e6, 2.0), (100.0, 4.0), (10.0, 6.0)):  # at 10 MiB/s it is best to stay on y
        problem = Problem(
            nodes=(node("x"), node("y")),
            pipelines=(pipeline(*tasks),),
            links=Links(default_mib_per_s=rate),
        )
        assert lower_bounds(problem).tried[MAKESPAN]["critical path"] == pytest.approx(best, abs=1e-3)


def test_a_link_of_its_own_counts() -> None:
    tasks = task("a", {"x": 1.0}), task("b", {"y": 1.0}, after=[("a", 200.0)])
    links = Links(pairs={(NodeName("x"), NodeName("y")): 50.0})
    problem = Problem(nodes=(node("x"), node("y")), pipelines=(pipeline(*tasks),), links=links)
    assert lower_bounds(problem).makespan == about(6.0)


def many(seconds: dict[str, float], *, count: int = 6, **needs: int) -> tuple[ProblemPipeline, ...]:
    one = replace(task("t", seconds), resources=Resources(**needs))
    return tuple(pipeline(one, name=f"p{k}") for k in range(count))


@pytest.mark.parametrize(("slots", "expected"), [(1, 12.0), (2, 6.0), (None, 2.0)])
def test_the_area_counts_slots(slots: int | None, expected: float) -> None:
    problem = Problem(nodes=(node("x", slots=slots),), pipelines=many({"x": 2.0}))
    assert lower_bounds(problem).makespan == about(expected)


@pytest.mark.parametrize(
    ("needs", "expected"),
    [({"millicores": 2000}, 6.0), ({"memory_mib": 8192}, 12.0), ({"gpus": 1}, 12.0), ({}, 2.0)],
)
def test_the_area_counts_each_resource(needs: dict[str, int], expected: float) -> None:
    problem = Problem(nodes=(node("x", slots=None),), pipelines=many({"x": 2.0}, **needs))
    assert lower_bounds(problem).makespan == about(expected)


def test_the_area_divides_work_over_unrelated_nodes_as_well_as_can_be() -> None:
    """Three tasks are fast on x, three on y: nothing is to be gained by moving any."""
    mixed = many({"x": 2.0, "y": 8.0}, count=3) + tuple(
        replace(p, name=f"q{p.name}") for p in many({"x": 8.0, "y": 2.0}, count=3)
    )
    problem = Problem(nodes=(node("x"), node("y")), pipelines=mixed)
    assert lower_bounds(problem).tried[MAKESPAN]["area"] == pytest.approx(6.0, rel=0.01)


def test_what_fixed_tasks_hold_is_not_there_for_others() -> None:
    fixed = {key("t", "p0"): at(key("t", "p0"), "x", 0.0, 5.0)}
    problem = Problem(nodes=(node("x"),), pipelines=many({"x": 2.0}), fixed=fixed)
    assert lower_bounds(problem).makespan == about(15.0)


def test_what_is_held_is_not_there_for_anybody() -> None:
    problem = Problem(nodes=(node("x"),), pipelines=many({"x": 2.0}), held=(held("x", 0.0, 5.0),))
    bounds = lower_bounds(problem)
    assert bounds.tried[MAKESPAN]["area"] == about(17.0)
    assert bounds.tried[MAKESPAN]["critical path"] == about(7.0)
    assert bounds.mean_flow == about(5 + (2 + 4 + 6 + 8 + 10 + 12) / 6)


def test_a_task_that_may_not_start_yet_ends_later() -> None:
    rests = replace(task("t", {"x": 2.0}), not_before=4.0)
    bounds = lower_bounds(Problem(nodes=(node("x"),), pipelines=(pipeline(rests),)))
    assert bounds.makespan == about(6.0)


def test_the_interval_bound_adds_what_comes_before_and_after() -> None:
    """A fork of six tasks on two nodes: 1 s before, 6 s in the middle, 1 s behind."""
    middle = [task(f"m{k}", {"x": 2.0, "y": 2.0}, after=[("a", 0.0)]) for k in range(6)]
    join = task("z", {"x": 1.0, "y": 1.0}, after=[(f"m{k}", 0.0) for k in range(6)])
    problem = Problem(
        nodes=(node("x"), node("y")), pipelines=(pipeline(task("a", {"x": 1.0, "y": 1.0}), *middle, join),)
    )
    tried = lower_bounds(problem).tried[MAKESPAN]
    assert tried["interval"] == about(8.0)
    assert tried["linear relaxation"] == about(8.0)
    assert tried["area"] == about(7.0)


def test_makespan_counts_from_the_first_submission() -> None:
    late = pipeline(task("t", {"x": 2.0}), name="late", submitted_at=10.0)
    early = pipeline(task("t", {"x": 2.0}), name="early", submitted_at=4.0)
    bounds = lower_bounds(Problem(nodes=(node("x"),), pipelines=(late, early), now=5.0))
    assert bounds.makespan == about(8.0)
    assert bounds.mean_flow == about((2.0 + 3.0) / 2)


def test_mean_flow_on_one_node_is_that_of_the_shortest_first() -> None:
    tasks = [pipeline(task("t", {"x": float(k)}), name=f"p{k}") for k in (1, 2, 3)]
    bounds = lower_bounds(Problem(nodes=(node("x"),), pipelines=tuple(tasks)))
    assert bounds.mean_flow == about((1 + 3 + 6) / 3)


def test_mean_flow_sees_that_later_work_waits() -> None:
    problem = Problem(nodes=(node("x"), node("y")), pipelines=many({"x": 2.0, "y": 2.0}, count=8))
    assert lower_bounds(problem).mean_flow == about((2 + 4 + 6 + 8) / 4)


def test_which_names_the_best_of_those_tried() -> None:
    bounds = lower_bounds(Problem(nodes=(node("x"),), pipelines=many({"x": 2.0})))
    for objective, name in bounds.which.items():
        assert bounds.tried[objective][name] == max(bounds.tried[objective].values())


def test_bounds_are_a_little_less_than_the_optimum_at_the_size_of_todays_clock() -> None:
    now = 1.8e9
    late = tuple(replace(p, submitted_at=now) for p in many({"x": 0.1}))
    problem = Problem(nodes=(node("x"),), pipelines=late, now=now)
    bounds = lower_bounds(problem)
    assert bounds.makespan == pytest.approx(0.6, abs=1e-4)
    assert not_above(bounds, problem)


def not_above(bounds: Bounds, problem: Problem) -> bool:
    """Whether the bounds are below what two planners reach."""
    context = PlanningContext(rng=Random(0))
    scores = [score(problem, planner.plan(problem, context)) for planner in (Heft(), Eft())]
    return all(bounds.makespan <= s.makespan and bounds.mean_flow <= s.mean_flow for s in scores)


@settings(max_examples=examples(40), deadline=None)
@given(problem=problems(most_tasks=25, most_nodes=6))
def test_no_plan_is_better_than_the_bounds(problem: Problem) -> None:
    thorough, quick = lower_bounds(problem), lower_bounds(problem, thorough=False)
    assert not_above(thorough, problem)
    assert quick.makespan <= thorough.makespan
    assert quick.mean_flow == thorough.mean_flow


def test_many_nodes_are_bounded_by_the_fastest_link_of_each() -> None:
    names = [f"n{j:03d}" for j in range(80)]
    rng = Random(2)
    tasks = [
        task(f"t{k}", {n: rng.uniform(1, 9) for n in names}, after=[(f"t{k - 1}", 50.0)] if k else [])
        for k in range(6)
    ]
    problem = Problem(nodes=tuple(map(node, names)), pipelines=(pipeline(*tasks),))
    assert not_above(lower_bounds(problem), problem)


def test_of_nothing_the_bounds_are_nothing() -> None:
    for nodes in ((), (node("x"),)):
        bounds = lower_bounds(Problem(nodes=nodes, pipelines=(pipeline(),)))
        assert (bounds.makespan, bounds.mean_flow) == (0.0, 0.0)


def test_a_task_without_a_node_is_refused() -> None:
    with pytest.raises(Unplannable):
        lower_bounds(Problem(nodes=(node("x"),), pipelines=(pipeline(task("t", {"y": 1.0})),)))


@given(problem=problems(most_tasks=25, most_nodes=6))
@settings(max_examples=examples(40), deadline=None)
def test_what_a_sparing_bound_leaves_out_makes_it_no_worse(problem: Problem) -> None:
    instance = index(problem)
    full, sparing = bounds_of(instance, thorough=True), bounds_of(instance, thorough=True, sparing=True)
    assert sparing.makespan == pytest.approx(full.makespan, rel=1e-7)
    assert sparing.mean_flow == full.mean_flow
