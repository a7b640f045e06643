"""Workflows of the WfCommons recipes on unrelated nodes."""

from collections.abc import Mapping, Sequence
from math import exp
from random import Random
from typing import Any

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

CAPACITY = Resources(millicores=8000, memory_mib=16384)
LEAST_SECONDS = 0.001
"""Some recipes know tasks that take no time."""


def workflow_problem(workflow: Mapping[str, Any], nodes: int, *, ratio: float, seed: int) -> Problem:
    """One workflow on nodes that run one task at a time.

    How well a task type suits a node is log-normal (sigma 0.6) and drawn for each pair: no node is faster as such. Each
    task differs from its type by a tenth. Links are as fast as makes a transfer take `ratio` times as long as a task, on
    average over edges and tasks.
    """
    rng = Random(f"{workflow['recipe']} {workflow['asked']} {nodes} {seed}")
    names = [NodeName(f"n{j:02}") for j in range(nodes)]
    kinds = sorted({task["type"] for task in workflow["tasks"]})
    suits = {kind: {name: exp(rng.gauss(0, 0.6)) for name in names} for kind in kinds}
    parents: dict[int, list[tuple[int, float]]] = {}
    for source, target, mib in workflow["edges"]:
        parents.setdefault(target, []).append((source, mib))
    tasks = tuple(
        ProblemTask(
            name=f"t{k:04}",
            task_class=task["type"],
            seconds={
                name: max(LEAST_SECONDS, task["seconds"]) * suits[task["type"]][name] * exp(rng.gauss(0, 0.1))
                for name in names
            },
            after=tuple(Dependency(task=f"t{p:04}", mib=mib) for p, mib in parents.get(k, ())),
        )
        for k, task in enumerate(workflow["tasks"])
    )
    return Problem(
        nodes=tuple(ProblemNode(name=name, capacity=CAPACITY, slots=1) for name in names),
        pipelines=(ProblemPipeline(name=str(workflow["recipe"]), tasks=tasks),),
        links=Links(default_mib_per_s=link_rate(tasks, ratio)),
    )


def link_rate(tasks: Sequence[ProblemTask], ratio: float) -> float:
    """MiB per second at which the mean transfer takes `ratio` times the mean run time."""
    sent = [parent.mib for task in tasks for parent in task.after]
    if not any(sent):
        return 100.0
    seconds = [one for task in tasks for one in task.seconds.values()]
    return (sum(sent) / len(sent)) / (ratio * sum(seconds) / len(seconds))
