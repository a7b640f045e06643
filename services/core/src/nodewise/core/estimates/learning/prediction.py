"""What the fitted model answers: the posterior predictive distribution of one outcome."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from nodewise.core.estimates.learning.beliefs import Beliefs, Pair
from nodewise.core.estimates.learning.facts import Basis, MemoryPrediction, Prediction, Query
from nodewise.core.estimates.learning.fitting import Fit, fitted, pair_line, pair_variance
from nodewise.core.estimates.learning.mixed import Cell
from nodewise.core.estimates.learning.quantity import (
    MEMORY_MIB,
    SECONDS,
    Quantity,
    input_size,
    log_speed,
    work_size,
)
from nodewise.core.estimates.learning.samples import NOISE_FREEDOM, Samples
from nodewise.core.estimates.learning.student import t_quantile
from nodewise.core.estimates.learning.unrest import Unrest, unrest

DEFAULT_LEVEL: Final = 0.8


@dataclass(frozen=True, slots=True)
class _Outcome:
    """The predictive distribution: Student's t on the logarithm."""

    centre: float
    scale: float
    basis: Basis
    samples: int

    def interval(self, level: float, quantity: Quantity) -> tuple[float, float, float]:
        """Low, median, high."""
        if not 0 < level < 1:
            raise ValueError(f"a level lies between 0 and 1, got {level}")
        reach = self.scale * t_quantile((1 + level) / 2, NOISE_FREEDOM)
        return (
            quantity.exp(self.centre - reach),
            quantity.exp(self.centre),
            quantity.exp(self.centre + reach),
        )


@dataclass(frozen=True, slots=True)
class _Fitted:
    """One quantity, ready to be asked."""

    quantity: Quantity
    fit: Fit
    unrest: Unrest
    numbers: Mapping[str, int]
    cells: Mapping[tuple[int, int], Cell]
    table: Mapping[Pair, Samples]

    def outcome(self, query: Query, log_size: float | None) -> _Outcome:
        number, node = self.numbers.get(query.task_class), self.fit.nodes.get(query.node_class)
        if number is None:
            return self._of_new_class(log_size, node)
        one = self.fit.classes[number]
        known = log_size is not None and one.size is not None
        size = (log_size or 0.0) - (one.size or 0.0) if known else 0.0
        cell = None if node is None else self.cells.get((number, node))
        own, tilt = self.fit.posterior.effect(number)
        slope = max(0.0, self.quantity.slope + tilt)
        spread = 0.0 if known else one.size_variance * slope * slope
        noise = self.fit.variances.noise[number] + spread
        if cell is None:
            level, unsure = self._elsewhere(number, node, size)
            return _Outcome(
                one.expected + level + own + slope * size, self._scale(noise + unsure, node), Basis.POOLED, 0
            )
        level, _ = pair_line(self.fit.posterior, self.fit.variances, number, cell)
        unsure = pair_variance(self.fit.posterior, self.fit.variances, number, cell, at=size)
        seen = self.table[(query.task_class, query.node_class)].seen
        scale = self._scale(noise + unsure, node)
        return _Outcome(one.expected + level + slope * size, scale, Basis.LEARNED, seen)

    def _scale(self, variance: float, node: int | None) -> float:
        return math.sqrt(variance * self.unrest.on(node))

    def _elsewhere(self, number: int, node: int | None, size: float) -> tuple[float, float]:
        """Shared level and variance for a seen task class on a node class where it was not seen."""
        posterior, variances = self.fit.posterior, self.fit.variances
        unsure = posterior.variance(number, node, share=1.0, at=(1.0, size)) + variances.pair
        return self._shared_level(node), unsure + (variances.node if node is None else 0.0)

    def _of_new_class(self, log_size: float | None, node: int | None) -> _Outcome:
        variances, covariance = self.fit.variances, self.fit.posterior.covariance
        unsure = variances.task_class + variances.pair + self._common_noise() + covariance[0][0]
        if node is None:
            unsure += variances.node
        else:
            unsure += 2 * covariance[0][node + 1] + covariance[node + 1][node + 1]
        basis = Basis.POOLED if self.numbers else Basis.PRIOR
        scale = self._scale(unsure, node)
        return _Outcome(self.quantity.prior_log(log_size) + self._shared_level(node), scale, basis, 0)

    def _shared_level(self, node: int | None) -> float:
        theta = self.fit.posterior.theta
        return theta[0] + (0.0 if node is None else theta[node + 1])

    def _common_noise(self) -> float:
        noise = self.fit.variances.noise
        return sum(noise) / len(noise) if noise else self.quantity.noise_sd**2


@dataclass(frozen=True, slots=True)
class Model:
    """Beliefs, fitted once, for as many queries as there are. Each answer is O(nodes)."""

    seconds: _Fitted
    memory: _Fitted

    def predict(self, query: Query, *, level: float = DEFAULT_LEVEL) -> Prediction:
        """The run time to expect. More work never gives a shorter median."""
        outcome = self.seconds.outcome(query, work_size(query))
        here = _Outcome(outcome.centre - log_speed(query.node), outcome.scale, outcome.basis, outcome.samples)
        low, median, high = here.interval(level, SECONDS)
        return Prediction(
            median_seconds=median, low=low, high=high, level=level, basis=here.basis, samples=here.samples
        )

    def predict_memory(self, query: Query, *, level: float = DEFAULT_LEVEL) -> MemoryPrediction:
        """The peak of memory to expect. A larger input never gives a smaller median."""
        outcome = self.memory.outcome(query, input_size(query))
        low, median, high = outcome.interval(level, MEMORY_MIB)
        return MemoryPrediction(
            median_mib=median, low=low, high=high, level=level, basis=outcome.basis, samples=outcome.samples
        )


def fit(beliefs: Beliefs) -> Model:
    """Fit both quantities. O(outcomes kept + task classes x node classes^2 + node classes^3); see `fitting.fitted`."""
    return Model(_fitted(beliefs.seconds, SECONDS), _fitted(beliefs.memory, MEMORY_MIB))


def predict(beliefs: Beliefs, query: Query, *, level: float = DEFAULT_LEVEL) -> Prediction:
    """The run time to expect, for one query; use `fit` for more than one."""
    return fit(beliefs).predict(query, level=level)


def predict_memory(beliefs: Beliefs, query: Query, *, level: float = DEFAULT_LEVEL) -> MemoryPrediction:
    """The peak of memory to expect, for one query; use `fit` for more than one."""
    return fit(beliefs).predict_memory(query, level=level)


def _fitted(table: Mapping[Pair, Samples], quantity: Quantity) -> _Fitted:
    model = fitted(table, quantity)
    cells = {(number, cell.node): cell for number, of_class in enumerate(model.cells) for cell in of_class}
    numbers = {one.name: number for number, one in enumerate(model.classes)}
    return _Fitted(quantity, model, unrest(model), numbers, cells, table)
