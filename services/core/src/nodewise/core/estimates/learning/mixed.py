"""The posterior of the linear mixed model, given its variances: exact, by eliminating the task classes first.

Henderson's equations (Best linear unbiased estimation and prediction under a selection model, Biometrics 1975) for the
crossed effects of task class, node class and their interaction; Gelman and Hill, Data Analysis Using Regression and
Multilevel/Hierarchical Models, 2007, for the shrinkage that follows. Interactions are integrated out in closed form;
a task class (level, slope) is coupled to another one through the node classes only, so what is left to invert has one row per node class.
"""

from collections.abc import Sequence
from dataclasses import dataclass

Vector = list[float]
Matrix = list[list[float]]


@dataclass(frozen=True, slots=True)
class Cell:
    """A pair's weighted data: how far its mean lies from what is expected, at which size, and the sums around it."""

    node: int
    weight: float
    size: float
    """Mean size, relative to its task class."""
    level: float
    """Mean outcome, less what is expected at that size."""
    xx: float
    xy: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Variances:
    """Of each kind of effect; of the noise per task class."""

    general: float
    task_class: float
    slope: float
    node: float
    pair: float
    noise: Sequence[float]

    def shrinkage(self, task_class: int, weight: float) -> float:
        """The share of a pair's own deviation that is believed: 0 with no data, towards 1 with much."""
        if weight == 0:
            return 0.0
        return self.pair / (self.pair + self.noise[task_class] / weight)


@dataclass(frozen=True, slots=True)
class Local:
    """Level and slope of a task class, given the other effects: mean `a - h . theta`, covariance `p` (11, 12, 22).

    `sh` is covariance(theta) x h, and `hsh` is h x sh: with them every variance below is O(1).
    """

    a: tuple[float, float]
    p: tuple[float, float, float]
    h: tuple[Vector, Vector]
    sh: tuple[Vector, Vector]
    hsh: tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class Posterior:
    """Means and covariances of all effects. Index 0 of `theta` is the general level, 1 + n is node class n."""

    theta: Vector
    covariance: Matrix
    classes: Sequence[Local]

    def effect(self, task_class: int) -> tuple[float, float]:
        """Level and slope of a task class, relative to the expected ones."""
        local = self.classes[task_class]
        return (local.a[0] - _dot(local.h[0], self.theta), local.a[1] - _dot(local.h[1], self.theta))

    def variance(self, task_class: int, node: int | None, *, share: float, at: tuple[float, float]) -> float:
        """Of `share` x (general level + node class) + `at` . (level, slope). `node` None: without its node class. O(1)."""
        local = self.classes[task_class]
        (z0, z1), (p0, p1, p2), (q0, q1, q2) = at, local.p, local.hsh
        own, cross0, cross1 = self.covariance[0][0], local.sh[0][0], local.sh[1][0]
        if node is not None:
            column = node + 1
            own += 2 * self.covariance[0][column] + self.covariance[column][column]
            cross0, cross1 = cross0 + local.sh[0][column], cross1 + local.sh[1][column]
        shared = share * share * own - 2 * share * (z0 * cross0 + z1 * cross1)
        return max(0.0, shared + z0 * z0 * (p0 + q0) + 2 * z0 * z1 * (p1 + q1) + z1 * z1 * (p2 + q2))


def solve(classes: Sequence[Sequence[Cell]], nodes: int, variances: Variances) -> Posterior:
    """The posterior given the cells of each task class. O(classes x nodes^2 + nodes^3), classes that saw k nodes k^2."""
    information = [[0.0] * (nodes + 1) for _ in range(nodes + 1)]
    information[0][0] = 1.0 / variances.general
    for node in range(nodes):
        information[node + 1][node + 1] = 1.0 / variances.node
    right = [0.0] * (nodes + 1)
    parts = [
        _eliminate(cells, variances, number, (information, right)) for number, cells in enumerate(classes)
    ]
    covariance = inverse(information)
    theta = [_dot(row, right) for row in covariance]
    return Posterior(theta, covariance, [_local(part, covariance) for part in parts])


_Part = tuple[tuple[float, float], tuple[float, float, float], tuple[Vector, Vector]]


def _eliminate(
    cells: Sequence[Cell], variances: Variances, number: int, shared: tuple[Matrix, Vector]
) -> _Part:
    """Add what one task class says of the shared effects, and return what they leave of it (a, p and h of `Local`)."""
    information, right = shared
    noise, width = variances.noise[number], len(right)
    m0, m1, m2 = 1.0 / variances.task_class, 0.0, 1.0 / variances.slope
    g0, g1 = [0.0] * width, [0.0] * width
    q0 = q1 = 0.0
    for cell in cells:
        trust, size = 1.0 / (variances.pair + noise / cell.weight), cell.size
        m0, m1, m2 = m0 + trust, m1 + trust * size, m2 + trust * size * size + cell.xx / noise
        q0, q1 = q0 + trust * cell.level, q1 + trust * size * cell.level + cell.xy / noise
        for column in (0, cell.node + 1):
            g0[column] += trust
            g1[column] += trust * size
            right[column] += trust * cell.level
            information[column][0] += trust
            information[column][cell.node + 1] += trust
    determinant = m0 * m2 - m1 * m1
    p = (m2 / determinant, -m1 / determinant, m0 / determinant)
    a = (p[0] * q0 + p[1] * q1, p[1] * q0 + p[2] * q1)
    used = [0, *sorted({cell.node + 1 for cell in cells})]
    h0, h1 = [0.0] * width, [0.0] * width
    for column in used:
        h0[column] = p[0] * g0[column] + p[1] * g1[column]
        h1[column] = p[1] * g0[column] + p[2] * g1[column]
    for row in used:
        right[row] -= g0[row] * a[0] + g1[row] * a[1]
        line = information[row]
        for column in used:
            line[column] -= g0[row] * h0[column] + g1[row] * h1[column]
    return a, p, (h0, h1)


def _local(part: _Part, covariance: Matrix) -> Local:
    a, p, (h0, h1) = part
    sh0 = [_dot(row, h0) for row in covariance]
    sh1 = [_dot(row, h1) for row in covariance]
    return Local(a, p, (h0, h1), (sh0, sh1), (_dot(h0, sh0), _dot(h0, sh1), _dot(h1, sh1)))


def inverse(matrix: Matrix) -> Matrix:
    """Of a symmetric positive definite matrix, by Gauss-Jordan elimination (stable for these without pivoting). O(n^3)."""
    n = len(matrix)
    rows = [[*row, *(1.0 if i == j else 0.0 for j in range(n))] for i, row in enumerate(matrix)]
    for k in range(n):
        pivot = 1.0 / rows[k][k]
        head = rows[k] = [value * pivot for value in rows[k]]
        for i in range(n):
            factor = rows[i][k]
            if i != k and factor:
                rows[i] = [value - factor * other for value, other in zip(rows[i], head, strict=True)]
    return [row[n:] for row in rows]


def _dot(left: Sequence[float], right: Sequence[float]) -> float:
    return sum(a * b for a, b in zip(left, right, strict=True))
