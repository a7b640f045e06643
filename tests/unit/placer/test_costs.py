"""What a node would cost a task, and how it is told."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nodewise.core.estimates.learning import Basis, Prediction
from nodewise.core.model.decision import Exclusion, ReasonCode
from nodewise.core.model.ids import NodeName
from nodewise.core.model.node import Node, NodeView
from nodewise.core.model.resources import Resources
from nodewise.core.model.situation import Occupancy
from nodewise.core.model.task import TaskFacts, TaskInput
from nodewise.placer.costs import Prices, told, told_interval
from tests.support.builders import NOON, a_node, a_task, placement_context, seconds

CORE = Resources(millicores=1000, memory_mib=10)


def a_prediction(median: float, *, spread: float = 2.0) -> Prediction:
    return Prediction(
        median_seconds=median,
        low=median / spread,
        high=median * spread,
        level=0.8,
        basis=Basis.LEARNED,
        samples=9,
    )


def ten_seconds(task: TaskFacts, node: Node, /) -> Prediction:
    return a_prediction(10.0)


def live(path: str, *, ends: float, node: str = "n1", resources: Resources = CORE) -> Occupancy:
    """An attempt that began at noon and is believed to end so many seconds later."""
    return Occupancy(
        ref=a_task(path, run=9).ref,
        node=NodeName(node),
        resources=resources,
        placed_at=NOON,
        started_at=NOON,
        prediction=a_prediction(ends),
    )


def prices(*running: Occupancy, **fields: Any) -> Prices:
    return Prices(placement_context(predict=ten_seconds, running=running, **fields))


def full(*, cores: int = 2, **fields: Any) -> NodeView:
    return replace(a_node("n1", cores=cores, booked=cores), running_tasks=cores, **fields)


def test_a_node_with_room_costs_what_the_task_runs() -> None:
    cost = prices().cost(a_task(), a_node("n1"))
    assert cost.scores() == {
        "run_seconds": 10.0,
        "run_low": 5.0,
        "run_high": 20.0,
        "transfer_seconds": 0.0,
        "wait_seconds": 0.0,
        "finish_seconds": 10.0,
    }


def test_the_largest_input_from_elsewhere_decides_the_transfer() -> None:
    inputs = tuple(
        TaskInput(node=NodeName(node), mib=mib) for node, mib in (("n1", 900.0), ("n2", 100.0), ("n3", 50.0))
    )
    task, made = a_task(inputs=inputs), prices(link_mib_per_s=50.0)
    assert made.cost(task, a_node("n1")).transfer_seconds == pytest.approx(2.0)
    assert made.cost(task, a_node("n2")).transfer_seconds == pytest.approx(18.0)
    assert made.cost(task, a_node("n1")).finish_seconds == pytest.approx(12.0)


def test_a_full_node_has_room_when_enough_of_what_runs_there_is_believed_to_end() -> None:
    made = prices(live("late", ends=30), live("soon", ends=4), live("elsewhere", ends=1, node="n2"))
    assert made.cost(a_task(cores=1), full()).wait_seconds == pytest.approx(4)
    assert made.cost(a_task(cores=2), full()).wait_seconds == pytest.approx(30)
    assert made.cost(a_task(cores=2), full()).finish_seconds == pytest.approx(40)


def test_a_slot_must_become_free_too() -> None:
    view = replace(a_node("n1", cores=8, booked=2), running_tasks=2, slots=2)
    assert prices(live("a", ends=7), live("b", ends=9)).cost(a_task(), view).wait_seconds == pytest.approx(7)


def test_room_that_nobody_known_holds_is_free_nobody_knows_when() -> None:
    cost = prices(live("a", ends=7)).cost(a_task(cores=2), full())
    assert cost.wait_seconds is None
    assert cost.finish_seconds is None
    assert cost.scores()["finish_seconds"] is None


def test_nobody_knows_when_other_programs_give_memory_back() -> None:
    used = Exclusion(node=NodeName("n1"), code=ReasonCode.MEMORY_IN_USE, text="")
    cost = prices().cost(a_task(), a_node("n1"), used)
    assert cost.wait_seconds is None
    assert cost.run.median_seconds == 10.0


def test_what_was_decided_before_holds_its_room_until_it_ends() -> None:
    made, empty = prices(), a_node("n1", cores=1)
    assert made.cost(a_task("b"), empty).wait_seconds == 0
    made.book(a_task("a", cores=1), empty)
    later = made.cost(a_task("b"), empty.with_booking(CORE))
    assert later.wait_seconds == pytest.approx(10)
    assert later.finish_seconds == pytest.approx(20)


_SIZES = st.integers(1, 4)


@given(_SIZES, st.lists(st.tuples(st.integers(1, 50), _SIZES), max_size=6), st.none() | st.integers(1, 5))
def test_the_wait_is_the_first_moment_at_which_a_simulation_finds_room(
    need: int, running: Sequence[tuple[int, int]], slots: int | None
) -> None:
    cores = 4
    held = sum(size for _, size in running)
    view = replace(a_node("n1", cores=cores, booked=held), running_tasks=len(running), slots=slots)
    occupied = [
        live(f"t{n}", ends=end, resources=Resources(millicores=1000 * size))
        for n, (end, size) in enumerate(running)
    ]

    def fits(at: int) -> bool:
        left = [size for end, size in running if end > at]
        return sum(left) + need <= cores and (slots is None or len(left) < slots)

    expected = next(at for at in range(51) if fits(at))
    wait = prices(*occupied).cost(a_task(cores=need, memory=1), view).wait_seconds
    assert wait == pytest.approx(expected)


def test_an_attempt_that_has_run_longer_than_believed_is_not_expected_in_the_past() -> None:
    late = replace(live("a", ends=5), placed_at=NOON - seconds(60), started_at=NOON - seconds(60))
    wait = prices(late).cost(a_task(), full(cores=1)).wait_seconds
    assert wait is not None
    assert wait > 0


@pytest.mark.parametrize(
    ("number", "text"),
    [(0.0, "0.0 s"), (3.21, "3.2 s"), (12.4, "12 s"), (99.7, "100 s"), (100, "1.7 min"), (7200, "2.0 h")],
)
def test_durations_are_told_in_a_unit_that_fits(number: float, text: str) -> None:
    assert told(number) == text


def test_intervals_are_told_in_one_unit_where_both_ends_have_it() -> None:
    assert told_interval(a_prediction(3.0, spread=1.5)) == "about 3.0 s (2.0-4.5 s)"
    assert told_interval(a_prediction(60.0, spread=4)) == "about 60 s (15 s to 4.0 min)"
