"""Processes of this machine: whole trees of them, what memory they use, and how to end them."""

import contextlib
import os
import signal
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Final

import psutil

MARK: Final = "NODEWISE_ATTEMPT"
"""Environment variable of every task's process: its attempt's folder. Its children inherit it."""
_PROC: Final = Path("/proc")
_MIB: Final = 1 << 20


def tree(pid: int) -> list[int]:
    """The process and all its descendants, parents first; only itself when it is gone."""
    found = [pid]
    for parent in found:
        found += children(parent)
    return found


def children(pid: int) -> Sequence[int]:
    """Its own children."""
    # psutil reads every process of the machine to find one's children; the kernel lists them directly.
    try:
        lists = [(thread / "children").read_text() for thread in (_PROC / str(pid) / "task").iterdir()]
    except OSError:
        return () if _PROC.is_dir() else _children_by_psutil(pid)
    return [int(child) for text in lists for child in text.split()]


def _children_by_psutil(pid: int) -> Sequence[int]:
    with contextlib.suppress(psutil.Error):
        return [child.pid for child in psutil.Process(pid).children()]
    return ()


def resident_mib(pids: Iterable[int]) -> float:
    """The sum of their resident memory. Pages that they share count once for each: never too little."""
    return _sum(pids, lambda process: process.memory_info().rss) / _MIB


def proportional_mib(pids: Iterable[int]) -> float:
    """The sum of their memory with shared pages divided among those that share them, where the system tells."""
    return _sum(pids, _proportional_bytes) / _MIB


def _proportional_bytes(process: psutil.Process) -> int:
    full = process.memory_full_info()
    return int(getattr(full, "pss", full.rss))


def _sum(pids: Iterable[int], measure: Callable[[psutil.Process], int]) -> int:
    total = 0
    for pid in pids:
        with contextlib.suppress(psutil.Error):
            total += measure(psutil.Process(pid))
    return total


def end_tree(pid: int, number: signal.Signals = signal.SIGKILL) -> None:
    """Send a signal to the process, its descendants, and its process group."""
    pids = tree(pid)
    if not end_group(pid, number):
        # It leads no group, or is gone.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, number)
    for member in pids[1:]:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(member, number)


def end_group(pid: int, number: signal.Signals = signal.SIGKILL) -> bool:
    """Send a signal to the process group that this process leads or led; False when there is none."""
    try:
        os.killpg(pid, number)
    except (ProcessLookupError, PermissionError):
        return False
    return True


def marked_processes(*marks: str) -> list[psutil.Process]:
    """Processes with such a mark (an attempt's folder, mostly), wherever they are in the tree by now."""
    return _marked(lambda found: found in marks)


def marked_below(folder: Path) -> list[psutil.Process]:
    """Processes whose mark lies in that folder."""
    return _marked(lambda found: folder in Path(found).parents)


def _marked(wanted: Callable[[str], bool]) -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            mark = process.environ().get(MARK)
            if mark and wanted(mark):
                found.append(process)
    return found
