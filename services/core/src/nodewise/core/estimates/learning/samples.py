"""What is remembered of one pair: its latest outcomes as they were, all older ones as moments."""

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Self

RECENT: Final = 16
"""So many outcomes stay as they were, so that which of them are outliers can be judged with what is learned later."""
_KEPT: Final = 0.95
"""What older outcomes weigh after each newer one: about 20 of them count, so that a node that changed is learned anew."""
_LEAST_SCALE: Final = 0.1
_MAD_TO_SD: Final = 1.4826
NOISE_FREEDOM: Final = 4.0
"""Degrees of freedom of the noise: 4 suits most data (Lange, Little, Taylor, Robust statistical modeling using the t
distribution, JASA 1989)."""

Sample = tuple[float | None, float]
"""The logarithms of size and outcome; an unknown size is None."""


def t_weight(squared_error: float) -> float:
    """What an outcome counts that is so far off, in squared scales: the E step for a t distribution (Lange et al.)."""
    return (NOISE_FREEDOM + 1.0) / (NOISE_FREEDOM + squared_error)


@dataclass(frozen=True, slots=True, kw_only=True)
class Moments:
    """Weighted count, means and sums of products of deviations (Welford 1962; merged as Chan, Golub, LeVeque 1979)."""

    weight: float = 0.0
    x: float = 0.0
    y: float = 0.0
    xx: float = 0.0
    xy: float = 0.0
    yy: float = 0.0

    def merged(self, other: "Moments") -> "Moments":
        """Both as one. O(1)."""
        weight = self.weight + other.weight
        if weight == 0:
            return Moments()
        dx, dy, share = other.x - self.x, other.y - self.y, other.weight / weight
        cross = self.weight * share
        return Moments(
            weight=weight,
            x=self.x + dx * share,
            y=self.y + dy * share,
            xx=self.xx + other.xx + dx * dx * cross,
            xy=self.xy + other.xy + dx * dy * cross,
            yy=self.yy + other.yy + dy * dy * cross,
        )

    def scaled(self, factor: float) -> "Moments":
        """The same with every weight multiplied."""
        return Moments(
            weight=self.weight * factor,
            x=self.x,
            y=self.y,
            xx=self.xx * factor,
            xy=self.xy * factor,
            yy=self.yy * factor,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Samples:
    """One quantity of one task class on one node class. The default has seen nothing."""

    seen: int = 0
    recent: tuple[Sample, ...] = ()
    past: Moments = field(default_factory=Moments)

    def observed(self, sample: Sample) -> "Samples":
        """These and one more. O(1): at most `RECENT` are looked at."""
        recent = (*self.recent, sample)
        past = self.past
        if len(recent) > RECENT:
            past, recent = self._folded(recent[0]), recent[1:]
        return Samples(seen=self.seen + 1, recent=recent, past=past)

    def merged(self, other: "Samples") -> "Samples":
        """Both as one; `other` counts as the newer. O(1)."""
        both = Samples(
            seen=self.seen + other.seen - len(other.recent),
            recent=self.recent,
            past=self.past.merged(other.past),
        )
        for sample in other.recent:
            both = both.observed(sample)
        return both

    def _folded(self, sample: Sample) -> Moments:
        """The past after this sample joined it, weighed by how far it lies from the recent ones.

        A sample of unknown size is dropped: it has no place on the line that the moments describe.
        """
        x, y = sample
        if x is None:
            return self.past
        centre = statistics.median(value - (size or 0.0) for size, value in self.recent)
        errors = [value - (size or 0.0) - centre for size, value in self.recent]
        scale = max(_LEAST_SCALE, _MAD_TO_SD * statistics.median(map(abs, errors)))
        weight = min(1.0, t_weight(((y - x - centre) / scale) ** 2))
        return self.past.scaled(_KEPT).merged(Moments(weight=weight, x=x, y=y))

    def to_json(self) -> dict[str, object]:
        """Small numbers in lists: at most 2 x `RECENT` + 7 of them."""
        past = self.past
        return {
            "seen": self.seen,
            "recent": [list(sample) for sample in self.recent],
            "past": [past.weight, past.x, past.y, past.xx, past.xy, past.yy],
        }

    @classmethod
    def from_json(cls, value: Mapping[str, object]) -> Self:
        """The inverse of `to_json`.

        Raises:
            ValueError: It is not what `to_json` gives.
        """
        match value:
            case {"seen": int(seen), "recent": [*recent], "past": [_, _, _, _, _, _] as past}:
                numbers = [_number(entry) for entry in past]
                names = ("weight", "x", "y", "xx", "xy", "yy")
                moments = Moments(**dict(zip(names, numbers, strict=True)))
                return cls(seen=seen, recent=tuple(_sample(entry) for entry in recent), past=moments)
        raise ValueError(f"not the samples of a pair: {value!r}")


def _sample(entry: object) -> Sample:
    if not isinstance(entry, Sequence) or len(entry) != 2:
        raise ValueError(f"not a sample: {entry!r}")
    size, value = entry
    return (None if size is None else _number(size), _number(value))


def _number(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(f"not a finite number: {value!r}")
    return float(value)
