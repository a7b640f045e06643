"""When a node has room: its booked time, and the first gap that a task fits into."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from math import inf
from typing import Final, Protocol, Self

from nodewise.core.model.problem import ProblemNode
from nodewise.planning.gaps import Gaps

Demand = tuple[int, int, int]
"""Millicores, MiB of memory, GPUs."""

Room = tuple[float, float, float, float]
"""Free millicores, MiB of memory, GPUs and slots."""

_SHORT: Final = 128
"""Up to so many steps it is quicker to look at one after the other than to keep gaps."""

_PATIENCE: Final = 16
"""Of more steps so many are looked at first: looking into gaps costs as much."""

_SIZES: Final = 8
"""After so many sizes that have gaps of their own, further ones share those of the next lower powers of two."""


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
        """The first start from `ready` on with room for all of `duration` (infinite: never).

        A task of no length takes no room, so it starts at once, as validation and exact proofs have it.
        """
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
        if not ends or ready >= ends[-1] or not duration:
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

    Free room as a step function: from `times[k]` on `room[k]` is free (millicores, MiB, GPUs, slots). The simple algorithm
    is to look at one step after another; after a few of them `earliest` looks into the gaps for tasks of that size
    instead, which are kept from then on (see `Gaps`). So it is O(log steps + gaps passed / 32), and `book` O(steps passed),
    for each size that is kept.
    """

    __slots__ = ("_booked", "_gaps", "_room", "_seen", "_times")

    def __init__(self, node: ProblemNode, bookings: Iterable[Booking] = ()) -> None:
        capacity = node.capacity
        slots = inf if node.slots is None else node.slots
        self._times: list[float] = [-inf]
        self._room: list[Room] = [(capacity.millicores, capacity.memory_mib, capacity.gpus, slots)]
        self._gaps: dict[Demand, Gaps] = {}
        self._seen: dict[Demand, int] = {}
        self._booked: list[tuple[float, float]] = []
        for held in bookings:
            self.book(held.start, held.end, held.demand)

    def earliest(self, ready: float, duration: float, demand: Demand) -> float:
        if not duration:
            return ready
        times, room = self._times, self._room
        millicores, memory, gpus = demand
        start, first, last = ready, bisect_right(times, ready) - 1, len(times) - 1
        end = min(last, first + _PATIENCE) if last > _SHORT else last
        for k in range(first, end):
            free = room[k]
            if not (free[0] >= millicores and free[1] >= memory and free[2] >= gpus and free[3] >= 1):
                start = times[k + 1]
            elif times[k + 1] >= start + duration:
                return start
        if end < last:
            return self._in_gaps(ready, duration, demand)
        return start if _fits(demand, room[last]) else inf

    def _in_gaps(self, ready: float, duration: float, demand: Demand) -> float:
        size = demand if demand in self._gaps else self._kept(demand)
        gaps = self._gaps[size]
        if self._seen[size] < len(self._booked):
            self._catch_up(size, gaps)
        for start, end in gaps.fitting(ready, duration):
            found = start if size == demand else self._in_gap(start, end, duration, demand)
            if found < inf:
                return found
        return inf

    def _in_gap(self, ready: float, end: float, duration: float, demand: Demand) -> float:
        """The first start from `ready` on, step by step, for what has to end by `end`."""
        times, room = self._times, self._room
        millicores, memory, gpus = demand
        start, last = ready, len(times) - 1
        for k in range(bisect_right(times, ready) - 1, last):
            free, until = room[k], times[k + 1]
            if not (free[0] >= millicores and free[1] >= memory and free[2] >= gpus and free[3] >= 1):
                start = until
                if start + duration > end:
                    return inf
            elif until >= start + duration:
                return start
        return start if _fits(demand, room[last]) else inf

    def _kept(self, demand: Demand) -> Demand:
        """The size whose gaps are kept for such tasks: their own, or where there are many sizes a smaller, rounder one."""
        size = demand if len(self._gaps) < _SIZES else _rounded(demand)
        if size in self._gaps:
            return size
        self._gaps[size], self._seen[size] = Gaps(self._gaps_for(size)), len(self._booked)
        return size

    def _gaps_for(self, size: Demand) -> Iterator[tuple[float, float]]:
        start: float | None = None
        for time, free in zip(self._times, self._room, strict=True):
            if _fits(size, free):
                start = time if start is None else start
            elif start is not None:
                yield start, time
                start = None
        if start is not None:
            yield start, inf

    def book(self, start: float, end: float, demand: Demand) -> None:
        if end <= start:
            return
        first, behind = self._split(start), self._split(end)
        room = self._room
        millicores, memory, gpus = demand
        for k in range(first, behind):
            free = room[k]
            room[k] = (free[0] - millicores, free[1] - memory, free[2] - gpus, free[3] - 1)
        if self._gaps:
            self._booked.append((start, end))

    def _catch_up(self, size: Demand, gaps: Gaps) -> None:
        """Take what has been booked since the last look, and left no room for that size, out of its gaps."""
        seen, self._seen[size] = self._seen[size], len(self._booked)
        times, room = self._times, self._room
        millicores, memory, gpus = size
        for start, end in _joined(self._booked[seen:]):
            full = inf
            for k in range(bisect_left(times, start), bisect_left(times, end)):
                free = room[k]
                if free[0] >= millicores and free[1] >= memory and free[2] >= gpus and free[3] >= 1:
                    if full < inf:
                        gaps.remove(full, times[k])
                        full = inf
                elif full == inf:
                    full = times[k]
            if full < inf:
                gaps.remove(full, end)

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
        twin._gaps = {size: gaps.copy() for size, gaps in self._gaps.items()}
        twin._seen, twin._booked = dict(self._seen), self._booked[:]
        return twin


def _fits(demand: Demand, free: Sequence[float]) -> bool:
    millicores, memory, gpus = demand
    return free[0] >= millicores and free[1] >= memory and free[2] >= gpus and free[3] >= 1


def _joined(spans: Iterable[tuple[float, float]]) -> Iterator[tuple[float, float]]:
    """The same time in spans that neither touch nor overlap."""
    start, end = inf, -inf
    for begin, finish in sorted(spans):
        if begin > end:
            if start < inf:
                yield start, end
            start, end = begin, finish
        else:
            end = max(end, finish)
    if start < inf:
        yield start, end


def _rounded(demand: Demand) -> Demand:
    millicores, memory, gpus = (1 << amount.bit_length() >> 1 for amount in demand)
    return millicores, memory, gpus


def timeline(node: ProblemNode, bookings: Iterable[Booking]) -> Timeline:
    """The timeline of a node with what is fixed on it.

    With one slot resources never bind: a task that does not fit into the empty node is no choice there at all.
    """
    return SingleSlot(bookings) if node.slots == 1 else Shared(node, bookings)
