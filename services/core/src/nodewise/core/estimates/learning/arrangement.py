"""What was seen, arranged for the fit: by task class, relative to what is expected, summed per pair."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from nodewise.core.estimates.learning.mixed import Cell
from nodewise.core.estimates.learning.quantity import Quantity
from nodewise.core.estimates.learning.samples import Samples


@dataclass(frozen=True, slots=True)
class Data:
    """One pair's outcomes relative to the expected ones: (size, outcome) of the recent, and the older as one cell."""

    node: int
    recent: Sequence[tuple[float, float]]
    past: Cell | None
    past_yy: float

    @property
    def count(self) -> float:
        return len(self.recent) + (self.past.weight if self.past else 0.0)


@dataclass(frozen=True, slots=True)
class ClassData:
    """One task class: its pairs, and the size and expected logarithm that they are relative to."""

    name: str
    size: float | None
    expected: float
    size_variance: float
    pairs: Sequence[Data]


def arranged(
    table: Mapping[tuple[str, str], Samples], quantity: Quantity
) -> tuple[list[ClassData], dict[str, int]]:
    """The table by task class, in the order of names, and the numbers of the node classes. O(outcomes)."""
    seen = {pair: samples for pair, samples in sorted(table.items()) if samples.recent}
    nodes = {name: number for number, name in enumerate(sorted({node for _, node in seen}))}
    by_class: dict[str, list[tuple[int, Samples]]] = {}
    for (task_class, node), samples in seen.items():
        by_class.setdefault(task_class, []).append((nodes[node], samples))
    return [_class_data(name, pairs, quantity) for name, pairs in by_class.items()], nodes


def _class_data(name: str, pairs: Sequence[tuple[int, Samples]], quantity: Quantity) -> ClassData:
    known = [size for _, samples in pairs for size, _ in samples.recent if size is not None]
    size = statistics.fmean(known) if known else None
    expected = quantity.prior_log(size)
    data = [_pair_data(node, samples, (size, expected, quantity.slope)) for node, samples in pairs]
    spread = statistics.pvariance(known) if known else 0.0
    return ClassData(name, size, expected, spread, data)


def _pair_data(node: int, samples: Samples, expected: tuple[float | None, float, float]) -> Data:
    size, level, slope = expected
    recent = []
    for x, y in samples.recent:
        dx = 0.0 if x is None or size is None else x - size
        recent.append((dx, y - level - slope * dx))
    past = samples.past
    if not past.weight or size is None:
        return Data(node, recent, None, 0.0)
    dx = past.x - size
    xy = past.xy - slope * past.xx
    yy = max(0.0, past.yy - 2 * slope * past.xy + slope * slope * past.xx)
    return Data(node, recent, Cell(node, past.weight, dx, past.y - level - slope * dx, past.xx, xy), yy)


def first_weights(pair: Data) -> list[float]:
    """Start near the median, so that an outlier does not begin in the middle."""
    centre = statistics.median(level for _, level in pair.recent)
    past = 0.0 if pair.past is None else pair.past.level - centre
    errors = [*(level - centre for _, level in pair.recent), past]
    return [1.0 / (1.0 + abs(error)) for error in errors]


def cell_of(pair: Data, weights: Sequence[float]) -> Cell:
    """The weighted moments of a pair around its mean; the last weight is that of its past."""
    weighed = list(zip(weights, pair.recent, strict=False))
    total = x = y = 0.0
    for weight, (size, level) in weighed:
        total += weight
        x += weight * size
        y += weight * level
    x, y, xx, xy = x / total, y / total, 0.0, 0.0
    for weight, (size, level) in weighed:
        xx += weight * (size - x) ** 2
        xy += weight * (size - x) * (level - y)
    own, past = Cell(pair.node, total, x, y, xx, xy), pair.past
    if past is None:
        return own
    kept = weights[-1]
    return _joined(own, replace(past, weight=past.weight * kept, xx=past.xx * kept, xy=past.xy * kept))


def _joined(left: Cell, right: Cell) -> Cell:
    weight = left.weight + right.weight
    share = right.weight / weight
    dx, dy, cross = right.size - left.size, right.level - left.level, left.weight * share
    return Cell(
        left.node,
        weight,
        left.size + dx * share,
        left.level + dy * share,
        left.xx + right.xx + dx * dx * cross,
        left.xy + right.xy + dx * dy * cross,
    )
