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

    @contextmanager
    def spending(self) -> Iterator[None]:
        """What happens inside is planning."""
        start = self._clock()
        try:
            yield
        finally:
            self.spent += self._clock() - start

    def share(self, of: int) -> Callable[[], bool]:
        """Tells when one of `of` equal shares of what is left is used up, counted from now."""
        if self._seconds is None:
            return lambda: False
        until = self._clock() + max(0.0, self._seconds - self.spent) / max(1, of)
        return lambda: self._clock() >= until


class Timed:
    """A decider whose decisions count as planning."""

    def __init__(self, decider: Decider, budget: Budget) -> None:
        self._decider = decider
        self._budget = budget

    def decide(self, world: World) -> None:
        with self._budget.spending():
            self._decider.decide(world)
