"""From samples to figures. Pure.

A sample is what one look at one node gave: counters and gauges under node_exporter's names. A history is the samples of
the last five minutes; figures are folded from it.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Final

from nodewise.core.model.ids import NodeName
from nodewise.core.model.node import Figure, Observation

WINDOW: Final = timedelta(minutes=5)
"""Memory is averaged over this, as the Prometheus source does."""

_MIB: Final = 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One look at one node. CPU seconds are summed over all cores since the node's start; None: not exposed."""

    measured_at: datetime
    available_memory_bytes: float | None = None
    cpu_idle_seconds: float | None = None
    cpu_total_seconds: float | None = None
    load1: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """The samples of one node, oldest first, none older than `WINDOW` before the newest."""

    samples: tuple[Sample, ...] = ()

    def with_sample(self, sample: Sample) -> "History":
        """This history and one more sample; one that is not newer than the newest changes nothing."""
        if self.samples and sample.measured_at <= self.samples[-1].measured_at:
            return self
        oldest = sample.measured_at - WINDOW
        return History(samples=(*(old for old in self.samples if old.measured_at >= oldest), sample))


def observation(history: History) -> Observation:
    """The figures that a history supports, each with the time of the newest sample that it rests on."""
    return Observation(
        available_memory_mib=_mean_memory(history),
        cpu_utilisation=_utilisation(history),
        load1=_load(history),
    )


def latest(old: Observation, new: Observation) -> Observation:
    """The newer of each figure: what is unknown now was known once, and its time says how long ago."""
    return Observation(
        available_memory_mib=_newer(old.available_memory_mib, new.available_memory_mib),
        cpu_utilisation=_newer(old.cpu_utilisation, new.cpu_utilisation),
        load1=_newer(old.load1, new.load1),
    )


def carried(
    old: Mapping[NodeName, Observation], new: Mapping[NodeName, Observation], names: Iterable[NodeName]
) -> dict[NodeName, Observation]:
    """The latest figures of the nodes in `names`; the others are forgotten."""
    unknown = Observation()
    return {name: latest(old.get(name, unknown), new.get(name, unknown)) for name in names}


def _newer(old: Figure | None, new: Figure | None) -> Figure | None:
    if old is None or new is None:
        return new or old
    return new if new.measured_at >= old.measured_at else old


def _mean_memory(history: History) -> Figure | None:
    known = [
        (sample.measured_at, sample.available_memory_bytes)
        for sample in history.samples
        if sample.available_memory_bytes is not None
    ]
    if not known:
        return None
    mean = sum(value for _, value in known) / len(known)
    return Figure(value=mean / _MIB, measured_at=known[-1][0])


def _utilisation(history: History) -> Figure | None:
    """The share of CPU time that was not idle between the last two samples that tell."""
    for earlier, later in reversed(list(pairwise(history.samples))):
        share = _busy_share(earlier, later)
        if share is not None:
            return Figure(value=share, measured_at=later.measured_at)
    return None


def _busy_share(earlier: Sample, later: Sample) -> float | None:
    if earlier.cpu_idle_seconds is None or later.cpu_idle_seconds is None:
        return None
    if earlier.cpu_total_seconds is None or later.cpu_total_seconds is None:
        return None
    idle = later.cpu_idle_seconds - earlier.cpu_idle_seconds
    total = later.cpu_total_seconds - earlier.cpu_total_seconds
    # Counters start over when the node does: nothing is known of that interval.
    if total <= 0 or idle < 0:
        return None
    return min(1.0, max(0.0, 1.0 - idle / total))


def _load(history: History) -> Figure | None:
    known = [sample for sample in history.samples if sample.load1 is not None]
    if not known or known[-1].load1 is None:
        return None
    return Figure(value=known[-1].load1, measured_at=known[-1].measured_at)
