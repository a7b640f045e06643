"""Nodes with room for several tasks and long timelines: the same answers as the simple algorithm, without its cost."""

from dataclasses import dataclass, field
from itertools import pairwise
from math import inf
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nodewise.core.model.resources import Resources
from nodewise.planning import timeline
from nodewise.planning.gaps import Gaps
from nodewise.planning.timeline import Demand, Shared
from tests.support.planning import node

CAPACITY = Resources(millicores=8000, memory_mib=16384, gpus=2)


@dataclass
class Plain:
    """The definition: the first start from which on all steps have room."""

    slots: float
    booked: list[tuple[float, float, Demand]] = field(default_factory=list)

    def earliest(self, ready: float, duration: float, demand: Demand) -> float:
        if not duration:
            return ready
        times = sorted({edge for start, end, _ in self.booked for edge in (start, end)})
        candidates = [ready, *(time for time in times if time > ready)]
        steps = [(time, self._fits(time, demand)) for time in candidates]
        start, is_open = inf, False
        for (time, fits), (until, _) in pairwise([*steps, (inf, False)]):
            start = time if fits and not is_open else start
            is_open = fits
            if fits and until >= start + duration:
                return start
        return inf

    def _fits(self, time: float, demand: Demand) -> bool:
        held = [found for start, end, found in self.booked if start <= time < end]
        sums = [sum(found[k] for found in (*held, demand)) for k in range(3)]
        return (
            sums[0] <= CAPACITY.millicores
            and sums[1] <= CAPACITY.memory_mib
            and sums[2] <= CAPACITY.gpus
            and len(held) + 1 <= self.slots
        )

    def book(self, start: float, end: float, demand: Demand) -> None:
        if end > start:
            self.booked.append((start, end, demand))


demands = st.one_of(
    st.sampled_from([(500, 512, 0), (1000, 2048, 0), (4000, 512, 1)]),
    st.tuples(st.integers(0, 8000), st.integers(0, 16384), st.integers(0, 2)),
)
wishes = st.lists(
    st.tuples(st.floats(0, 40), st.sampled_from([0.0, 0.1, 0.7, 3.3, 9.9]), demands), max_size=40
)


@given(wishes=wishes, slots=st.sampled_from([None, 2, 4]), copied_at=st.integers(0, 40))
def test_a_shared_node_answers_as_the_definition_says(
    wishes: list[tuple[float, float, Demand]], slots: int | None, copied_at: int
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(timeline, "_SHORT", 2)
        patch.setattr(timeline, "_PATIENCE", 1)
        patch.setattr(timeline, "_SIZES", 2)
        line, plain = (
            Shared(node("n", slots=slots, capacity=CAPACITY)),
            Plain(inf if slots is None else slots),
        )
        for k, (ready, duration, demand) in enumerate(wishes):
            if k == copied_at:
                line = line.copy()
            start = plain.earliest(ready, duration, demand)
            assert line.earliest(ready, duration, demand) == start
            plain.book(start, start + duration, demand)
            line.book(start, start + duration, demand)


@pytest.mark.parametrize("seed", range(4))
def test_a_long_timeline_answers_as_the_definition_says(seed: int) -> None:
    rng = Random(seed)
    slots = rng.choice([None, 3])
    line, plain = Shared(node("n", slots=slots, capacity=CAPACITY)), Plain(inf if slots is None else slots)
    sizes = [(rng.choice([500, 1000, 4000]), rng.randint(64, 8000), 0) for _ in range(3 if seed % 2 else 40)]
    for _ in range(250):
        ready, duration, demand = rng.uniform(0, 120), round(rng.uniform(0, 12), 1), rng.choice(sizes)
        start = plain.earliest(ready, duration, demand)
        assert line.earliest(ready, duration, demand) == start
        plain.book(start, start + duration, demand)
        line.book(start, start + duration, demand)


class Watched(list[tuple[float, float, float, float]]):
    """Counts how often one of its items is looked at."""

    looks = 0

    def __getitem__(self, k):  # type: ignore[no-untyped-def,override]
        self.looks += 1
        return super().__getitem__(k)


def test_a_search_does_not_pass_over_the_whole_past() -> None:
    """What waits for a full node asks for the beginning again and again: 4,000 tasks did so 4,000 times 8,000 steps."""
    rng, sizes = Random(1), [(500, 512, 0), (1000, 2048, 0), (4000, 512, 1)]
    line = Shared(node("n", slots=None, capacity=CAPACITY))
    room = Watched(line._room)
    line._room = room
    count = 4000
    for _ in range(count):
        duration, demand = rng.uniform(0.1, 20), rng.choice(sizes)
        start = line.earliest(0, duration, demand)
        line.book(start, start + duration, demand)
    assert room.looks / count < 500


@given(
    st.lists(st.tuples(st.integers(0, 400), st.integers(1, 9)), max_size=200),
    st.integers(0, 400),
    st.integers(0, 12),
)
def test_gaps_are_what_is_left(cuts: list[tuple[int, int]], ready: int, duration: int) -> None:
    gaps = Gaps((start, start + 3) for start in range(0, 400, 4))
    left = {second for start in range(0, 400, 4) for second in range(start, start + 3)}
    for start, length in cuts:
        gaps.remove(start, start + length)
        left -= set(range(start, start + length))
        list(gaps.fitting(ready, duration))  # what was looked into in vain is passed over later
    runs = []
    for second in sorted(left):
        if runs and runs[-1][1] == second:
            runs[-1][1] = second + 1
        else:
            runs.append([second, second + 1])
    expected = [(max(a, ready), b) for a, b in runs if b > ready and b - max(a, ready) >= duration]
    assert list(gaps.fitting(ready, duration)) == expected
