"""The two quantities that are learned, and what is believed of each before anything was seen.

All widths are standard deviations of natural logarithms: 0.7 is a factor of 2, 1.6 a factor of 5.
"""

import math
from dataclasses import dataclass
from typing import Final

from nodewise.core.estimates.learning.facts import NodeFacts, Query

_FLOPS_PER_BYTE: Final = 50.0
"""Where only bytes are known: at the rate below, 40 MB/s, about what reading CSV into a table gives."""
_SERIAL_SHARE: Final = 0.5
"""Amdahl's law with half of the work serial, since start-up, reading and many estimators use one core."""
_ACCELERATOR_SPEED: Final = 3.0
"""V100 against K80 lies between 0.66 and 11.6 by model (Gavel's measurements, OSDI 2020): the middle of their logarithms."""
_LARGEST_WORK: Final = 1e24


@dataclass(frozen=True, slots=True, kw_only=True)
class Quantity:
    """How a quantity depends on size before anything is known, `base + work / rate`, and how wrong that may be."""

    smallest: float
    largest: float
    base: float
    rate: float
    of_unknown_work: float
    slope: float
    """The outcome grows like what is expected of the work to this power."""
    slope_sd: float
    general_sd: float
    class_sd: float
    node_sd: float
    pair_sd: float
    noise_sd: float

    def log(self, value: float) -> float:
        """Its logarithm, kept to what may be."""
        return math.log(min(max(value, self.smallest), self.largest))

    def exp(self, log_value: float) -> float:
        """The inverse of `log`, kept to what may be."""
        return math.exp(min(max(log_value, math.log(self.smallest)), math.log(self.largest)))

    def prior_log(self, size: float | None) -> float:
        """The expected logarithm on a reference node, of a size as `size` gives it; never falls with work."""
        return math.log(self.of_unknown_work) if size is None else size

    def size(self, work: float | None) -> float | None:
        """The size that outcomes depend on: the logarithm of what is expected of the work. None: unknown.

        Not the logarithm of the work itself: below what the base costs, a hundred times the work is hardly noticed, and
        a power law would make hours of it.
        """
        return None if work is None else math.log(self.base + min(max(work, 1.0), _LARGEST_WORK) / self.rate)


SECONDS: Final = Quantity(
    smallest=1e-3, largest=1e9, base=1.0, rate=2e9, of_unknown_work=10.0, slope=0.85, slope_sd=0.4,
    general_sd=1.2, class_sd=1.2, node_sd=0.5, pair_sd=0.6, noise_sd=0.15,
)  # fmt: skip
"""A second to start and import, 2 Gflop/s on the reference core: what Python's numerical code reaches, not what a chip could."""

MEMORY_MIB: Final = Quantity(
    smallest=1e-3, largest=1e9, base=100.0, rate=2.0**20 / 3.0, of_unknown_work=256.0, slope=0.6, slope_sd=0.4,
    general_sd=0.7, class_sd=0.7, node_sd=0.1, pair_sd=0.1, noise_sd=0.1,
)  # fmt: skip
"""An interpreter with its libraries, and three times the input; a node hardly matters to what a task needs."""


def work_size(query: Query) -> float | None:
    """The size that run times depend on: of the effort, else of the bytes as if each took some operations."""
    if query.effort_flops is not None:
        return SECONDS.size(query.effort_flops)
    return None if query.input_bytes is None else SECONDS.size(query.input_bytes * _FLOPS_PER_BYTE)


def input_size(query: Query) -> float | None:
    """The size that memory depends on."""
    return MEMORY_MIB.size(query.input_bytes)


def log_speed(node: NodeFacts) -> float:
    """How much faster than one plain core a node may be, as a logarithm: a first guess that learning overrides."""
    speed = 1.0
    if node.cores is not None:
        cores = max(node.cores, 0.05)
        speed = cores if cores < 1 else 1.0 / (_SERIAL_SHARE + (1.0 - _SERIAL_SHARE) / cores)
    return math.log(speed * (_ACCELERATOR_SPEED if node.accelerator else 1.0))
