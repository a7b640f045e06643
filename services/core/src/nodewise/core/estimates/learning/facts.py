"""What is observed, what is asked, and what is answered."""

import math
from dataclasses import dataclass, field
from enum import StrEnum


class Basis(StrEnum):
    """What a prediction rests on."""

    PRIOR = "prior"
    """Effort and node facts only: nothing that was seen bears on it."""
    POOLED = "pooled"
    """Other pairs: this task class elsewhere, other task classes on this node class, or the general level."""
    LEARNED = "learned"
    """Outcomes of this task class on this node class, besides all of the above."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeFacts:
    """What is known of a node before anything ran on it. `cores` may be a fraction; None is unknown."""

    cores: float | None = None
    accelerator: str | None = None

    def __post_init__(self) -> None:
        _check_size("cores", self.cores)


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """A task class on a node class, with the size of this very task: its effort, else the bytes of its input."""

    task_class: str
    node_class: str
    effort_flops: float | None = None
    input_bytes: float | None = None
    node: NodeFacts = field(default_factory=NodeFacts)

    def __post_init__(self) -> None:
        _check_size("effort_flops", self.effort_flops)
        _check_size("input_bytes", self.input_bytes)


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """What a run that ended well took. What was not measured is None; `query` is what could have been asked before."""

    query: Query
    seconds: float | None = None
    peak_memory_mib: float | None = None

    def __post_init__(self) -> None:
        _check_size("seconds", self.seconds)
        _check_size("peak_memory_mib", self.peak_memory_mib)


@dataclass(frozen=True, slots=True, kw_only=True)
class Prediction:
    """A run time. With probability `level` the outcome lies between `low` and `high` (seconds), half of the rest on each side.

    `samples` are the runs seen of this very pair.
    """

    median_seconds: float
    low: float
    high: float
    level: float
    basis: Basis
    samples: int


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryPrediction:
    """A peak of memory, as `Prediction` is of a run time; `low` and `high` in MiB."""

    median_mib: float
    low: float
    high: float
    level: float
    basis: Basis
    samples: int


def _check_size(name: str, value: float | None) -> None:
    if value is not None and not (math.isfinite(value) and value >= 0):
        raise ValueError(f"{name} must be finite and not negative, got {value}")
