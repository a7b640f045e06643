"""The life of a service that is not a Celery worker: until it is asked to end."""

import signal
import threading
from types import FrameType


def run_until_ended() -> None:
    """Wait, in the main thread, for SIGTERM or SIGINT."""
    ended = threading.Event()

    def end(number: int, frame: FrameType | None) -> None:  # noqa: ARG001 - a signal handler
        ended.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, end)
    ended.wait()
