from hypothesis import given

from nodewise.core.errors import Unplannable
from nodewise.core.model.problem import Objective, Problem
from nodewise.planning import PLANNERS
from nodewise.planning.blends import blends
from nodewise.planning.instance import index
from nodewise.planning.prices import node_prices, regrets
from nodewise.planning.score import Score, score, value
from tests.support.planning import context, faults, node, pipelines_of, problems

# Two nodes: `gpu` runs the model six times faster and the rest a little faster.
MODEL = {"gpu": 10.0, "cpu": 60.0}
PLAIN = {"gpu": 9.0, "cpu": 10.0}
MIXED = Problem(
    nodes=(node("gpu"), node("cpu")), pipelines=pipelines_of(*[[PLAIN], [PLAIN, MODEL], [MODEL]] * 4)
)


def test_the_node_that_all_want_costs_more() -> None:
    gpu, cpu = node_prices(index(MIXED))
    assert gpu > 1 > cpu


def test_at_these_prices_each_task_belongs_to_the_node_it_gains_most_on() -> None:
    instance = index(MIXED)
    table = regrets(instance, node_prices(instance))
    for task, row in enumerate(table):
        cheapest = min(range(2), key=row.__getitem__)
        assert row[cheapest] == 0
        assert cheapest == (0 if instance.seconds[task] == [10.0, 60.0] else 1)


def test_a_node_without_work_has_a_price_all_the_same() -> None:
    idle = Problem(nodes=(node("a"), node("b")), pipelines=pipelines_of([{"a": 1.0}]))
    assert all(price > 0 for price in node_prices(index(idle)))


@given(problems(max_pipelines=3))
def test_every_blend_is_a_valid_plan(problem: Problem) -> None:
    try:
        instance = index(problem)
    except Unplannable:
        return
    for plan in blends(instance):
        assert not faults(problem, plan.schedule())


def test_balanced_stays_near_the_best_in_both_at_once() -> None:
    chains = [[MODEL if (k + i) % 3 == 0 else PLAIN for i in range(1 + k * k % 5)] for k in range(12)]
    problem = Problem(nodes=(node("gpu"), node("cpu")), pipelines=pipelines_of(*chains))
    found = {o: score(problem, PLANNERS["portfolio"].plan(problem, context(o))) for o in Objective}
    both = found[Objective.BALANCED]
    assert both.makespan <= 1.15 * found[Objective.MAKESPAN].makespan
    assert both.mean_flow <= 1.15 * found[Objective.MEAN_FLOW].mean_flow


def test_balanced_is_the_larger_ratio() -> None:
    best = Score(10, 4)
    even, uneven = Score(11, 4.4), Score(10, 4.8)
    assert value(even, Objective.BALANCED, best=best) < value(uneven, Objective.BALANCED, best=best)
