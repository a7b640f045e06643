"""One supervisor per home: a lock on `supervisor.pid`, which the system lets go of when its holder dies."""

import fcntl
import os
import time
from pathlib import Path

from nodewise.stack.errors import StackError

_PATIENCE_SECONDS = 1.0
"""How long to try: `down` and `doctor` hold the lock for an instant when they look."""


class AlreadyRunning(StackError):
    """Another supervisor serves this home."""

    def __init__(self, home: Path, pid: int | None) -> None:
        self.home = home
        self.pid = pid
        of = f" (pid {pid})" if pid else ""
        super().__init__(
            f"Nodewise is already running in {home}{of}",
            "use it, or stop it with `nodewise down`, or choose another --home",
        )


def _path(home: Path) -> Path:
    return home / "supervisor.pid"


class SupervisorLock:
    """Held by the supervisor for all its life."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self._file: int | None = None

    def __enter__(self) -> "SupervisorLock":
        """Take the lock and write our pid; AlreadyRunning when another process holds it."""
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while (file := _try_lock(_path(self._home))) is None:
            if time.monotonic() > deadline:
                raise AlreadyRunning(self._home, _read_pid(self._home))
            time.sleep(0.05)
        self._file = file
        os.ftruncate(file, 0)
        os.pwrite(file, f"{os.getpid()}\n".encode(), 0)
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            _path(self._home).unlink(missing_ok=True)
            os.close(self._file)
            self._file = None


def _try_lock(path: Path) -> int | None:
    file = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # Its holder may have removed the file between our open and our lock: then we locked nothing.
        if path.exists() and path.stat().st_ino == os.fstat(file).st_ino:
            return file
    except BlockingIOError:
        pass
    os.close(file)
    return None


def running_supervisor(home: Path) -> int | None:
    """Pid of the supervisor that serves `home` now; None when there is none, whatever a stale file says."""
    try:
        file = os.open(_path(home), os.O_RDONLY)
    except OSError:
        return None
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return _read_pid(home)
    finally:
        os.close(file)
    return None


def forget_pid_file(home: Path) -> None:
    """Remove a stale pid file; leaves one that is held."""
    file = _try_lock(_path(home))
    if file is not None:
        _path(home).unlink(missing_ok=True)
        os.close(file)


def _read_pid(home: Path) -> int | None:
    try:
        return int(_path(home).read_text())
    except (OSError, ValueError):
        return None
