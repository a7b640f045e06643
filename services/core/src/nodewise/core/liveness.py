"""Whether a process does its work: the last look of each of its loops, kept as metrics, and what follows from it."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from prometheus_client import Gauge

STUCK_SECONDS: Final = 120.0
"""A loop that has not come round for so long hangs. Looks take fractions of a second; a pause between two is a tick."""

_AT = Gauge("nodewise_loop_last_look_timestamp_seconds", "When a loop last looked; 0: not yet.", ["loop"])
_WELL = Gauge("nodewise_loop_last_look_succeeded", "Whether its last look went well: 1 or 0.", ["loop"])


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """The last look of a loop: when (seconds of the epoch; 0: there was none yet), and whether it went well."""

    at: float
    well: bool


def expect_looks(loop: str) -> None:
    """A loop of this name begins: the process is not ready before its first look went well."""
    _AT.labels(loop).set(0)
    _WELL.labels(loop).set(0)


def note_look(loop: str, *, well: bool, at: float | None = None) -> None:
    """A loop came round. `at` is of the epoch; None: now."""
    _WELL.labels(loop).set(well)
    _AT.labels(loop).set(time.time() if at is None else at)


def last_looks() -> Mapping[str, Look]:
    """The last look of every loop of this process."""
    well = {sample.labels["loop"]: sample.value for metric in _WELL.collect() for sample in metric.samples}
    return {
        sample.labels["loop"]: Look(at=sample.value, well=bool(well.get(sample.labels["loop"])))
        for metric in _AT.collect()
        for sample in metric.samples
    }


def hanging(looks: Mapping[str, Look], *, now: float) -> str | None:
    """What hangs, so that only a new start helps; None: nothing. Servers that are away are no reason for one."""
    for name, look in looks.items():
        if look.at and now - look.at > STUCK_SECONDS:
            return f"the loop {name} has not come round for {now - look.at:.0f} s"
    return None


def unready(looks: Mapping[str, Look], *, now: float) -> str | None:
    """Why the process cannot do its work now; None: it can."""
    if not looks:
        return "no loop has begun"
    for name, look in looks.items():
        if not look.at:
            return f"the loop {name} has not looked yet"
        if not look.well:
            return f"the last look of the loop {name} failed"
    return hanging(looks, now=now)
