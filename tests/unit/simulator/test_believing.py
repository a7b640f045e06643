"""What the decision is told of run times."""

import pytest

from nodewise.core.model.ids import NodeName, RunId, TaskPath, TaskRef
from nodewise.core.model.node import Node
from nodewise.core.model.resources import Resources
from nodewise.core.model.task import TaskFacts
from nodewise.simulator.believing import Believing, Spread, spread_of
from tests.support.scenarios import a_node, a_pipeline, a_scenario, a_task

N1, N2 = a_node("n1"), a_node("n2")


def asked(path: str, node: str, seconds: Believing) -> tuple[float, float, float]:
    facts = TaskFacts(ref=TaskRef(run_id=RunId("p"), path=TaskPath(path)), task_class="other")
    found = seconds(facts, Node(name=NodeName(node), capacity=Resources(millicores=1000, memory_mib=100)))
    return found.low, found.median_seconds, found.high


def test_each_task_is_believed_to_take_its_own_seconds_on_each_node() -> None:
    scenario = a_scenario([N1, N2], a_pipeline(a_task("a", {"n1": 2, "n2": 6}, estimate={"n1": 3, "n2": 5})))
    believing = Believing(scenario.believed)
    assert asked("a", "n1", believing) == (3, 3, 3)
    assert asked("a", "n2", believing) == (5, 5, 5)


def test_a_node_that_cannot_run_it_is_no_better_than_the_worst() -> None:
    believing = Believing(a_scenario([N1, N2], a_pipeline(a_task("a", {"n1": 2}))).believed)
    assert asked("a", "n2", believing) == (2, 2, 2)


def test_an_interval_is_as_wide_as_the_spread_says() -> None:
    believing = Believing(
        a_scenario([N1], a_pipeline(a_task("a", {"n1": 4}))).believed, Spread(low=0.5, high=2)
    )
    assert asked("a", "n1", believing) == (2, 4, 8)


def test_perfect_knowledge_has_no_spread() -> None:
    assert spread_of(a_scenario([N1], a_pipeline(a_task("a", {"n1": 4})))) == Spread()


def test_the_spread_holds_four_fifths_of_the_truth() -> None:
    tasks = [a_task(f"t{i:02}", {"n1": 50 + i}, estimate=100) for i in range(101)]
    found = spread_of(a_scenario([N1], a_pipeline(*tasks)))
    assert (found.low, found.high) == pytest.approx((0.6, 1.4))


def test_estimates_that_are_all_too_low_still_hold_their_median() -> None:
    tasks = [a_task(f"t{i}", {"n1": 10}, estimate=5) for i in range(9)]
    assert spread_of(a_scenario([N1], a_pipeline(*tasks))) == Spread(low=1.0, high=2.0)


def test_an_estimate_of_nothing_says_nothing_of_the_spread() -> None:
    assert spread_of(a_scenario([N1], a_pipeline(a_task("a", {"n1": 4}, estimate=0)))) == Spread()
