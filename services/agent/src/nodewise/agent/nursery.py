"""A Python with KFP loaded that forks runners: one more need not load it again.

It works where orphans come to the agent (see `orphans`): so what it forks becomes the agent's own child, which the agent
waits for and ends as any other. The way of the pre-forking servers, and of Android's zygote.
"""

import os
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Final

from nodewise.agent import orphans
from nodewise.agent.processes import MARK, end_tree
from nodewise.agent.staging import inherited

_LOAD_SECONDS: Final = 60.0
_BIRTH_SECONDS: Final = 30.0
"""Nobody waits for it but the thread that keeps runners ready."""
_END_SECONDS: Final = 2.0


class Born:
    """A runner that was forked for us, with the part of `subprocess.Popen` that is needed of it."""

    def __init__(self, pid: int, told: socket.socket) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self.stdin = told.makefile("wb")
        told.close()

    def poll(self) -> int | None:
        """Its exit code; None while it runs."""
        if self.returncode is None:
            with suppress(ChildProcessError):
                pid, status = os.waitpid(self.pid, os.WNOHANG)
                self.returncode = os.waitstatus_to_exitcode(status) if pid else None
        return self.returncode

    def wait(self, timeout: float) -> int:
        """Its exit code.

        Raises:
            subprocess.TimeoutExpired: It has not ended.
        """
        deadline = time.monotonic() + timeout
        while (code := self.poll()) is None:
            if time.monotonic() > deadline:
                raise subprocess.TimeoutExpired([str(self.pid)], timeout)
            time.sleep(0.001)
        return code


class Nursery:
    """Makes runners that wait, in `folder`. For one thread, which must live as long as it does."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None

    def bear(self) -> Born:
        """One more.

        Raises:
            OSError: There is none to be had; the next call begins anew.
        """
        try:
            control = self._control or self._loaded()
            ours, theirs = socket.socketpair()
            with theirs, ours:
                return _born(control, ours, theirs)
        except (OSError, ValueError) as error:
            self.stop()
            raise OSError(f"no runner was forked: {error}") from error

    def stop(self) -> None:
        if self._control is not None:
            self._control.close()
        if self._process is not None:
            end_tree(self._process.pid)
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(_END_SECONDS)
            orphans.gone(self._process.pid)
        self._process = self._control = None

    def _loaded(self) -> socket.socket:
        ours, theirs = socket.socketpair()
        with theirs:
            self._process = orphans.born(
                lambda: subprocess.Popen(  # noqa: S603 - our own program
                    [sys.executable, "-m", "nodewise.agent.runner", "--fork", str(os.getpid())],
                    env={**inherited(os.environ), MARK: str(self._folder / "nursery")}, cwd=self._folder, stdin=theirs.fileno(),
                    stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
                )
            )  # fmt: skip
        self._control = ours
        ours.settimeout(_LOAD_SECONDS)
        if ours.recv(1) != b"!":
            raise OSError("it did not load")
        return ours


def _born(control: socket.socket, ours: socket.socket, theirs: socket.socket) -> Born:
    socket.send_fds(control, [b"+"], [theirs.fileno()])
    # Else its end would go unnoticed: we would hold the other one's side open.
    theirs.close()
    ours.settimeout(_BIRTH_SECONDS)
    pid = int(ours.recv(32))
    # It stays with the process between us until it is known: else it would be ended as an orphan.
    orphans.know(pid)
    try:
        _let_come(ours)
    except OSError:
        orphans.gone(pid)
        raise
    ours.settimeout(None)
    return Born(pid, ours)


def _let_come(runner: socket.socket) -> None:
    """Until it has come to us, nobody here could wait for its end."""
    runner.sendall(b"!")
    if runner.recv(1) != b"!":
        raise OSError("it did not come to the agent")
