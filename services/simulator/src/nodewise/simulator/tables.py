"""A problem with numbers instead of names: what the engine looks up millions of times."""

from dataclasses import dataclass

from nodewise.core.model.ids import NodeName
from nodewise.core.model.problem import Problem, ProblemNode, ProblemPipeline, ProblemTask, TaskId
from nodewise.core.model.resources import Resources


@dataclass(frozen=True, slots=True, kw_only=True)
class Tables:
    """Tasks are numbered along the pipelines, nodes along their names.

    `seconds[task]` and `allowed[task]` name only nodes that have a run time of the task and are large enough for it.
    `parents[task]` are (task, MiB from it). `rates` are MiB per second by (lower node, higher node).
    """

    nodes: tuple[ProblemNode, ...]
    ids: list[TaskId]
    tasks: list[ProblemTask]
    pipelines: list[ProblemPipeline]
    pipeline_of: list[int]
    seconds: list[dict[int, float]]
    allowed: list[tuple[int, ...]]
    parents: list[list[tuple[int, float]]]
    children: list[list[int]]
    default_rate: float
    rates: dict[tuple[int, int], float]

    def transfer_seconds(self, mib: float, source: int, target: int) -> float:
        """How long `mib` take between two nodes; on one node nothing."""
        if source == target or mib == 0:
            return 0.0
        pair = (source, target) if source < target else (target, source)
        return mib / self.rates.get(pair, self.default_rate)

    def needs(self, task: int) -> Resources:
        return self.tasks[task].resources


def tables_of(problem: Problem) -> Tables:
    """The numbers of a problem. O(tasks x nodes + dependencies)."""
    nodes = tuple(sorted(problem.nodes, key=lambda node: node.name))
    number = {node.name: i for i, node in enumerate(nodes)}
    owners = [(i, task) for i, pipeline in enumerate(problem.pipelines) for task in pipeline.tasks]
    tasks = [task for _, task in owners]
    seconds = [_seconds(task, nodes, number) for task in tasks]
    parents = _parents(problem)
    rates = {(number[a], number[b]): rate for (a, b), rate in problem.links.pairs.items()}
    return Tables(
        nodes=nodes,
        ids=[TaskId(pipeline=problem.pipelines[i].name, task=task.name) for i, task in owners],
        tasks=tasks,
        pipelines=list(problem.pipelines),
        pipeline_of=[i for i, _ in owners],
        seconds=seconds,
        allowed=[tuple(sorted(known)) for known in seconds],
        parents=parents,
        children=_children(parents),
        default_rate=problem.links.default_mib_per_s,
        rates={(min(pair), max(pair)): rate for pair, rate in rates.items()},
    )


def _seconds(
    task: ProblemTask, nodes: tuple[ProblemNode, ...], number: dict[NodeName, int]
) -> dict[int, float]:
    numbered = ((number[name], seconds) for name, seconds in task.seconds.items())
    return {node: seconds for node, seconds in numbered if task.resources.fits_in(nodes[node].capacity)}


def _parents(problem: Problem) -> list[list[tuple[int, float]]]:
    parents: list[list[tuple[int, float]]] = []
    for pipeline in problem.pipelines:
        first = len(parents)
        number = {task.name: first + i for i, task in enumerate(pipeline.tasks)}
        parents += [[(number[item.task], item.mib) for item in task.after] for task in pipeline.tasks]
    return parents


def _children(parents: list[list[tuple[int, float]]]) -> list[list[int]]:
    children: list[list[int]] = [[] for _ in parents]
    for task, items in enumerate(parents):
        for parent, _ in items:
            children[parent].append(task)
    return children
