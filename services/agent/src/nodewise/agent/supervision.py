"""A task's process from its start to its end, within its limits of time and memory."""

import os
import signal
import subprocess
import threading
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from pathlib import Path
from typing import Final, Protocol

import psutil
import structlog

from nodewise.agent import orphans, processes

SAMPLE_SECONDS: Final = 0.2
GRACE_SECONDS: Final = 3.0
"""Between SIGTERM and SIGKILL."""
_log = structlog.get_logger()


class StopCause(StrEnum):
    """Why the agent ended a process that had not ended by itself."""

    CANCELED = "canceled"
    TIMEOUT = "timeout"
    MEMORY = "memory"
    LEAVING = "leaving"


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a process may use. `seconds` None: as long as it likes."""

    memory_mib: int
    seconds: float | None = None

    @property
    def shown_time(self) -> str:
        return str(timedelta(seconds=self.seconds or 0))


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessEnd:
    """How a process ended. `exit_code` is negative for a signal, as in `subprocess`; figures that nobody measured are None.

    `used_mib` is what it used when it was stopped for its memory. Of a container, `out_of_memory` says that the system ended
    something in it for that, `trouble` what the runtime has to say of it, and `lost` that the runtime did not run it to its end.
    """

    exit_code: int
    stopped: StopCause | None
    peak_memory_mib: int | None
    cpu_seconds: float | None
    used_mib: int | None = None
    out_of_memory: bool = False
    trouble: str | None = None
    lost: bool = False


def begin(argv: Sequence[str], *, env: Mapping[str, str], cwd: Path, log: Path) -> "subprocess.Popen[bytes]":
    """Start a process in a session of its own, with all it says in the log.

    Raises:
        OSError: The system does not start it.
    """
    with log.open("ab") as output:
        return orphans.born(
            lambda: subprocess.Popen(  # noqa: S603 - the agent's own command line
                argv, env=dict(env), cwd=cwd, stdin=subprocess.DEVNULL, stdout=output,
                stderr=subprocess.STDOUT, start_new_session=True,
            )
        )  # fmt: skip


class Started(Protocol):
    """A process that was just started: of `subprocess.Popen`, what is needed."""

    returncode: int | None

    @property
    def pid(self) -> int: ...


class TaskProcess:
    """A running process that leads a session of its own. What has one of `marks` as `processes.MARK` belongs to it."""

    def __init__(self, popen: Started, *, marks: Collection[str], limits: Limits) -> None:
        """From now on the time counts."""
        self._limits = limits
        self._marks = tuple(marks)
        self._lock = threading.Lock()
        self._ended = False
        self._stopped: StopCause | None = None
        self._kill_at: float | None = None
        self._used_mib: int | None = None
        self.peak_mib = 0.0
        self.resident_mib = 0.0
        self._popen = popen
        self.pid = popen.pid
        self._started = time.monotonic()

    @property
    def created_at(self) -> float:
        """The creation time as psutil tells it; 0 when it is gone already."""
        try:
            return float(psutil.Process(self.pid).create_time())
        except psutil.Error:
            return 0.0

    def stop(self, cause: StopCause, *, grace: float = GRACE_SECONDS) -> None:
        """End it: SIGTERM, and SIGKILL after `grace` seconds. The first cause counts."""
        with self._lock:
            if self._ended or self._stopped is not None:
                return
            self._stopped = cause
            self._kill_at = time.monotonic() + grace
            self._ask_to_end(grace)

    def _ask_to_end(self, grace: float) -> None:
        """With the lock held, so it must not wait for anything."""
        processes.end_tree(self.pid, signal.SIGTERM if grace else signal.SIGKILL)

    def _members(self) -> list[int]:
        """The processes whose memory counts."""
        return processes.tree(self.pid)

    def wait(self) -> ProcessEnd:
        """Wait for its end. Whatever it left running in its tree or group ends with it."""
        _, status, usage = os.wait4(self.pid, 0)
        with self._lock:
            self._ended = True
            self._popen.returncode = os.waitstatus_to_exitcode(status)
            processes.end_group(self.pid)
        orphans.gone(self.pid)
        if not orphans.end_orphans():
            for orphan in processes.marked_processes(*self._marks):
                processes.end_tree(orphan.pid)
        return ProcessEnd(
            exit_code=self._popen.returncode,
            stopped=self._stopped,
            peak_memory_mib=max(1, round(self.peak_mib)),
            cpu_seconds=round(usage.ru_utime + usage.ru_stime, 3),
            used_mib=self._used_mib,
        )

    def check(self, now: float) -> None:
        """Hold it to its limits, once. `now` is monotonic."""
        if self._ended:
            return
        if self._limits.seconds is not None and now - self._started > self._limits.seconds:
            self.stop(StopCause.TIMEOUT, grace=0)
        self._check_memory()
        with self._lock:
            if not self._ended and self._kill_at is not None and now >= self._kill_at:
                processes.end_tree(self.pid)

    def _check_memory(self) -> None:
        pids = self._members()
        used = processes.resident_mib(pids)
        if used > self._limits.memory_mib and len(pids) > 1:
            # Forked workers share pages: count those once before judging.
            used = min(used, processes.proportional_mib(pids) or used)
        self.resident_mib = used
        self.peak_mib = max(self.peak_mib, used)
        if used > self._limits.memory_mib:
            self._used_mib = round(used)
            self.stop(StopCause.MEMORY, grace=0)


class Watchdog:
    """Looks at all running processes a few times a second, in a thread of its own."""

    def __init__(self, *, every_seconds: float = SAMPLE_SECONDS) -> None:
        self._every = every_seconds
        self._lock = threading.Lock()
        self._watched: set[TaskProcess] = set()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watchdog", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopped.set()

    def watch(self, process: TaskProcess) -> None:
        with self._lock:
            self._watched.add(process)

    def unwatch(self, process: TaskProcess) -> None:
        with self._lock:
            self._watched.discard(process)

    @property
    def resident_mib(self) -> float:
        """What all of them used when last seen."""
        with self._lock:
            return sum(process.resident_mib for process in self._watched)

    def _run(self) -> None:
        while not self._stopped.wait(self._every):
            with self._lock:
                watched = list(self._watched)
            for process in watched:
                try:
                    process.check(time.monotonic())
                except Exception:
                    _log.exception("a process could not be checked", pid=process.pid)
