"""A generated cluster: unrelated nodes, sizes, noise and outliers, as estimates must cope with."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from random import Random

from nodewise.core.estimates.learning import Beliefs, NodeFacts, Observation, Query, observe_all

NODES = {
    "big": NodeFacts(cores=8),
    "small": NodeFacts(cores=1),
    "arm": NodeFacts(cores=4),
    "gpu": NodeFacts(cores=4, accelerator="gpu"),
}
CLASSES = 6
RUNS_PER_WAVE = 24
"""Each task class four times."""
SIZES = 16.0


@dataclass(frozen=True)
class Truth:
    """Log-normal run times: a level and a power of size per task class, a free factor per pair."""

    levels: tuple[float, ...]
    slopes: tuple[float, ...]
    factors: dict[tuple[int, str], float]
    noise: float = 0.15
    outliers: float = 0.04

    def seconds(self, rng: Random, number: int, node: str, size: float) -> float:
        level = self.levels[number] + self.slopes[number] * math.log(size) + self.factors[number, node]
        seconds = math.exp(level + rng.gauss(0, self.noise))
        if rng.random() < self.outliers:
            factor = rng.uniform(5, 100)
            seconds = seconds * factor if rng.random() < 0.75 else seconds / factor
        return seconds

    def run(self, rng: Random, number: int) -> Observation:
        node, size = rng.choice(list(NODES)), SIZES ** rng.random()
        return Observation(query=query(number, node, size), seconds=self.seconds(rng, number, node, size))

    def wave(self, rng: Random) -> Iterator[Observation]:
        return (self.run(rng, number % CLASSES) for number in range(RUNS_PER_WAVE))

    def after(self, rng: Random, waves: int) -> Beliefs:
        return observe_all(Beliefs(), (run for _ in range(waves) for run in self.wave(rng)))


def truth(rng: Random, *, noise: float = 0.15, outliers: float = 0.04) -> Truth:
    """The GPU is 11 times faster than the small node for class 0, and slower for class 1."""
    factors = {(number, node): rng.gauss(0, 0.7) for number in range(CLASSES) for node in NODES}
    factors[0, "gpu"] = factors[0, "small"] - math.log(11)
    factors[1, "gpu"] = factors[1, "small"] + math.log(1.5)
    return Truth(
        levels=tuple(rng.gauss(1.0, 1.0) for _ in range(CLASSES)),
        slopes=tuple(rng.choice([0.4, 0.7, 1.0, 1.2]) for _ in range(CLASSES)),
        factors=factors,
        noise=noise,
        outliers=outliers,
    )


def query(number: int, node: str, size: float = 1.0) -> Query:
    """The effort that is told is a different multiple of the truth for each class: a formula's constant is a guess."""
    return Query(
        task_class=f"class-{number}",
        node_class=node,
        effort_flops=1e9 * 3.0**number * size,
        input_bytes=2.0**24 * size,
        node=NODES[node],
    )
