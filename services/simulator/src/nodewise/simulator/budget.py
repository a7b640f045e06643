"""How much time planning has taken and may take. The clock comes in, so that tests turn it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from nodewise.simulator.engine import Decider, World


class Budget:
    """Counts the seconds inside `spending()`; `seconds` is what may be spent in all (None: any amount)."""

    def __init__(self, clock: Callable[[], float], seconds: float | None = None) -> None:
        self._clock = clock
        self._seconds = seconds
        self.spent = 0.0
        self._since: float | None = None

    @property
    def is_spent(self) -> bool:
        return self._seconds is not None and self._used() >= self._seconds

    @property
    def left(self) -> float | None:
        """Seconds (None: any amount)."""
        return None if self._seconds is None else max(0.0, self._seconds - self._used())

    def _used(self) -> float:
        return self.spent + (0.0 if self._since is None else self._clock() - self._since)

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
        until = self._clock() + left / max(1, of)
        return lambda: self._clock() >= until


class Timed:
    """A decider whose decisions count as planning; once the budget is spent, another one has the rest to decide."""

    def __init__(self, decider: Decider, budget: Budget, *, instead: Callable[[], Decider]) -> None:
        self._decider = decider
        self._budget = budget
        self._instead = instead
        self._has_changed = False

    def decide(self, world: World) -> None:
        with self._budget.spending():
            if self._budget.is_spent and not self._has_changed:
                self._decider, self._has_changed = self._instead(), True
            self._decider.decide(world)
