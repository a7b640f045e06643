"""Ordinary child processes: start, stop, recognise again after the supervisor is gone."""

import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

MARK = "NODEWISE_STACK"
"""Variable in the environment of every child (and its children): the home that it belongs to."""

_PR_SET_PDEATHSIG = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """What to run. `user` and `group`: numeric ids to run as; None: ours."""

    name: str
    argv: tuple[str, ...]
    env: Mapping[str, str]
    log: Path
    stop_signal: signal.Signals = signal.SIGTERM
    stop_seconds: float = 8.0
    user: int | None = None
    group: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessId:
    """A process beyond the reuse of its pid. `created` only tells processes of one pid apart; it is not a time."""

    pid: int
    created: float


def start(program: Program) -> "subprocess.Popen[bytes]":
    """Start in a session of its own (Ctrl-C in the terminal reaches only us), output appended to its log.

    On Linux the child gets its stop signal when the calling *thread* ends, so call this from the main thread.
    """
    program.log.parent.mkdir(parents=True, exist_ok=True)
    with program.log.open("ab") as log:
        return subprocess.Popen(  # noqa: S603 - argv is ours, no shell
            program.argv,
            env=dict(program.env),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            user=program.user,
            group=program.group,
            extra_groups=None if program.user is None else [],
            preexec_fn=_end_with_parent(program.stop_signal),  # noqa: PLW1509 - calls one C function
        )


def _end_with_parent(stop_signal: signal.Signals) -> Callable[[], None] | None:
    if not sys.platform.startswith("linux"):
        return None
    prctl = ctypes.CDLL(None).prctl
    parent = os.getpid()

    def arm() -> None:
        prctl(_PR_SET_PDEATHSIG, int(stop_signal))
        if os.getppid() != parent:
            os._exit(1)

    return arm


def stop(process: "subprocess.Popen[bytes]", program: Program) -> None:
    """Ask it to end, insist after its `stop_seconds`; does nothing when it has ended."""
    if process.poll() is None:
        process.send_signal(program.stop_signal)
    try:
        process.wait(program.stop_seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def identity(pid: int) -> ProcessId:
    """Identity of a process that runs now; of one already gone, an identity that matches nothing."""
    try:
        return ProcessId(pid=pid, created=_created(pid))
    except (psutil.Error, OSError):
        return ProcessId(pid=pid, created=-1.0)


def _created(pid: int) -> float:
    """When the process started, exact enough to compare: on Linux in ticks since boot, which no clock change moves."""
    if not sys.platform.startswith("linux"):
        return psutil.Process(pid).create_time()
    # The second field is the command in parentheses and may hold anything; the start time is the 20th after it.
    return float(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19])


def find(wanted: ProcessId) -> psutil.Process | None:
    """The running process that `wanted` names; None if it ended, even when its pid is in use again."""
    try:
        process = psutil.Process(wanted.pid)
        same = _created(wanted.pid) == wanted.created
        return process if same and process.status() != psutil.STATUS_ZOMBIE else None
    except (psutil.Error, OSError):
        return None


def left_behind(home: Path) -> list[psutil.Process]:
    """Processes that carry our mark for `home`, except this one and those that started it."""
    own = {os.getpid(), *(parent.pid for parent in psutil.Process().parents())}
    return [p for p in psutil.process_iter() if p.pid not in own and _marked(p, home)]


def _marked(process: psutil.Process, home: Path) -> bool:
    try:
        return process.status() != psutil.STATUS_ZOMBIE and process.environ().get(MARK) == str(home)
    except (psutil.Error, OSError):
        return False


def end(processes: Mapping[psutil.Process, signal.Signals], seconds: float) -> None:
    """`stop` for processes that are not our children: each gets its signal, and those that stay get SIGKILL."""
    for process, stop_signal in processes.items():
        with suppress(psutil.NoSuchProcess):
            process.send_signal(stop_signal)
    for process in _still_there_after(processes, seconds):
        with suppress(psutil.NoSuchProcess):
            process.kill()
    _still_there_after(processes, seconds)


def _still_there_after(processes: Iterable[psutil.Process], seconds: float) -> list[psutil.Process]:
    deadline = time.monotonic() + seconds
    left = [process for process in processes if not _is_gone(process)]
    while left and time.monotonic() < deadline:
        time.sleep(0.05)
        left = [process for process in left if not _is_gone(process)]
    return left


def _is_gone(process: psutil.Process) -> bool:
    try:
        # An orphan whose new parent does not reap it stays a zombie: as good as gone.
        return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def tail(log: Path, lines: int = 1) -> str:
    """The last lines of a log that are not empty; nothing when there is no log."""
    try:
        text = log.read_text(errors="replace")
    except OSError:
        return ""
    return "\n".join([line for line in text[-20_000:].splitlines() if line.strip()][-lines:])
