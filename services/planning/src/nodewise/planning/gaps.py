"""Where something of one size has room on a node: the gaps, in order, so that a search passes over many at a time."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator
from math import inf
from operator import sub

_HALF = 32
"""Gaps of a block when it is made; one of twice as many is split."""

_ROUNDING = 2.0**-51
"""A gap may take what is longer than the difference of its ends by this share of the larger one: sums are rounded."""


class Gaps:
    """Disjoint half-open gaps in order; they only ever shrink, since what is booked on a timeline stays.

    In blocks. Of each block a length is kept that none of its gaps exceeds. Whoever looks into a block in vain sets it
    right, and only a booking can make it wrong again; so `fitting` is O(log blocks + blocks passed) beside what bookings
    have paid for, and `remove` is O(log gaps + gaps removed).
    """

    __slots__ = ("_ends", "_first", "_longest", "_starts")

    def __init__(self, gaps: Iterable[tuple[float, float]]) -> None:
        """Take gaps, in order and apart."""
        found = list(gaps)
        parts = [found[k : k + _HALF] for k in range(0, len(found), _HALF)]
        self._starts = [[start for start, _ in part] for part in parts]
        self._ends = [[end for _, end in part] for part in parts]
        self._first = [part[0][0] for part in parts]
        self._longest = [inf] * len(parts)

    def fitting(self, ready: float, duration: float) -> Iterator[tuple[float, float]]:
        """From `ready` on, in order, each gap that has room for `duration`: the first start in it, and its end."""
        block = max(0, bisect_right(self._first, ready) - 1)
        if block >= len(self._first):
            return
        starts, ends = self._starts[block], self._ends[block]
        k = bisect_right(ends, ready)
        if k < len(starts) and starts[k] < ready:
            if ends[k] >= ready + duration:
                yield ready, ends[k]
            k += 1
        for later in range(k, len(starts)):
            if ends[later] >= starts[later] + duration:
                yield starts[later], ends[later]
        for later in range(block + 1, len(self._first)):
            if self._longest[later] >= duration:
                yield from self._fitting_in(later, duration)

    def _fitting_in(self, block: int, duration: float) -> Iterator[tuple[float, float]]:
        starts, ends = self._starts[block], self._ends[block]
        is_vain = True
        for start, end in zip(starts, ends, strict=True):
            if end >= start + duration:
                is_vain = False
                yield start, end
        if is_vain:
            latest = max(abs(starts[0]), abs(ends[-1]))
            self._longest[block] = max(map(sub, ends, starts)) + _ROUNDING * latest

    def remove(self, start: float, end: float) -> None:
        """There is no room from `start` to `end` any more."""
        block = max(0, bisect_right(self._first, start) - 1)
        while block < len(self._first) and self._first[block] < end:
            if self._cut(block, start, end):
                block += 1

    def _cut(self, block: int, start: float, end: float) -> bool:
        """Take the time out of a block; whether the block is still there."""
        starts, ends = self._starts[block], self._ends[block]
        low, high = bisect_right(ends, start), bisect_left(starts, end)
        if low >= high:
            return True
        left = [(starts[low], start)] if starts[low] < start else []
        right = [(end, ends[high - 1])] if end < ends[high - 1] else []
        starts[low:high] = [begin for begin, _ in left + right]
        ends[low:high] = [finish for _, finish in left + right]
        return self._still(block)

    def _still(self, block: int) -> bool:
        starts, ends = self._starts[block], self._ends[block]
        if not starts:
            for kept in (self._starts, self._ends, self._first, self._longest):
                del kept[block]
            return False
        self._first[block] = starts[0]
        if len(starts) > 2 * _HALF:
            self._starts[block : block + 1] = [starts[:_HALF], starts[_HALF:]]
            self._ends[block : block + 1] = [ends[:_HALF], ends[_HALF:]]
            self._first.insert(block + 1, starts[_HALF])
            self._longest.insert(block + 1, self._longest[block])
        return True

    def copy(self) -> "Gaps":
        twin = object.__new__(type(self))
        twin._starts, twin._ends = [found[:] for found in self._starts], [found[:] for found in self._ends]
        twin._first, twin._longest = self._first[:], self._longest[:]
        return twin
