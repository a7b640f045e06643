"""The life of a process that is not a Celery worker: until it is asked to end."""

import signal
import threading
from types import FrameType


def asked_to_end() -> threading.Event:
    """Set from now on by SIGTERM and SIGINT. Call it first of all, in the main thread: before it, they end a process at once."""
    asked = threading.Event()

    def ask(number: int, frame: FrameType | None) -> None:  # noqa: ARG001 - a signal handler
        asked.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, ask)
    return asked
