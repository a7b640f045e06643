"""How restless nodes are: how far outcomes lie from what those before them let expect.

Tasks that run at the same time share the state of their node, so their outcomes agree better with each other than with
what comes when the node is busier or idler: the spread around the mean of a pair says too little of the next outcome.
So each outcome is compared with what was to be expected of it from those before it alone (Dawid, Statistical theory: the
prequential approach, JRSS A 147, 1984), and a node whose outcomes surprise more than their noise explains has its
predictions widened by as much.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from nodewise.core.estimates.learning.arrangement import Data
from nodewise.core.estimates.learning.fitting import Fit
from nodewise.core.estimates.learning.samples import t_weight

_PRIOR_OUTCOMES: Final = 4.0
"""That nodes are calm counts as so many outcomes of all, and that a node is like all others as so many of its own."""
_ROUNDS: Final = 10
"""Of weighing outliers down; it converges within a percent."""


@dataclass(frozen=True, slots=True)
class Unrest:
    """Factors of the variance of a prediction; none is below 1, as a lucky streak makes no node surer than its noise."""

    of_nodes: Sequence[float]
    of_all: float

    def on(self, node: int | None) -> float:
        """Of the node class with this number; None: of one that was never seen."""
        return max(1.0, self.of_all if node is None else self.of_nodes[node])


def unrest(fit: Fit) -> Unrest:
    """How restless each node class is. O(outcomes kept)."""
    surprises: list[list[float]] = [[] for _ in fit.nodes]
    for number, one in enumerate(fit.classes):
        for pair in one.pairs:
            surprises[pair.node] += _surprises(fit, number, pair)
    of_all = _scale([square for found in surprises for square in found], around=1.0)
    return Unrest([_scale(found, around=of_all) for found in surprises], of_all)


def _surprises(fit: Fit, number: int, pair: Data) -> Iterator[float]:
    """Of each recent outcome but the first: the square of how far it was off, in variances of its prediction then."""
    own, slope = fit.posterior.effect(number)
    level = fit.posterior.theta[0] + fit.posterior.theta[pair.node + 1] + own
    noise, spread = fit.variances.noise[number], fit.variances.pair
    weight = pair.past.weight if pair.past else 0.0
    total = weight * (pair.past.level - level - slope * pair.past.size) if pair.past else 0.0
    for size, value in pair.recent:
        off, counts = value - level - slope * size, 1.0
        if weight > 0:
            mean, believed = total / weight, spread / (spread + noise / weight)
            yield (off - believed * mean) ** 2 / (noise + (1.0 - believed) * spread)
            counts = min(1.0, t_weight((off - mean) ** 2 / noise))
        weight, total = weight + counts, total + counts * off


def _scale(squares: Sequence[float], *, around: float) -> float:
    """The squared scale of surprises that are t-distributed, as noise is, given that it is about `around`."""
    scale = around
    for _ in range(_ROUNDS):
        weighed = sum(t_weight(square / scale) * square for square in squares)
        scale = (weighed + _PRIOR_OUTCOMES * around) / (len(squares) + _PRIOR_OUTCOMES)
    return scale
