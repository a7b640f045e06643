"""Streams of ML pipelines on ten unrelated nodes: `python -m bench.placement.streams PIPELINES [--gap S] [--error E]`
prints one as a problem file, for `nodewise simulate`.

How much faster a node class is depends on the task: accelerators help image models tenfold, recommendation hardly, and
slow down what is made of trees. The spread is that of the published throughputs of Gavel (Narayanan et al., OSDI 2020:
V100 against K80 between 0.7 and 11.6 by model); the figures themselves are ours, relative to a medium node.
"""

import argparse
import json
import sys
from collections.abc import Mapping
from math import exp
from random import Random
from types import MappingProxyType

from bench.placement.beliefs import misjudged
from nodewise.core.model.ids import NodeName
from nodewise.core.model.problem import (
    Dependency,
    Links,
    Problem,
    ProblemNode,
    ProblemPipeline,
    ProblemTask,
)
from nodewise.core.model.resources import Resources
from nodewise.simulator.document import document

NODES = ("gpu", "gpu", "high-cpu", "high-cpu", "high-cpu", "med-cpu", "med-cpu", "low-cpu", "arm", "edge")
CORES: Mapping[str, int] = MappingProxyType(
    {"gpu": 8, "high-cpu": 16, "med-cpu": 8, "low-cpu": 2, "arm": 4, "edge": 2}
)
NEED = Resources(millicores=1000, memory_mib=1024)

SPEED: Mapping[str, Mapping[str, float]] = MappingProxyType(
    {
        "prepare/table": {
            "gpu": 1.6, "high-cpu": 2.0, "med-cpu": 1.0, "low-cpu": 0.5, "arm": 0.7, "edge": 0.3
        },
        "prepare/images": {
            "gpu": 3.0, "high-cpu": 2.0, "med-cpu": 1.0, "low-cpu": 0.5, "arm": 0.8, "edge": 0.3
        },
        "train/cnn": {
            "gpu": 10.0, "high-cpu": 1.8, "med-cpu": 1.0, "low-cpu": 0.4, "arm": 0.5, "edge": 0.1
        },
        "train/nn": {"gpu": 7.0, "high-cpu": 1.7, "med-cpu": 1.0, "low-cpu": 0.4, "arm": 0.5},
        "train/recommender": {
            "gpu": 0.9, "high-cpu": 2.2, "med-cpu": 1.0, "low-cpu": 0.6, "arm": 0.7, "edge": 0.3
        },
        "train/random_forest": {
            "gpu": 0.8, "high-cpu": 2.4, "med-cpu": 1.0, "low-cpu": 0.5, "arm": 0.8, "edge": 0.3
        },
        "evaluate": {
            "gpu": 2.0, "high-cpu": 1.6, "med-cpu": 1.0, "low-cpu": 0.5, "arm": 0.8, "edge": 0.3
        },
    }
)  # fmt: skip
"""Per task class and node class; where a class is absent, the task's memory does not fit.

The names are those that the rules of the `custom` strategy know, so that it is measured at what it was made for.
"""

TRAININGS = tuple(name for name in SPEED if name.startswith("train/"))
IMAGES = {"train/cnn", "train/nn"}


def stream(pipelines: int, seed: int, *, gap: float = 0.0) -> Problem:
    """Pipelines of 3 to 6 tasks (prepare, one to three trainings, their evaluations joined), submitted `gap` s apart.

    Gaps are exponential; 0 submits all at once. Nodes run one task at a time. A node's speed varies by a tenth about that of its class, a task's fit to
    a node by as much again.
    """
    rng = Random(seed)
    nodes = [(NodeName(f"{kind}-{j}"), kind, _about(rng, 0.1)) for j, kind in enumerate(NODES)]
    found, submitted = [], 0.0
    for k in range(pipelines):
        tasks = _pipeline(rng, nodes)
        found.append(ProblemPipeline(name=f"p{k:04}", submitted_at=submitted, tasks=tasks))
        submitted += rng.expovariate(1 / gap) if gap else 0.0
    return Problem(
        nodes=tuple(
            ProblemNode(name=name, node_class=kind, capacity=_capacity(kind), slots=1)
            for name, kind, _ in nodes
        ),
        pipelines=tuple(found),
        links=Links(default_mib_per_s=100.0),
    )


def _capacity(kind: str) -> Resources:
    cores = CORES[kind]
    return Resources(millicores=1000 * cores, memory_mib=4096 * cores, gpus=int(kind == "gpu"))


def _about(rng: Random, spread: float) -> float:
    return exp(rng.gauss(0, spread))


def _pipeline(rng: Random, nodes: list[tuple[NodeName, str, float]]) -> tuple[ProblemTask, ...]:
    """Work in seconds on a medium node: log-normal, some pipelines ten times as long as others."""
    model, size, mib = rng.choice(TRAININGS), _about(rng, 0.7), rng.uniform(10, 500)
    prepare = "prepare/images" if model in IMAGES else "prepare/table"

    def task(name: str, kind: str, *, work: float, after: Mapping[str, float]) -> ProblemTask:
        seconds = {
            node: round(work * size / (SPEED[kind][of] * own * _about(rng, 0.1)), 3)
            for node, of, own in nodes
            if of in SPEED[kind]
        }
        parents = tuple(Dependency(task=parent, mib=round(sent, 1)) for parent, sent in after.items())
        return ProblemTask(name=name, task_class=kind, resources=NEED, seconds=seconds, after=parents)

    trainings = [f"train-{k}" for k in range(rng.randint(1, 3))]
    tasks = [task("load", "prepare/table", work=rng.uniform(2, 6), after={})] if rng.random() < 0.5 else []
    tasks.append(task("prepare", prepare, work=rng.uniform(5, 20), after={t.name: mib for t in tasks}))
    tasks += [task(name, model, work=rng.uniform(20, 120), after={"prepare": mib}) for name in trainings]
    tasks.append(
        task("evaluate", "evaluate", work=rng.uniform(2, 8), after=dict.fromkeys(trainings, mib / 10))
    )
    return tuple(tasks)


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.placement.streams", description=stream.__doc__)
    parser.add_argument("pipelines", type=int)
    parser.add_argument("--gap", type=float, default=0.0, help="mean seconds between submissions; 0: at once")
    parser.add_argument("--error", type=float, default=0.0, help="mean absolute error of the estimates: 0.2")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    truth = stream(options.pipelines, options.seed, gap=options.gap)
    print(json.dumps(document(misjudged(truth, options.error, options.seed)), indent=1))


if __name__ == "__main__":
    main(sys.argv[1:])
