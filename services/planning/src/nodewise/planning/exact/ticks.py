"""Times as whole numbers, rounded so that what is proved of them holds of the times.

Everything is rounded down: run times, transfers, releases, ends of what is fixed. Rounding down the starts of a schedule
gives a schedule of the rounded problem, since floor(a + b) >= floor(a) + floor(b), so the optimum in ticks is a lower
bound on the optimum in seconds. Giving the tasks of the found plan their true run times back costs at most a tick per
task and transfer on the longest chain.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from math import floor, isfinite, log10

from nodewise.planning.instance import Instance

_TICKS = 1e7
"""The horizon has at least so many ticks where times are no round numbers, and less than ten times as many."""
SLACK = 1e-8
"""Part of a tick that a time may be below a whole number and still count as that (3.2 is not quite 32 tenths)."""
_COARSEST_EXPONENT = 3


@dataclass(frozen=True, slots=True)
class Ticks:
    """Counts time from `base` in units of `seconds`; rounding a time down loses at most `loss` seconds."""

    base: float
    seconds: float
    loss: float

    def of(self, duration: float) -> int:
        """A duration, rounded down."""
        return floor(duration / self.seconds + SLACK)

    def at(self, instant: float) -> int:
        """An instant, rounded down."""
        return self.of(instant - self.base)


def ticks(instance: Instance, base: float, horizon: float) -> Ticks:
    """The coarsest power of ten that loses nothing, else one that makes the horizon 10 to 100 million ticks."""
    finest = floor(log10(max(horizon, 1e-6) / _TICKS))
    for exponent in range(_COARSEST_EXPONENT, finest, -1):
        if all(_is_whole(span / 10.0**exponent) for span in _spans(instance, base)):
            return Ticks(base, 10.0**exponent, 2 * SLACK * 10.0**exponent)
    return Ticks(base, 10.0**finest, 10.0**finest)


def _is_whole(value: float) -> bool:
    return abs(value - round(value)) <= SLACK


def _spans(instance: Instance, base: float) -> Iterator[float]:
    """Every time that the problem has."""
    slowness = {1.0 / rate for row in instance.rates for rate in row if isfinite(rate) and rate > 0}
    for task in instance.free:
        yield instance.release[task] - base
        yield from (instance.seconds[task][node] for node in instance.choices[task])
        yield from (mib * slow for _, mib in instance.parents[task] for slow in slowness)
    for booking in instance.bookings:
        yield from (booking.start - base, booking.end - base)
