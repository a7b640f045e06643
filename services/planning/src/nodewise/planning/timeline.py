"""When a node has room: its booked time, and the first gap that a task fits into."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from dataclasses import dataclass
from math import inf
from typing import Protocol, Self

from nodewise.core.model.problem import ProblemNode

Demand = tuple[int, int, int]
"""Millicores, MiB of memory, GPUs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Booking:
    """Room on a node that is not to be had: something fixed, or somebody else, has it."""

    node: int
    start: float
    end: float
    demand: Demand


class Timeline(Protocol):
    """What a node has promised. Times are half open: one task may start at the instant another ends."""

    def earliest(self, ready: float, duration: float, demand: Demand) -> float:
        """The first start from `ready` on with room for all of `duration` (infinite: never)."""
        ...

    def book(self, start: float, end: float, demand: Demand) -> None:
        """Take the room. A task of no length takes none."""
        ...

    def copy(self) -> Self: ...


class SingleSlot:
    """A node that runs one task at a time: disjoint busy blocks in order; blocks that touch are merged.

    `earliest` is O(log blocks + gaps passed), O(1) behind the last block.
    """

    __slots__ = ("_ends", "_starts")

    def __init__(self, bookings: Iterable[Booking] = ()) -> None:
        self._starts: list[float] = []
        self._ends: list[float] = []
        for held in sorted(bookings, key=lambda b: b.start):
            # What is fixed may overlap (it is belief, not plan): the union counts.
            if self._ends and held.start <= self._ends[-1]:
                self._ends[-1] = max(self._ends[-1], held.end)
            elif held.end > held.start:
                self._starts.append(held.start)
                self._ends.append(held.end)

    def earliest(self, ready: float, duration: float, demand: Demand) -> float:  # noqa: ARG002
        ends = self._ends
        if not ends or ready >= ends[-1]:
            return ready
        starts = self._starts
        start = ready
        for k in range(bisect_right(ends, ready), len(ends)):
            if start + duration <= starts[k]:
                return start
            start = ends[k]
        return start

    def book(self, start: float, end: float, demand: Demand) -> None:  # noqa: ARG002
        starts, ends = self._starts, self._ends
        if end <= start:
            return
        if not ends or start > ends[-1]:
            starts.append(start)
            ends.append(end)
            return
        k = bisect_left(starts, start)
        joins_left = k > 0 and ends[k - 1] == start
        joins_right = k < len(starts) and starts[k] == end
        if joins_left and joins_right:
            ends[k - 1] = ends.pop(k)
            del starts[k]
        elif joins_left:
            ends[k - 1] = end
        elif joins_right:
            starts[k] = start
        else:
            starts.insert(k, start)
            ends.insert(k, end)

    def copy(self) -> Self:
        twin = type(self)()
        twin._starts, twin._ends = self._starts[:], self._ends[:]
        return twin


class Shared:
    """A node that runs several tasks at once, bounded by resources and perhaps by slots.

    Free room as a step function: from `times[k]` on `room[k]` is free (millicores, MiB, GPUs, slots).
    `earliest` and `book` are O(steps passed).
    """

    __slots__ = ("_room", "_times")

    def __init__(self, node: ProblemNode, bookings: Iterable[Booking] = ()) -> None:
        capacity = node.capacity
        slots = inf if node.slots is None else node.slots
        self._times: list[float] = [-inf]
        self._room: list[tuple[float, float, float, float]] = [
            (capacity.millicores, capacity.memory_mib, capacity.gpus, slots)
        ]
        for held in bookings:
            self.book(held.start, held.end, held.demand)

    def earliest(self, ready: float, duration: float, demand: Demand) -> float:
        times, room = self._times, self._room
        millicores, memory, gpus = demand
        start, k, last = ready, bisect_right(times, ready) - 1, len(times) - 1
        while True:
            free = room[k]
            fits = free[0] >= millicores and free[1] >= memory and free[2] >= gpus and free[3] >= 1
            if k == last:
                return start if fits else inf
            k += 1
            if not fits:
                start = times[k]
            elif times[k] >= start + duration:
                return start

    def book(self, start: float, end: float, demand: Demand) -> None:
        if end <= start:
            return
        first, behind = self._split(start), self._split(end)
        room = self._room
        millicores, memory, gpus = demand
        for k in range(first, behind):
            free = room[k]
            room[k] = (free[0] - millicores, free[1] - memory, free[2] - gpus, free[3] - 1)

    def _split(self, time: float) -> int:
        """The index of the step that begins at `time`, made if it is not there."""
        k = bisect_left(self._times, time)
        if k == len(self._times) or self._times[k] != time:
            self._times.insert(k, time)
            self._room.insert(k, self._room[k - 1])
        return k

    def copy(self) -> Self:
        twin = object.__new__(type(self))
        twin._times, twin._room = self._times[:], self._room[:]
        return twin


def timeline(node: ProblemNode, bookings: Iterable[Booking]) -> Timeline:
    """The timeline of a node with what is fixed on it.

    With one slot resources never bind: a task that does not fit into the empty node is no choice there at all.
    """
    return SingleSlot(bookings) if node.slots == 1 else Shared(node, bookings)
