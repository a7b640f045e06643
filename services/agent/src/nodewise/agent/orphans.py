"""What a task leaves running when its process ends comes to the agent, whatever it did to hide, and ends there.

A process whose parent ends becomes a child of the nearest ancestor that asked for it (prctl(2), PR_SET_CHILD_SUBREAPER):
the task's own process while that lives, then the agent. Facts of this one process, so they stand in the module.
"""

import ctypes
import os
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Final, Protocol, TypeVar

from nodewise.agent.processes import children, end_tree

_PR_SET_CHILD_SUBREAPER: Final = 36
_END_SECONDS: Final = 1.0


class _Started(Protocol):
    @property
    def pid(self) -> int: ...


P = TypeVar("P", bound=_Started)

_lock = threading.Lock()
_ours: set[int] = set()
_adopting = threading.Event()


def adopting() -> bool:
    """Whether orphans come to this process."""
    return _adopting.is_set()


def adopt() -> None:
    """From now on, orphans come to this process (Linux; elsewhere they go on as before)."""
    if sys.platform.startswith("linux"):
        libc = ctypes.CDLL(None, use_errno=True)
        with _lock:
            # Who started us in its own place may have left us a child or two.
            _ours.update(children(os.getpid()))
        if libc.prctl(_PR_SET_CHILD_SUBREAPER, 1) == 0:
            _adopting.set()


def born(start: Callable[[], P]) -> P:
    """Start a process that leads a session of its own, and know it from an orphan."""
    with _lock:
        process = start()
        _ours.add(process.pid)
    return process


def know(pid: int) -> None:
    """It will come to us, and is no orphan."""
    with _lock:
        _ours.add(pid)


def gone(pid: int) -> None:
    """It was waited for: its number may be another's soon."""
    with _lock:
        _ours.discard(pid)


def end_orphans() -> bool:
    """End all that came to us; False: none do."""
    if not _adopting.is_set():
        return False
    deadline = time.monotonic() + _END_SECONDS
    # With the lock held: once one is reaped, its number may be that of a process that we start.
    with _lock:
        # What one of them started in the last moment comes to us when that one has ended: so again, until none is left.
        while (found := _found()) and time.monotonic() < deadline:
            for pid in found:
                end_tree(pid)
            for pid in found:
                _reap(pid, deadline)
    return True


def _found() -> list[int]:
    return [pid for pid in children(os.getpid()) if pid not in _ours and _is_strange(pid)]


def _is_strange(pid: int) -> bool:
    """Whether it came from a task: those are in other sessions, as nobody can enter ours from outside."""
    try:
        return os.getsid(pid) != os.getsid(0)
    except ProcessLookupError:
        return False


def _reap(pid: int, deadline: float) -> None:
    with suppress(ChildProcessError):
        while os.waitpid(pid, os.WNOHANG)[0] == 0 and time.monotonic() < deadline:
            time.sleep(0.001)
