from hypothesis import given
from hypothesis import strategies as st

from nodewise.core.model.resources import Resources
from nodewise.planning.timeline import Booking, Shared, SingleSlot
from tests.support.planning import node

ONE = (1000, 0, 0)
EIGHTH = node("n", slots=None, capacity=Resources(millicores=2000))


def test_single_slot_fills_the_first_gap_that_is_long_enough() -> None:
    line = SingleSlot()
    line.book(0, 2, ONE)
    line.book(3, 5, ONE)
    line.book(8, 9, ONE)
    assert [line.earliest(0, d, ONE) for d in (1, 2, 3, 4)] == [2, 5, 5, 9]


def test_shared_runs_as_many_at_once_as_have_room() -> None:
    line = Shared(EIGHTH)
    line.book(0, 4, ONE)
    line.book(2, 6, ONE)
    assert line.earliest(0, 2, ONE) == 0
    assert line.earliest(0, 3, ONE) == 4
    assert line.earliest(0, 1, (2000, 0, 0)) == 6


def test_fixed_tasks_may_overlap() -> None:
    held = [Booking(node=0, start=0, end=4, demand=ONE), Booking(node=0, start=1, end=2, demand=ONE)]
    assert SingleSlot(held).earliest(0, 1, ONE) == 4
    assert Shared(node("n", slots=1), held).earliest(0, 1, ONE) == 4


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(1, 6)), max_size=25))
def test_single_slot_equals_a_shared_node_with_one_slot(wishes: list[tuple[int, int]]) -> None:
    fast, plain = SingleSlot(), Shared(node("n", slots=1))
    for ready, duration in wishes:
        start = plain.earliest(ready, duration, ONE)
        assert fast.earliest(ready, duration, ONE) == start
        fast.book(start, start + duration, ONE)
        plain.book(start, start + duration, ONE)


def test_a_copy_does_not_change_the_original() -> None:
    for line in (SingleSlot(), Shared(EIGHTH)):
        twin = line.copy()
        twin.book(0, 5, (2000, 0, 0))
        assert (line.earliest(0, 1, ONE), twin.earliest(0, 1, ONE)) == (0, 5)
