"""Streams of ML pipelines on ten unrelated nodes.

How much faster a node class is depends on the task: accelerators help image models tenfold, recommendation hardly, and
slow down what is made of trees. The spread is that of the published throughputs of Gavel (Narayanan et al., OSDI 2020:
V100 against K80 between 0.7 and 11.6 by model); the figures themselves are ours, relative to a medium node.
"""

from collections.abc import Mapping
from math import exp
from random import Random
from types import MappingProxyType

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

NODES = ("gpu", "gpu", "hcpu", "hcpu", "hcpu", "med", "med", "low", "arm", "edge")
CAPACITY = Resources(millicores=8000, memory_mib=32768)

SPEED: Mapping[str, Mapping[str, float]] = MappingProxyType(
    {
        "prepare/table": {"gpu": 1.6, "hcpu": 2.0, "med": 1.0, "low": 0.5, "arm": 0.7, "edge": 0.3},
        "prepare/images": {"gpu": 3.0, "hcpu": 2.0, "med": 1.0, "low": 0.5, "arm": 0.8, "edge": 0.3},
        "train/cnn": {"gpu": 10.0, "hcpu": 1.8, "med": 1.0, "low": 0.4, "arm": 0.5, "edge": 0.1},
        "train/transformer": {"gpu": 7.0, "hcpu": 1.7, "med": 1.0, "low": 0.4, "arm": 0.5},
        "train/recommender": {"gpu": 0.9, "hcpu": 2.2, "med": 1.0, "low": 0.6, "arm": 0.7, "edge": 0.3},
        "train/trees": {"gpu": 0.8, "hcpu": 2.4, "med": 1.0, "low": 0.5, "arm": 0.8, "edge": 0.3},
        "evaluate": {"gpu": 2.0, "hcpu": 1.6, "med": 1.0, "low": 0.5, "arm": 0.8, "edge": 0.3},
    }
)
"""Per task class and node class; where a class is absent, the task's memory does not fit."""

TRAININGS = tuple(name for name in SPEED if name.startswith("train/"))
IMAGES = {"train/cnn", "train/transformer"}


def stream(pipelines: int, seed: int, *, gap: float = 0.0) -> Problem:
    """Pipelines of 3 to 6 tasks (prepare, one to three trainings, their evaluations joined), submitted `gap` s apart.

    Gaps are exponential; 0 submits all at once. A node's speed varies by a tenth about that of its class, a task's fit to
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
            ProblemNode(name=name, node_class=kind, capacity=CAPACITY, slots=1) for name, kind, _ in nodes
        ),
        pipelines=tuple(found),
        links=Links(default_mib_per_s=100.0),
    )


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
        return ProblemTask(name=name, task_class=kind, seconds=seconds, after=parents)

    trainings = [f"train-{k}" for k in range(rng.randint(1, 3))]
    tasks = [task("load", "prepare/table", work=rng.uniform(2, 6), after={})] if rng.random() < 0.5 else []
    tasks.append(task("prepare", prepare, work=rng.uniform(5, 20), after={t.name: mib for t in tasks}))
    tasks += [task(name, model, work=rng.uniform(20, 120), after={"prepare": mib}) for name in trainings]
    tasks.append(
        task("evaluate", "evaluate", work=rng.uniform(2, 8), after=dict.fromkeys(trainings, mib / 10))
    )
    return tuple(tasks)
