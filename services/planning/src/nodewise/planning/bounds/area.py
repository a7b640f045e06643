"""How long all nodes together need for an amount of work, however it is divided.

Give each node and limit a price >= 0. A task that runs on a node pays (price x demand x run time), so no less than it
would where it is cheapest; in C seconds no more can be paid than (price x capacity) x C, all nodes together. Hence C is
at least the sum of the cheapest payments over the price of all capacity: for unrelated nodes, and for any prices. The
best prices are the dual solution of the fractional assignment; Plotkin, Shmoys, Tardos ("Fast approximation algorithms
for fractional packing and covering problems", Math. of OR 20(2), 1995) find them by making dearer what is overfull.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Self

import numpy as np

from nodewise.planning.bounds.model import Flags, Floats, Limit, Relaxed
from nodewise.planning.list_scheduling import never

_STEPS = 80
_WORK = 4e8
"""Tasks x nodes x limits x steps that may be spent: fewer steps on larger problems."""
_WINDOWS = 5
"""Heads and tails that the interval bound looks at: up to so many of each."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prices:
    """Of each node's capacity, one row per limit (0 where it does not limit). All capacity costs 1 per second."""

    rows: Floats

    @classmethod
    def normed(cls, rows: Floats, limits: tuple[Limit, ...]) -> Self:
        """Scaled so that all capacity costs 1 per second."""
        return cls(
            rows=rows / sum((row * _finite(limit)).sum() for row, limit in zip(rows, limits, strict=True))
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Area:
    """The best prices found for some work, what each task pays at least, and the seconds that follow."""

    prices: Prices
    payments: Floats
    seconds: float


def area(
    relaxed: Relaxed,
    *,
    start: float = 0.0,
    rest: float = 0.0,
    chosen: Flags | None = None,
    out_of_time: Callable[[], bool] = never,
) -> Area | None:
    """How long the chosen tasks keep all nodes busy, between `start` and the whole's end less `rest`.

    None if nothing limits. What fixed tasks hold in that time counts, as far as the whole surely lasts
    (`relaxed.least`). O(tasks x nodes x limits) for each of at most 80 steps.
    """
    rows = slice(None) if chosen is None else chosen
    run = relaxed.run[rows]
    if not relaxed.limits or not len(run):
        return None
    held = [limit.held(start, relaxed.least - rest) for limit in relaxed.limits]
    demands = [limit.demand[rows] for limit in relaxed.limits]
    sizes = np.array([_finite(limit) for limit in relaxed.limits])
    weights = np.where(sizes > 0, 1.0 / np.maximum(sizes, 1e-300), 0.0)
    best: Area | None = None
    steps = int(max(8, min(_STEPS, _WORK / (run.size * len(demands)))))
    for step in range(steps):
        if best is not None and out_of_time():
            break
        prices = Prices.normed(weights, relaxed.limits)
        found, loads = _evaluate(run, demands, held=held, prices=prices)
        if best is None or found.seconds > best.seconds:
            best = found
        fullness = np.divide(loads, sizes, out=np.zeros_like(loads), where=sizes > 0)
        top = fullness.max()
        if top <= 0:
            break
        weights = prices.rows * np.exp(fullness / top / (1.0 + step / 8))
    return best


def _evaluate(
    run: Floats, demands: list[Floats], *, held: list[Floats], prices: Prices
) -> tuple[Area, Floats]:
    """The area at these prices, and the load that results where each task takes its cheapest node."""
    rate = sum(demand[:, None] * row for demand, row in zip(demands, prices.rows, strict=True))
    with np.errstate(invalid="ignore"):
        costs = np.where(np.isfinite(run), run * rate, np.inf)
    at = costs.argmin(axis=1)
    each = np.arange(len(run))
    payments, seconds = costs[each, at], run[each, at]
    nodes = run.shape[1]
    loads = np.array(
        [np.bincount(at, weights=demand * seconds, minlength=nodes) for demand in demands]
    ) + np.array(held)
    fixed = sum(float((row * amount).sum()) for row, amount in zip(prices.rows, held, strict=True))
    return Area(prices=prices, payments=payments, seconds=float(payments.sum()) + fixed), loads


def payments(relaxed: Relaxed, prices: Prices) -> Floats:
    """What each task pays at least, at prices that may have been made for some of the tasks only."""
    nothing = [np.zeros(len(limit.capacity)) for limit in relaxed.limits]
    demands = [limit.demand for limit in relaxed.limits]
    return _evaluate(relaxed.run, demands, held=nothing, prices=prices)[0].payments


def _finite(limit: Limit) -> Floats:
    return np.where(np.isfinite(limit.capacity), limit.capacity, 0.0)


def intervals(relaxed: Relaxed) -> float:
    """The best of head + area + tail, over sets of tasks with large heads and tails (Carlier, EJOR 11, 1982)."""
    heads, tails = least_per_task(relaxed, relaxed.heads), least_per_task(relaxed, relaxed.tails)
    best = 0.0
    for start, rest in windows(relaxed):
        chosen = (heads >= start) & (tails >= rest)
        if chosen.any():
            found = area(relaxed, start=start, rest=rest, chosen=chosen)
            best = max(best, start + rest + (found.seconds if found else 0.0))
    return best


def windows(relaxed: Relaxed) -> Iterator[tuple[float, float]]:
    """Some pairs of a head and a tail that together are shorter than the whole, spread over those that occur."""
    for start in _spread(least_per_task(relaxed, relaxed.heads)):
        for rest in _spread(least_per_task(relaxed, relaxed.tails)):
            if start + rest < relaxed.least:
                yield start, rest


def least_per_task(relaxed: Relaxed, values: Floats) -> Floats:
    """The least of each row, over the nodes that can run the task."""
    found: Floats = np.where(np.isfinite(relaxed.run), values, np.inf).min(axis=1)
    return found


def _spread(values: Floats) -> list[float]:
    distinct = np.unique(values)
    places = np.linspace(0, len(distinct) - 1, min(_WINDOWS, len(distinct))).astype(int)
    return [float(value) for value in distinct[places]]
