"""The sweep over bookings equals the plain way, and sums are those of what is open."""

from dataclasses import replace
from operator import attrgetter

from hypothesis import given
from hypothesis import strategies as st

from nodewise.core.audit import BookingRecord, Check, RoomRecord, booked_sums, within_capacity
from nodewise.core.model.ids import NodeName
from nodewise.core.model.resources import Resources
from tests.support.audited import SIZE, at, booking

N1, N2 = NodeName("n1"), NodeName("n2")
TWICE = SIZE + SIZE


def above(bookings: list[BookingRecord], capacity: Resources = TWICE) -> list[tuple[NodeName | None, float]]:
    """Node and instant of every finding, of nodes that all have that much."""
    ordered = sorted(bookings, key=attrgetter("booked_at"))
    found = list(within_capacity(ordered, {N1: capacity, N2: capacity}))
    assert {finding.check for finding in found} <= {Check.WITHIN_CAPACITY}
    return [(f.node, (f.since - at(0)).total_seconds()) for f in found if f.since is not None]


def test_what_fits_is_no_finding() -> None:
    one_after_another = [booking("a", 1, 0, 5), booking("b", 1, 0, 3), booking("c", 1, 3, None)]
    assert above(one_after_another) == []


def test_one_too_many_is_found_with_its_instant() -> None:
    assert above([booking("a", 1, 0, 5), booking("b", 1, 1, None), booking("c", 1, 4.999, 6)]) == [
        (N1, 4.999)
    ]


def test_each_time_that_a_node_is_above_is_one_finding() -> None:
    first = [booking(name, 1, 0, 2) for name in "abcd"]
    again = [booking(name, 1, 3, 4) for name in "efg"]
    assert above(first + again) == [(N1, 0), (N1, 3)]


def test_nodes_are_counted_apart() -> None:
    assert above([booking("a", 1, 0, 5), booking("b", 1, 0, 5), booking("c", 1, 0, 5, node="n2")]) == []


def test_memory_and_gpus_count_as_cores_do() -> None:
    for size in (Resources(memory_mib=1), Resources(gpus=1)):
        assert above([booking("a", 1, 0, 1, size=size), booking("b", 1, 0, 1, size=size)], size) == [(N1, 0)]


def test_a_finding_says_how_much_was_held() -> None:
    bookings = [booking(name, 1, 0, None) for name in "abc"]
    (finding,) = within_capacity(bookings, {N1: TWICE})
    assert (
        finding.text == "with this booking 3000 millicores and 300 MiB were held, the node has 2000 and 200"
    )


spans = st.tuples(st.integers(0, 12), st.one_of(st.none(), st.integers(0, 8)), st.sampled_from(("n1", "n2")))


@given(st.lists(spans, max_size=12))
def test_the_sweep_finds_exactly_the_nodes_that_are_above_at_some_instant(
    drawn: list[tuple[int, int | None, str]],
) -> None:
    bookings = [
        booking(f"t{number}", 1, start, None if length is None else start + length, node=node)
        for number, (start, length, node) in enumerate(drawn)
    ]

    def held(node: str, instant: int) -> int:
        return sum(
            1
            for b in bookings
            if b.node == node
            and b.booked_at <= at(instant)
            and (b.released_at is None or b.released_at > at(instant))
        )

    expected = {node for node in ("n1", "n2") if any(held(node, i) > 2 for i in range(24))}
    assert {node for node, _ in above(bookings)} == expected


def room(node: NodeName, tasks: int, booked: Resources) -> RoomRecord:
    return RoomRecord(node=node, capacity=TWICE, booked=booked, running_tasks=tasks)


def test_the_sums_of_a_node_are_those_of_its_open_bookings() -> None:
    held = [booking("a", 1, 0, None), booking("b", 1, 0, None)]
    assert list(booked_sums([room(N1, 2, TWICE), room(N2, 0, Resources())], held)) == []
    (finding,) = booked_sums([room(N1, 2, SIZE)], held)
    assert (finding.check, finding.node) == (Check.BOOKED_AS_LIVE, N1)
    assert finding.text == (
        "1000 millicores and 100 MiB are on record as booked, its open bookings have 2000 and 200"
    )
    (counted,) = booked_sums([replace(room(N1, 1, TWICE))], held)
    assert counted.text == "it counts 1 tasks, and has 2 open bookings"
