"""How much time planning has taken and may take. The clock comes in, so that tests turn it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from nodewise.simulator.engine import Decider, World

_FADES: Final = 0.9
"""Of what a decision took, so much is reckoned with for the next one, if that one takes less."""
_ROOM: Final = 1.2
"""So many times what the rest is believed to take is kept for it."""
_FIRST_LOOK: Final = 2.0
"""The first decision takes so many times as long as hurried ones take for all tasks, at most: it takes in the whole problem."""


class Budget:
    """Counts the seconds inside `spending()`; `seconds` is what may be spent in all (None: any amount).

    `granted` is what `share` has given since the beginning.
    """

    def __init__(self, clock: Callable[[], float], seconds: float | None = None) -> None:
        self._clock = clock
        self._seconds = seconds
        self._kept = 0.0
        self.spent = 0.0
        self.granted = 0.0
        self._since: float | None = None

    @property
    def is_bounded(self) -> bool:
        return self._seconds is not None

    @property
    def is_spent(self) -> bool:
        return self.left is not None and self.left <= 0

    @property
    def left(self) -> float | None:
        """Seconds, without those that are kept (None: any amount)."""
        return None if self._seconds is None else max(0.0, self._seconds - self._kept - self.used)

    @property
    def used(self) -> float:
        """Seconds until now."""
        return self.spent + (0.0 if self._since is None else self._clock() - self._since)

    def keep(self, seconds: float) -> None:
        """So much is not for now: it is needed later."""
        self._kept = seconds

    @contextmanager
    def spending(self) -> Iterator[None]:
        """What happens inside is planning."""
        start = self._since = self._clock()
        try:
            yield
        finally:
            self.spent += self._clock() - start
            self._since = None

    def share(self, of: int) -> Callable[[], bool]:
        """Tells when one of `of` equal shares of what is left is used up, counted from now."""
        left = self.left
        if left is None:
            return lambda: False
        seconds = left / max(1, of)
        self.granted += seconds
        until = self._clock() + seconds
        return lambda: self._clock() >= until


class Timed:
    """A decider whose decisions count as planning; once the budget is spent, another one has the rest to decide.

    No decision is broken off. So what the other one will take is kept for it (`pace`: seconds per task), and none is begun
    that would not fit if it took as long as those before, searches apart: these end with their shares.
    """

    def __init__(
        self, decider: Decider, budget: Budget, *, instead: Callable[[], Decider], pace: float = 0.0
    ) -> None:
        self._decider = decider
        self._budget = budget
        self._instead = instead
        self._pace = pace
        self._takes: float | None = None
        self._has_changed = False

    def decide(self, world: World) -> None:
        with self._budget.spending():
            if self._budget.is_bounded and not self._has_changed:
                self._decide_in_time(world)
            else:
                self._decider.decide(world)

    def _decide_in_time(self, world: World) -> None:
        budget, rest = self._budget, self._pace * world.unfinished
        budget.keep(_ROOM * rest)
        takes = _FIRST_LOOK * rest if self._takes is None else self._takes
        if budget.is_spent or (budget.left or 0.0) < takes:
            self._decider, self._has_changed = self._instead(), True
            self._decider.decide(world)
            return
        began, granted = budget.used, budget.granted
        self._decider.decide(world)
        took = budget.used - began - (budget.granted - granted)
        self._takes = max(0.0, took, 0.0 if self._takes is None else _FADES * self._takes)
