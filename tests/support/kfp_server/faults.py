"""Faults on demand: what goes wrong with the next requests of a kind."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import Enum

_EFFECT_SECONDS = 60.0


class Fault(Enum):
    """Before: nothing was done. After: it was done, but the client does not learn so."""

    ERROR_BEFORE = "5xx before the effect"
    ERROR_AFTER = "5xx after the effect"
    CUT_BEFORE = "the connection ends before the effect"
    CUT_AFTER = "the connection ends after the effect"
    SLOW_BEFORE = "no answer for long; the effect comes when that is over"
    SLOW_AFTER = "the effect at once, but no answer for long"
    NO_ROUTE = "a proxy's own 404"
    GARBAGE = "an answer that is no JSON, as of a proxy"


@dataclass(slots=True, eq=False)
class _Rule:
    fault: Fault
    method: str
    part: str
    times: int
    status: int


@dataclass(eq=False)
class Faults:
    """`hold` ends what is slow. One rule counts down at each request that it strikes."""

    hold: threading.Event = field(default_factory=threading.Event)
    _held: list[threading.Event] = field(default_factory=list)
    _rules: list[_Rule] = field(default_factory=list)

    def add(
        self, fault: Fault, *, method: str = "", part: str = "", times: int = 1, status: int = 503
    ) -> None:
        """The next `times` requests of that method whose path has `part` in it suffer this."""
        self._rules.append(_Rule(fault, method, part, times, status))

    def strike(self, method: str, path: str) -> tuple[Fault, int] | None:
        for rule in self._rules:
            if rule.times and rule.method in ("", method) and rule.part in path:
                rule.times -= 1
                return rule.fault, rule.status
        return None

    @contextmanager
    def late_effect(self, seconds: float) -> Iterator[None]:
        """Hold what is inside back until `clear`, at most so long."""
        done = threading.Event()
        self._held.append(done)
        try:
            self.hold.wait(seconds)
            yield
        finally:
            done.set()

    def clear(self) -> None:
        """End all faults. What was held back has happened when this returns: no later request may pass it."""
        self._rules.clear()
        self.hold.set()
        self.hold = threading.Event()
        while self._held:
            self._held.pop().wait(_EFFECT_SECONDS)
