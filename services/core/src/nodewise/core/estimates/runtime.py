"""How long a task will run: learned from what ran, per task class and node class.

Run times are skewed and vary by factors, not by seconds, so they are averaged as logarithms: Welford's running mean
and sum of squared deviations, merged as in Chan, Golub and LeVeque (1979).
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import reduce
from typing import Final, Self

_SHORTEST_SECONDS: Final = 1e-3
"""Anything shorter counts as this: the logarithm of zero would spoil the mean for ever."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RuntimeEstimate:
    """The run times seen so far of one task class on one node class. The default has seen none."""

    runs: int = 0
    mean_log_seconds: float = 0.0
    m2_log_seconds: float = 0.0
    """Sum of squared deviations of the logarithms."""

    def __post_init__(self) -> None:
        if self.runs < 0 or self.m2_log_seconds < 0:
            raise ValueError(f"runs and deviations must not be negative, got {self}")

    @classmethod
    def of(cls, seconds: Iterable[float]) -> Self:
        """The estimate after all of these run times."""
        return reduce(cls.updated, seconds, cls())

    def updated(self, seconds: float) -> Self:
        """This estimate after one more run of that length."""
        value = math.log(max(seconds, _SHORTEST_SECONDS))
        return self.merged(type(self)(runs=1, mean_log_seconds=value))

    def merged(self, other: "RuntimeEstimate") -> Self:
        """Both as one, in any order."""
        runs = self.runs + other.runs
        if runs == 0:
            return type(self)()
        delta = other.mean_log_seconds - self.mean_log_seconds
        return type(self)(
            runs=runs,
            mean_log_seconds=self.mean_log_seconds + delta * other.runs / runs,
            m2_log_seconds=self.m2_log_seconds
            + other.m2_log_seconds
            + delta * delta * self.runs * other.runs / runs,
        )

    @property
    def typical_seconds(self) -> float | None:
        """The geometric mean of what was seen; None: nothing was."""
        return math.exp(self.mean_log_seconds) if self.runs else None

    @property
    def spread(self) -> float | None:
        """The factor by which a run time typically is off (1.0: never); None: fewer than two were seen."""
        if self.runs < 2:
            return None
        return math.exp(math.sqrt(self.m2_log_seconds / (self.runs - 1)))


def predicted_seconds(
    estimates: Mapping[tuple[str, str], RuntimeEstimate],
    task_class: str,
    node_class: str,
    *,
    effort_flops: float | None = None,
    flops_per_second: float | None = None,
) -> float | None:
    """The run time to expect of a task class on a node class.

    What was learned there, else what was learned of the task class on other nodes, else effort at the given rate,
    else None (unknown).
    """
    exact = estimates.get((task_class, node_class))
    if exact is not None and exact.runs:
        return exact.typical_seconds
    elsewhere = [estimate for (name, _), estimate in sorted(estimates.items()) if name == task_class]
    pooled = reduce(RuntimeEstimate.merged, elsewhere, RuntimeEstimate())
    if pooled.runs:
        return pooled.typical_seconds
    if effort_flops is None or not flops_per_second:
        return None
    return effort_flops / flops_per_second


def learned_seconds(estimates: Mapping[tuple[str, str], RuntimeEstimate]) -> dict[tuple[str, str], float]:
    """The typical run time of every pair that was seen at least once: what a strategy is given."""
    typical = {pair: estimate.typical_seconds for pair, estimate in estimates.items()}
    return {pair: seconds for pair, seconds in typical.items() if seconds is not None}
