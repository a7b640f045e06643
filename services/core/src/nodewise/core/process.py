"""The life of a process that is not a Celery worker: until it is asked to end."""

import asyncio
import gc
import signal
import threading
from collections.abc import Awaitable, Callable
from types import FrameType
from typing import Final

_CALM_SECONDS: Final = 0.5


def asked_to_end() -> threading.Event:
    """Set from now on by SIGTERM and SIGINT. Call it first of all, in the main thread: before it, they end a process at once."""
    asked = threading.Event()

    def ask(number: int, frame: FrameType | None) -> None:  # noqa: ARG001 - a signal handler
        asked.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, ask)
    return asked


def keep_what_is_loaded() -> None:
    """Have the cycle collector look no more at what there is by now: modules and what they made, which stay until the end.

    A whole collection walks over it again and again: a tenth of a second for the gateway, in which everybody waits.
    """
    gc.collect()
    gc.freeze()


async def calm_ticks(on_tick: Callable[[int], Awaitable[bool]]) -> None:
    """What Uvicorn's server does between requests, twice a second: its own ten times cost more than all else of an idle service.

    `on_tick` is the server's: True when it is to end. It writes the date that answers carry when it is called with a multiple of 10.
    """
    while not await on_tick(0):
        await asyncio.sleep(_CALM_SECONDS)
