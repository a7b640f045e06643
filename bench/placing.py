"""How the time to place grows with tasks and nodes, for every installed strategy.

The peer is the least that any strategy must do: look at every node for every task with the shared feasibility rule, and take
the first that fits.
"""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from random import Random

from rich.console import Console
from rich.table import Table

from bench.measure import growth, save, seconds
from nodewise.core.feasibility import exclusion
from nodewise.core.model.ids import NodeName, RunId, TaskPath, TaskRef
from nodewise.core.model.node import Cluster, Node, NodeView
from nodewise.core.model.resources import Resources
from nodewise.core.model.task import TaskKind, TaskSpec, WaitingTask
from nodewise.core.plugins import strategies
from nodewise.core.ports import PlacementContext

NOW = datetime(2026, 1, 1, tzinfo=UTC)
SHAPES = ((100, 10), (1000, 10), (10000, 10), (1000, 100), (1000, 1000))
"""(tasks, nodes)"""
KINDS = (TaskKind.PREPROCESSING, TaskKind.TRAINING, TaskKind.EVALUATION)


def problem(tasks: int, nodes: int, seed: int = 1) -> tuple[list[WaitingTask], Cluster]:
    """Tasks of 0.1 to 2 cores on nodes that together have room for about half of them."""
    rng = Random(seed)
    per_node = max(1, tasks // (2 * nodes))
    views = [
        NodeView(
            node=Node(
                name=NodeName(f"n{index:04}"),
                capacity=Resources(millicores=1000 * per_node, memory_mib=1024 * per_node),
                worker_type=rng.choice(("low-cpu", "med-cpu", "high-cpu")),
            )
        )
        for index in range(nodes)
    ]
    waiting = [_task(index, rng) for index in range(tasks)]
    return waiting, Cluster(nodes=tuple(views), taken_at=NOW)


def _task(index: int, rng: Random) -> WaitingTask:
    size = Resources(millicores=rng.choice((100, 500, 1000, 2000)), memory_mib=rng.choice((64, 256, 1024)))
    path = TaskPath(f"t{index}")
    spec = TaskSpec(path=path, component="t", kind=rng.choice(KINDS), resources=size)
    ref = TaskRef(run_id=RunId(f"r{index % 97}"), path=path)
    return WaitingTask(ref=ref, spec=spec, submitted_at=NOW, ready_at=NOW)


def scan(tasks: Sequence[WaitingTask], cluster: Cluster) -> int:
    """The peer: one feasibility look per task and node; books nothing."""
    return sum(1 for task in tasks for view in cluster.nodes if exclusion(task.spec, view, cluster) is None)


def run() -> None:
    problems = {shape: problem(*shape) for shape in SHAPES}
    methods: dict[str, Callable[[Sequence[WaitingTask], Cluster], object]] = {"(scan of all pairs)": scan}
    for name, strategy in strategies().items():
        methods[name] = lambda tasks, cluster, place=strategy.place: place(
            tasks, cluster, PlacementContext(now=NOW, rng=Random(1))
        )
    rows = {name: _times(method, problems) for name, method in methods.items()}
    _show(rows)
    print(f"figures: {save('placing', rows).name}")


def _times(
    method: Callable[[Sequence[WaitingTask], Cluster], object],
    problems: dict[tuple[int, int], tuple[list[WaitingTask], Cluster]],
) -> dict[str, float]:
    found = {shape: seconds(lambda p=p: method(*p), repeats=1) for shape, p in problems.items()}
    by_tasks = [shape for shape in SHAPES if shape[1] == 10]
    by_nodes = [shape for shape in SHAPES if shape[0] == 1000]
    figures = {f"{tasks} x {nodes}": round(found[tasks, nodes], 4) for tasks, nodes in SHAPES}
    figures["growth with tasks"] = round(growth([t for t, _ in by_tasks], [found[s] for s in by_tasks]), 2)
    figures["growth with nodes"] = round(growth([n for _, n in by_nodes], [found[s] for s in by_nodes]), 2)
    return figures


def _show(rows: dict[str, dict[str, float]]) -> None:
    table = Table(title="Seconds to place (tasks x nodes); growth: exponent, 1 is linear")
    table.add_column("strategy")
    for heading in next(iter(rows.values())):
        table.add_column(heading, justify="right")
    for name, figures in rows.items():
        table.add_row(name, *(f"{value:g}" for value in figures.values()))
    Console(width=140).print(table)
