"""Signals that come while Celery's worker is being made wait until it can take them.

A handler that raises in the middle of an import leaves the lock of all imports taken, and every thread that imports something later
hangs: the heart among them, and with it whoever waits for the agent's end. So nothing is raised here: the signal is noted, and sent
again once the worker has its own handlers.
"""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Final

SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)
_LOOK_SECONDS: Final = 0.05


@contextmanager
def deferring() -> Iterator[None]:
    """In the block, a signal waits until somebody else handles it, at the latest until the block is left."""
    deferral = _Deferral()
    threading.Thread(target=deferral.send_again, name="deferring", daemon=True).start()
    try:
        yield
    finally:
        deferral.end()


class _Deferral:
    def __init__(self) -> None:
        self._came: dict[int, bool] = {}
        self._over = threading.Event()
        self._before = {number: signal.signal(number, self._note) for number in SIGNALS}

    def _note(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002 - a signal handler
        # No lock is taken: the thread that is interrupted may hold any.
        self._came[number] = True

    def _waits(self, number: int) -> bool:
        return signal.getsignal(number) == self._note

    def send_again(self) -> None:
        """To whoever has taken a signal over, until all are."""
        waiting = True
        while waiting and not self._over.wait(_LOOK_SECONDS):
            waiting = any(map(self._waits, SIGNALS))
            for number in SIGNALS:
                if not self._waits(number) and self._came.pop(number, False):
                    os.kill(os.getpid(), number)

    def end(self) -> None:
        """Give back what nobody has taken over."""
        self._over.set()
        for number, handler in self._before.items():
            if self._waits(number):
                signal.signal(number, handler)
                if self._came.pop(number, False):
                    signal.raise_signal(number)
