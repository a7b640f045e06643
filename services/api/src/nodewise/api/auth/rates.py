"""How often each caller may ask: token buckets, in this process."""

import time
from collections.abc import Callable
from typing import Final

_MOST: Final = 10_000
"""So many buckets are kept; then the full ones go, which say nothing."""


class Rates:
    """A bucket for each caller holds `burst` requests and is filled by `per_second`. Not thread-safe: for one event loop.

    Where the gateway runs more than once, each process counts for itself.
    """

    def __init__(self, per_second: float, burst: int, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.per_second = per_second
        self._burst = float(burst)
        self._clock = clock
        self._buckets: dict[str, tuple[float, float]] = {}

    def wait(self, who: str) -> float:
        """Takes one request out of their bucket: 0. If it is empty, nothing is taken: the seconds until one is in it."""
        if self.per_second <= 0:
            return 0.0
        now = self._clock()
        left = self._left(who, now)
        if left < 1:
            return (1 - left) / self.per_second
        if who not in self._buckets and len(self._buckets) >= _MOST:
            self._forget_full(now)
        self._buckets[who] = (left - 1, now)
        return 0.0

    def _left(self, who: str, now: float) -> float:
        left, at = self._buckets.get(who, (self._burst, now))
        return min(self._burst, left + (now - at) * self.per_second)

    def _forget_full(self, now: float) -> None:
        self._buckets = {
            who: bucket for who, bucket in self._buckets.items() if self._left(who, now) < self._burst
        }
