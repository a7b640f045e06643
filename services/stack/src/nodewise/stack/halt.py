"""`nodewise down`: the supervisor ends its children; where it is dead, we do."""

import signal
from pathlib import Path

import psutil

from nodewise.stack.leftovers import clean_home
from nodewise.stack.lock import running_supervisor
from nodewise.stack.process import end

_SUPERVISOR_SECONDS = 45.0
"""Longest time of all stages to stop, one after the other, with some room."""


def down(home: Path) -> str:
    """Stop all that runs in `home`; data stays. Returns what was done, in one line. Safe to repeat."""
    pid = running_supervisor(home)
    if pid is not None:
        _end_supervisor(pid)
    ended = clean_home(home)
    if pid is not None:
        return f"stopped Nodewise in {home} (its data stays)"
    if ended:
        return f"the supervisor in {home} was gone; ended {ended} processes that it left (the data stays)"
    return f"nothing runs in {home}"


def _end_supervisor(pid: int) -> None:
    try:
        process = psutil.Process(pid)
    except psutil.NoSuchProcess:
        return
    end({process: signal.SIGTERM}, _SUPERVISOR_SECONDS)
