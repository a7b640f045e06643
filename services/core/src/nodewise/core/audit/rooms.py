"""Whether nodes held more than they have, at any instant of the history."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from heapq import heappop, heappush
from operator import attrgetter

from nodewise.core.audit.finding import Check, Finding
from nodewise.core.audit.record import BookingRecord, RoomRecord
from nodewise.core.model.ids import NodeName
from nodewise.core.model.resources import Resources

_AMOUNTS = ("millicores", "memory_mib", "gpus")


@dataclass(slots=True)
class _Node:
    """The sweep of one node: what is held, and what will be given back, soonest first."""

    held: Resources
    ends: list[tuple[datetime, int, Resources]]
    above: bool = False


def within_capacity(
    bookings: Iterable[BookingRecord], capacities: Mapping[NodeName, Resources]
) -> Iterator[Finding]:
    """Sweep the bookings of all nodes in the order of time; one finding for each time that a node came to be above.

    The plain way: at every instant, add up the bookings that hold it, and compare. Here each node keeps the sum and the
    releases to come: O(n log live), and memory for the bookings that are open at one instant, not for all.

    What is given back at the instant of another booking makes room for it: the two are stamped by one clock, under one
    lock. A node is measured by what it has now, since what it had is not kept: where one was made smaller, older
    bookings may be above.

    Args:
        bookings: in the order of `booked_at`.
        capacities: of the nodes; bookings of others are passed over.
    """
    nodes: dict[NodeName, _Node] = {}
    for number, booking in enumerate(bookings):
        capacity = capacities.get(booking.node)
        if capacity is None or booking.released_at == booking.booked_at:
            continue
        node = nodes.setdefault(booking.node, _Node(Resources(), []))
        while node.ends and node.ends[0][0] <= booking.booked_at:
            node.held = node.held.minus(heappop(node.ends)[2])
            node.above = node.above and not node.held.fits_in(capacity)
        node.held += booking.resources
        if booking.released_at is not None:
            heappush(node.ends, (booking.released_at, number, booking.resources))
        if not node.held.fits_in(capacity) and not node.above:
            node.above = True
            yield _above(booking, node.held, capacity)


def _above(booking: BookingRecord, held: Resources, capacity: Resources) -> Finding:
    return Finding(
        check=Check.WITHIN_CAPACITY,
        run_id=booking.run_id,
        path=booking.path,
        attempt=booking.attempt,
        node=booking.node,
        since=booking.booked_at,
        until=booking.released_at,
        text="with this booking " + _compared(held, capacity, "were held, the node has"),
    )


def booked_sums(rooms: Iterable[RoomRecord], open_bookings: Iterable[BookingRecord]) -> Iterator[Finding]:
    """The sums of each node are those of the bookings that are open on it, and are no more than it has."""
    sums: dict[NodeName, Resources] = defaultdict(Resources)
    counts: dict[NodeName, int] = defaultdict(int)
    for booking in open_bookings:
        sums[booking.node] += booking.resources
        counts[booking.node] += 1
    for room in sorted(rooms, key=attrgetter("node")):
        if room.booked != sums[room.node]:
            text = _compared(room.booked, sums[room.node], "are on record as booked, its open bookings have")
            yield Finding(check=Check.BOOKED_AS_LIVE, node=room.node, text=text)
        if room.running_tasks != counts[room.node]:
            text = f"it counts {room.running_tasks} tasks, and has {counts[room.node]} open bookings"
            yield Finding(check=Check.BOOKED_AS_LIVE, node=room.node, text=text)


def _compared(one: Resources, other: Resources, verb: str) -> str:
    """`2500 millicores and 10 MiB were held, the node has 2000 and 20`, of the amounts that differ."""
    units = {"millicores": "millicores", "memory_mib": "MiB", "gpus": "GPUs"}
    differing = [name for name in _AMOUNTS if getattr(one, name) != getattr(other, name)]
    ours = " and ".join(f"{getattr(one, name)} {units[name]}" for name in differing)
    return f"{ours} {verb} {' and '.join(str(getattr(other, name)) for name in differing)}"
