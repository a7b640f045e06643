"""How long processes could have run and had no CPU: what a busy machine adds to every time that is measured on it."""

from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final

_NANOSECONDS: Final = 1e9


def waited_for_cpu(pids: Iterable[int]) -> Mapping[int, float]:
    """Seconds that the busiest waiter among the threads of each process has waited for a CPU so far; empty where the system
    does not tell.
    """
    found: dict[int, float] = {}
    for pid in pids:
        for thread in _threads(pid):
            with suppress(OSError, IndexError, ValueError):
                waited = int((thread / "schedstat").read_text().split()[1]) / _NANOSECONDS
                found[pid] = max(found.get(pid, 0.0), waited)
    return found


def most_waited(before: Mapping[int, float], after: Mapping[int, float]) -> float:
    """The longest that one of the processes waited between two looks; one that was started meanwhile began at 0."""
    return max((waited - before.get(pid, 0.0) for pid, waited in after.items()), default=0.0)


def _threads(pid: int) -> list[Path]:
    try:
        return list(Path(f"/proc/{pid}/task").iterdir())
    except OSError:
        return []
