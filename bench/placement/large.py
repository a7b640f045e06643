"""Problems of any size, cheap to make: pipelines of ten tasks of some dozen classes."""

from random import Random

from nodewise.core.model.ids import NodeName
from nodewise.core.model.problem import Dependency, Problem, ProblemNode, ProblemPipeline, ProblemTask
from nodewise.core.model.resources import Resources

CLASSES = 40
TASKS_PER_PIPELINE = 10
_CAPACITY = Resources(millicores=8000, memory_mib=16384)


def large_problem(tasks: int, nodes: int, seed: int = 0) -> Problem:
    """`tasks` tasks, each after one or two earlier ones of its pipeline, on unrelated nodes that run one at a time.

    Tasks of a class share their run times, as learned ones are shared.
    """
    rng = Random(seed)
    names = [NodeName(f"n{j:04}") for j in range(nodes)]
    rows = [{name: rng.uniform(1, 20) for name in names} for _ in range(CLASSES)]

    def task(k: int) -> ProblemTask:
        chosen = rng.randrange(CLASSES)
        parents = sorted(rng.sample(range(k), min(k, rng.randint(1, 2))))
        return ProblemTask(
            name=f"t{k}",
            task_class=f"c{chosen}",
            seconds=rows[chosen],
            after=tuple(Dependency(task=f"t{p}", mib=rng.uniform(0, 200)) for p in parents),
        )

    pipelines: list[ProblemPipeline] = []
    left = tasks
    while left:
        size = min(left, TASKS_PER_PIPELINE)
        pipelines.append(ProblemPipeline(name=f"p{len(pipelines)}", tasks=tuple(map(task, range(size)))))
        left -= size
    return Problem(
        nodes=tuple(ProblemNode(name=name, capacity=_CAPACITY, slots=1) for name in names),
        pipelines=tuple(pipelines),
    )
