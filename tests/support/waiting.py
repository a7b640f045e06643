"""Waiting without sleeping blindly: poll with a deadline, and say what did not come."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def wait_until(
    predicate: Callable[[], T], seconds: float = 10.0, what: str = "", *, every: float = 0.02
) -> T:
    """Poll until `predicate` returns something true, and return that; AssertionError after `seconds`."""
    deadline = time.monotonic() + seconds
    while True:
        found = predicate()
        if found:
            return found
        if time.monotonic() > deadline:
            raise AssertionError(
                f"waited {seconds:g} s in vain for {what or predicate}; last seen: {found!r}"
            )
        time.sleep(every)
