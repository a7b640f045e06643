"""Small random DAGs on unrelated nodes, every figure drawn on its own."""

from random import Random

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

CAPACITY = Resources(millicores=4000, memory_mib=8192)


def random_dag(seed: int) -> Problem:
    """6 to 14 tasks on 3 or 4 nodes that run one task at a time.

    Run times are uniform on 1 to 20 s per task and node. Each pair of tasks is an edge with the probability that makes
    two parents per task on average; an edge carries 0 to 1,000 MiB over links of 100 MiB/s, so that moving data takes
    about half as long as running a task.
    """
    rng = Random(seed)
    names = [NodeName(f"n{j}") for j in range(rng.randint(3, 4))]
    count = rng.randint(6, 14)
    chance = min(1.0, 4 / (count - 1))
    tasks = []
    for k in range(count):
        parents = [p for p in range(k) if rng.random() < chance]
        tasks.append(
            ProblemTask(
                name=f"t{k:02}",
                seconds={name: round(rng.uniform(1, 20), 2) for name in names},
                after=tuple(Dependency(task=f"t{p:02}", mib=round(rng.uniform(0, 1000), 1)) for p in parents),
            )
        )
    return Problem(
        nodes=tuple(ProblemNode(name=name, capacity=CAPACITY, slots=1) for name in names),
        pipelines=(ProblemPipeline(name="dag", tasks=tuple(tasks)),),
        links=Links(default_mib_per_s=100.0),
    )
