"""The eliminated equations against the same model solved at once, outcome by outcome."""

from random import Random

import numpy as np
import pytest

from nodewise.core.estimates.learning.fitting import pair_line, pair_variance
from nodewise.core.estimates.learning.mixed import Cell, Variances, inverse, solve

VARIANCES = Variances(general=1.4, task_class=1.1, slope=0.16, node=0.3, pair=0.5, noise=[0.04, 0.09, 0.06])
CLASSES, NODES = 3, 4


def outcomes(seed: int) -> list[tuple[int, int, float, float]]:
    """Task class, node class, size, outcome: one to four of most pairs."""
    rng = Random(seed)
    return [
        (number, node, rng.gauss(0, 1), rng.gauss(0, 2))
        for number in range(CLASSES)
        for node in range(NODES)
        if (number + node) % 4
        for _ in range(rng.randint(1, 4))
    ]


def cells(seen: list[tuple[int, int, float, float]]) -> list[list[Cell]]:
    table: list[list[Cell]] = []
    for number in range(CLASSES):
        of_class = []
        for node in range(NODES):
            points = np.array([(x, y) for c, n, x, y in seen if (c, n) == (number, node)])
            if len(points):
                x, y = points.mean(axis=0)
                (xx, xy), _ = (points - (x, y)).T @ (points - (x, y))
                of_class.append(Cell(node, float(len(points)), x, y, xx, xy))
        table.append(of_class)
    return table


def design(number: int, node: int, size: float) -> np.ndarray:
    """General level, nodes, levels, slopes, pairs."""
    row = np.zeros(1 + NODES + 2 * CLASSES + CLASSES * NODES)
    row[[0, 1 + node, 1 + NODES + number, 1 + NODES + 2 * CLASSES + number * NODES + node]] = 1
    row[1 + NODES + CLASSES + number] = size
    return row


def at_once(seen: list[tuple[int, int, float, float]]) -> tuple[np.ndarray, np.ndarray]:
    v = VARIANCES
    prior = (
        [v.general]
        + [v.node] * NODES
        + [v.task_class] * CLASSES
        + [v.slope] * CLASSES
        + [v.pair] * CLASSES * NODES
    )
    rows = np.array([design(c, n, x) for c, n, x, _ in seen])
    trust = np.array([1 / v.noise[c] for c, *_ in seen])
    covariance = np.linalg.inv(np.diag(1 / np.array(prior)) + rows.T @ (trust[:, None] * rows))
    return covariance @ rows.T @ (trust * [y for *_, y in seen]), covariance


@pytest.mark.parametrize("seed", range(5))
def test_means_and_variances_are_those_of_the_whole_model(seed: int) -> None:
    seen = outcomes(seed)
    table = cells(seen)
    posterior = solve(table, NODES, VARIANCES)
    mean, covariance = at_once(seen)
    assert posterior.theta == pytest.approx(mean[: 1 + NODES])
    for number, of_class in enumerate(table):
        for cell in of_class:
            level, slope = pair_line(posterior, VARIANCES, number, cell)
            for size in (-2.0, 0.0, 1.5):
                row = design(number, cell.node, size)
                assert level + slope * size == pytest.approx(row @ mean)
                found = pair_variance(posterior, VARIANCES, number, cell, at=size)
                assert found == pytest.approx(row @ covariance @ row)


@pytest.mark.parametrize("seed", range(3))
def test_the_variance_without_the_pair_is_that_of_the_other_effects(seed: int) -> None:
    seen = outcomes(seed)
    posterior = solve(cells(seen), NODES, VARIANCES)
    _, covariance = at_once(seen)
    for number in range(CLASSES):
        row = design(number, 2, 1.5)
        row[1 + NODES + 2 * CLASSES :] = 0
        found = posterior.variance(number, 2, share=1.0, at=(1.0, 1.5))
        assert found == pytest.approx(row @ covariance @ row)


def test_the_inverse_is_the_inverse() -> None:
    rng = np.random.default_rng(1)
    half = rng.normal(size=(6, 6))
    matrix = half @ half.T + np.eye(6)
    assert np.array(inverse(matrix.tolist())) == pytest.approx(np.linalg.inv(matrix))
