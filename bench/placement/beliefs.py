"""Estimates that are off: what a decision sees in place of the truth."""

from math import erf, exp, sqrt
from random import Random

from nodewise.core.model.ids import NodeName
from nodewise.core.model.problem import Problem, ProblemTask
from nodewise.simulator.scenario import Scenario, with_seconds


def misjudged(truth: Problem, error: float, seed: int) -> Scenario:
    """The problem with estimates that are off by `error` of the truth on average (0.5: by half of it).

    Errors are log-normal with median 1, so too long and too short are equally likely. Half of their variance is the
    task's (it is larger than thought, everywhere), half belongs to the task on that node (it suits the node less).
    """
    if not error:
        return Scenario(truth=truth, believed=truth)
    rng, each = Random(f"beliefs {seed}"), sigma_of(error) / sqrt(2)
    tasks = [task for pipeline in truth.pipelines for task in pipeline.tasks]
    return Scenario(truth=truth, believed=with_seconds(truth, [_estimate(task, rng, each) for task in tasks]))


def _estimate(task: ProblemTask, rng: Random, sigma: float) -> dict[NodeName, float]:
    own = rng.gauss(0, sigma)
    return {node: seconds * exp(own + rng.gauss(0, sigma)) for node, seconds in task.seconds.items()}


def sigma_of(error: float) -> float:
    """The sigma of a log-normal factor of median 1 whose mean absolute distance from 1 is `error`. By bisection."""
    low, high = 0.0, 3.0
    while high - low > 1e-9:
        middle = (low + high) / 2
        low, high = (middle, high) if mean_distance(middle) < error else (low, middle)
    return low


def mean_distance(sigma: float) -> float:
    """E|exp(sigma g) - 1| for a standard normal g."""
    return exp(sigma**2 / 2) * erf(sigma / sqrt(2))
