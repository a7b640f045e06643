"""Variances and outliers: the model fitted to what was seen, by expectation-maximisation.

Each round (Dempster, Laird, Rubin, Maximum likelihood from incomplete data via the EM algorithm, 1977):
1. weigh each outcome by how far off it is, in scales of its task class's noise (t-distributed noise: Lange et al. 1989);
2. solve for the effects, given weights and variances (`mixed`);
3. set each variance to the mean square of its effects, their own uncertainty included, with the prior as a few more effects.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from nodewise.core.estimates.learning.arrangement import ClassData, Data, arranged, cell_of, first_weights
from nodewise.core.estimates.learning.mixed import Cell, Posterior, Variances, solve
from nodewise.core.estimates.learning.quantity import Quantity
from nodewise.core.estimates.learning.samples import Samples, t_weight

_ROUNDS: Final = 12
"""Enough for the medians to stand still to a percent; the variances move slower, but their priors hold them."""
_PRIOR_EFFECTS: Final = 4.0
"""The prior of a variance counts as so many effects."""
_PRIOR_OUTCOMES: Final = 12.0
"""The prior of the noise counts as so many outcomes of all, and what all say as so many of each task class: with fewer,
two outcomes of a pair that are one outlier apart are taken for noise."""


@dataclass(frozen=True, slots=True)
class Fit:
    """The fitted model. `cells` per task class, in the order of its pairs."""

    classes: Sequence[ClassData]
    nodes: Mapping[str, int]
    cells: Sequence[Sequence[Cell]]
    variances: Variances
    posterior: Posterior


def fitted(table: Mapping[tuple[str, str], Samples], quantity: Quantity) -> Fit:
    """Fit the model. O(outcomes + classes x nodes^2 + nodes^3), a dozen times; equal tables give equal fits."""
    classes, nodes = arranged(table, quantity)
    variances = _first_variances(quantity, len(classes))
    cells = [[cell_of(pair, first_weights(pair)) for pair in one.pairs] for one in classes]
    posterior = solve(cells, len(nodes), variances)
    for _ in range(_ROUNDS if classes else 0):
        weights, squares = _weighed(classes, cells, variances, posterior)
        cells = [
            [cell_of(pair, own) for pair, own in zip(one.pairs, of_class, strict=True)]
            for one, of_class in zip(classes, weights, strict=True)
        ]
        variances = _variances(classes, cells, squares, (variances, posterior, quantity))
        posterior = solve(cells, len(nodes), variances)
    return Fit(classes, nodes, cells, variances, posterior)


def _first_variances(quantity: Quantity, classes: int) -> Variances:
    return Variances(
        general=quantity.general_sd**2,
        task_class=quantity.class_sd**2,
        slope=quantity.slope_sd**2,
        node=quantity.node_sd**2,
        pair=quantity.pair_sd**2,
        noise=[quantity.noise_sd**2] * classes,
    )


def _weighed(
    classes: Sequence[ClassData], cells: Sequence[Sequence[Cell]], variances: Variances, posterior: Posterior
) -> tuple[list[list[list[float]]], list[float]]:
    """A weight per recent outcome and one for the past of each pair, and per task class the weighted sum of squared errors."""
    weights, squares = [], []
    for number, one in enumerate(classes):
        noise, total, of_class = variances.noise[number], 0.0, []
        for pair, cell in zip(one.pairs, cells[number], strict=True):
            errors = _squared_errors(pair, cell, number, (variances, posterior))
            own = [t_weight(error / noise) for error in errors]
            own[-1] = min(1.0, own[-1])
            of_class.append(own)
            total += sum(weight * error for weight, error in zip(own[:-1], errors, strict=False))
            total += own[-1] * pair.past_yy
        weights.append(of_class)
        squares.append(total)
    return weights, squares


def _squared_errors(pair: Data, cell: Cell, number: int, model: tuple[Variances, Posterior]) -> list[float]:
    """The expected squared error of each recent outcome, and of the mean of the past, the line's uncertainty included."""
    variances, posterior = model
    level, slope = pair_line(posterior, variances, number, cell)
    unsure = pair_variance(posterior, variances, number, cell, at=cell.size)
    tilt = posterior.variance(number, None, share=0.0, at=(0.0, 1.0))
    return [
        (value - level - slope * size) ** 2 + unsure + tilt * (size - cell.size) ** 2
        for size, value in [*pair.recent, (pair.past.size, pair.past.level) if pair.past else (0.0, 0.0)]
    ]


def pair_line(posterior: Posterior, variances: Variances, number: int, cell: Cell) -> tuple[float, float]:
    """Level (at the class's size) and slope of a pair with data, relative to the expected ones."""
    own, slope = posterior.effect(number)
    level = posterior.theta[0] + posterior.theta[cell.node + 1] + own
    believed = variances.shrinkage(number, cell.weight)
    return level + believed * (cell.level - level - slope * cell.size), slope


def pair_variance(posterior: Posterior, variances: Variances, number: int, cell: Cell, *, at: float) -> float:
    """How uncertain a pair's expected outcome is at a size. The pair's own mean counts once: exact given the variances."""
    believed = variances.shrinkage(number, cell.weight)
    rest = 1.0 - believed
    shared = posterior.variance(number, cell.node, share=rest, at=(rest, at - believed * cell.size))
    return shared + believed * variances.noise[number] / cell.weight


def _variances(
    classes: Sequence[ClassData],
    cells: Sequence[Sequence[Cell]],
    squares: Sequence[float],
    last: tuple[Variances, Posterior, Quantity],
) -> Variances:
    before, posterior, quantity = last
    pairs = [
        _pair_square(posterior, before, number, cell)
        for number, of_class in enumerate(cells)
        for cell in of_class
    ]
    levels = [
        posterior.effect(number)[0] ** 2 + posterior.variance(number, None, share=0.0, at=(1.0, 0.0))
        for number in range(len(classes))
    ]
    nodes = [value**2 + posterior.covariance[i][i] for i, value in enumerate(posterior.theta)][1:]
    counts = [sum(pair.count for pair in one.pairs) for one in classes]
    common = _noise(sum(squares), sum(counts), quantity.noise_sd**2)
    return Variances(
        general=before.general,
        task_class=_mean_square(levels, quantity.class_sd),
        slope=before.slope,
        node=_mean_square(nodes, quantity.node_sd),
        pair=_mean_square(pairs, quantity.pair_sd),
        noise=[_noise(square, count, common) for square, count in zip(squares, counts, strict=True)],
    )


def _pair_square(posterior: Posterior, variances: Variances, number: int, cell: Cell) -> float:
    """The expected square of an interaction."""
    own, slope = posterior.effect(number)
    expected = posterior.theta[0] + posterior.theta[cell.node + 1] + own + slope * cell.size
    believed = variances.shrinkage(number, cell.weight)
    unsure = posterior.variance(number, cell.node, share=1.0, at=(1.0, cell.size))
    effect = believed * (cell.level - expected)
    return effect**2 + believed * variances.noise[number] / cell.weight + believed**2 * unsure


def _mean_square(squares: Sequence[float], prior_sd: float) -> float:
    return (sum(squares) + _PRIOR_EFFECTS * prior_sd**2) / (len(squares) + _PRIOR_EFFECTS)


def _noise(square: float, count: float, prior: float) -> float:
    return (square + _PRIOR_OUTCOMES * prior) / (count + _PRIOR_OUTCOMES)
