"""Ends what a supervisor that was killed left behind in its home."""

import signal
from pathlib import Path

from nodewise.stack.lock import forget_pid_file
from nodewise.stack.process import end, find, left_behind
from nodewise.stack.state import StackState, load_state, save_state

_PATIENCE_SECONDS = 5.0
_MARKED_PATIENCE_SECONDS = 2.0


def clean_up(home: Path) -> int:
    """End every process that still belongs to `home`; returns how many there were. Safe when there is none.

    The caller makes sure that no supervisor serves the home. A pid is trusted only with the start time that was
    noted for it; anything else must carry our mark in its environment.
    """
    state = load_state(home)
    ended = _end_recorded(state) if state else 0
    ended += _end_marked(home)
    if state is not None and state.supervisor is not None:
        save_state(home, state.stopped())
    return ended


def _end_recorded(state: StackState) -> int:
    running = {
        process: signal.Signals(noted.stop_signal)
        for noted in state.processes.values()
        if (process := find(noted.id)) is not None
    }
    end(running, _PATIENCE_SECONDS)
    return len(running)


def _end_marked(home: Path) -> int:
    processes = left_behind(home)
    end(dict.fromkeys(processes, signal.SIGTERM), _MARKED_PATIENCE_SECONDS)
    return len(processes)


def clean_home(home: Path) -> int:
    """`clean_up`, and the stale pid file goes too."""
    ended = clean_up(home)
    if home.is_dir():
        forget_pid_file(home)
    return ended
