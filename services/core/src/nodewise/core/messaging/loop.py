"""The heart of a service: look at the rows when woken, and at every tick anyway."""

import threading
from collections.abc import Callable
from datetime import timedelta

import structlog
from prometheus_client import Counter, Histogram
from sqlalchemy.exc import OperationalError

from nodewise.core import liveness

_CYCLES = Histogram("nodewise_cycle_seconds", "Duration of one look at the rows.", ["loop"])
_FAILURES = Counter("nodewise_cycle_failures_total", "Looks that ended in an error.", ["loop"])
_log = structlog.get_logger()


class WakeLoop:
    """Runs `cycle` in a thread of its own: at once when woken (many wake-ups, one look), else every `tick`.

    `cycle` returns True when there is more to do right now. An error is logged and counted, and the next look
    comes after a tick: Postgres or Redis may be away for a while, and nothing is lost meanwhile.
    """

    def __init__(self, name: str, cycle: Callable[[], bool], tick: timedelta) -> None:
        self.name = name
        self._cycle = cycle
        self._tick = tick.total_seconds()
        self._woken = threading.Event()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"loop-{name}", daemon=True)

    def start(self) -> None:
        liveness.expect_looks(self.name)
        self._woken.set()
        self._thread.start()

    def wake(self) -> None:
        self._woken.set()

    def stop(self, timeout: float = 5.0) -> None:
        """End after the look that is under way."""
        self._stopped.set()
        self._woken.set()
        if self._thread.is_alive():
            self._thread.join(timeout)

    def _run(self) -> None:
        while not self._stopped.is_set():
            self._woken.wait(self._tick)
            self._woken.clear()
            if not self._stopped.is_set() and self._look():
                self._woken.set()

    def _look(self) -> bool:
        try:
            with _CYCLES.labels(self.name).time():
                more = self._cycle()
        except OperationalError as error:
            _log.warning("the database does not answer; trying again", loop=self.name, error=str(error.orig))
        except Exception:
            _log.exception("a cycle failed; trying again", loop=self.name)
        else:
            liveness.note_look(self.name, well=True)
            return more
        _FAILURES.labels(self.name).inc()
        liveness.note_look(self.name, well=False)
        self._stopped.wait(min(self._tick, 1.0))
        return False
