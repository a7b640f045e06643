"""A problem in the form the planners work on: integers for tasks and nodes, plain lists of floats for the rest."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import inf

from nodewise.core.errors import Unplannable
from nodewise.core.model.ids import NodeName
from nodewise.core.model.problem import Held, Links, Problem, ProblemNode, ProblemTask, TaskId
from nodewise.core.model.resources import Resources
from nodewise.planning.timeline import Booking, Demand, Timeline, timeline

Edge = tuple[int, float]
"""The task at the other end, and the MiB that pass."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """The nodes of a problem as they are before anything is planned. Several instances may stand on one.

    Attributes:
        names: Every node; those that are gone, but hold the data of fixed tasks, come last.
        rates: MiB per second from each node to each; infinite on the diagonal.
        mean_seconds_per_mib: Mean over all pairs of different nodes.
        bookings: What fixed tasks hold, those that are no task of the problem included, and what is held otherwise.
        room: What is left beside the bookings, a timeline per node. Whoever plans takes copies.
    """

    names: dict[NodeName, int]
    rates: list[list[float]]
    mean_seconds_per_mib: float
    bookings: list[Booking]
    room: list[Timeline]


@dataclass(frozen=True, slots=True, kw_only=True)
class Instance:
    """The index form of a `Problem`. Shared by all planners, never changed.

    Task i is `ids[i]`; node j is `problem.nodes[j]`. Nodes that only hold the data of fixed tasks come after those.

    Attributes:
        seconds: Run time of each task on each node, infinite where it cannot run.
        choices: The nodes that can run each task, the fastest first, then the lower index.
        mean_seconds: Mean run time over `choices` (0 for fixed tasks).
        parents: Per task, with the data that comes from each.
        children: Per task, with the data that goes to each.
        rates: MiB per second from each node to each; infinite on the diagonal.
        mean_seconds_per_mib: Mean over all pairs of different nodes.
        release: Before this time a task may not start.
        pipeline_of: Index of each task's pipeline.
        fixed: Assignments by task index.
        bookings: See `Ground`.
        room: See `Ground`.
        free: Tasks to be planned, parents before children.
    """

    problem: Problem
    ids: tuple[TaskId, ...]
    seconds: list[list[float]]
    choices: list[list[int]]
    mean_seconds: list[float]
    parents: list[list[Edge]]
    children: list[list[Edge]]
    rates: list[list[float]]
    mean_seconds_per_mib: float
    release: list[float]
    pipeline_of: list[int]
    demand: list[Demand]
    fixed: dict[int, tuple[int, float, float]]
    bookings: list[Booking]
    room: list[Timeline]
    free: list[int]


def ground(problem: Problem) -> Ground:
    """The nodes of a problem with what is fixed and held on them; O(tasks + bookings log bookings + nodes squared)."""
    names = _node_names(problem)
    rates = _rates(names, problem.links)
    bookings = _bookings(problem)
    held: list[list[Booking]] = [[] for _ in problem.nodes]
    for booking in bookings:
        held[booking.node].append(booking)
    return Ground(
        names=names,
        rates=rates,
        mean_seconds_per_mib=_mean_inverse(rates, len(problem.nodes)),
        bookings=bookings,
        room=[timeline(node, held[j]) for j, node in enumerate(problem.nodes)],
    )


def index(problem: Problem, on: Ground | None = None) -> Instance:
    """The index form of a problem; O(tasks x nodes log nodes + edges), and what `ground` costs where it is not given.

    Args:
        problem: What is to be planned.
        on: The ground of a larger problem with the same nodes, of which this one is a part; its bookings count, and
            not those of `problem`.

    Raises:
        Unplannable: Some task that is not fixed can run on no node; carries the tasks.
        ValueError: Tasks depend on each other in a circle, or on a task that is not there.
    """
    tasks = [(TaskId(pipeline=p.name, task=t.name), t) for p in problem.pipelines for t in p.tasks]
    ids = tuple(task_id for task_id, _ in tasks)
    places = {task_id: i for i, task_id in enumerate(ids)}
    on = on or ground(problem)
    parents, children = _edges(tasks, places)
    seconds, choices, means = _run_times(tasks, problem)
    return Instance(
        problem=problem,
        ids=ids,
        seconds=seconds,
        choices=choices,
        mean_seconds=means,
        parents=parents,
        children=children,
        rates=on.rates,
        mean_seconds_per_mib=on.mean_seconds_per_mib,
        release=[max(problem.now, p.submitted_at, t.not_before) for p in problem.pipelines for t in p.tasks],
        pipeline_of=[k for k, p in enumerate(problem.pipelines) for _ in p.tasks],
        demand=[_demand(task.resources) for _, task in tasks],
        fixed={
            places[i]: (on.names[a.node], a.start, a.end) for i, a in problem.fixed.items() if i in places
        },
        bookings=on.bookings,
        room=on.room,
        free=_topological(ids, parents, {places[i] for i in problem.fixed if i in places}),
    )


def _demand(resources: Resources) -> Demand:
    return (resources.millicores, resources.memory_mib, resources.gpus)


def _node_names(problem: Problem) -> dict[NodeName, int]:
    """Every node by name; nodes that are gone, but hold data of fixed tasks, come last."""
    names = {node.name: j for j, node in enumerate(problem.nodes)}
    gone = sorted({a.node for a in problem.fixed.values() if a.node not in names})
    return names | {name: len(names) + k for k, name in enumerate(gone)}


def _edges(
    tasks: Sequence[tuple[TaskId, ProblemTask]], places: Mapping[TaskId, int]
) -> tuple[list[list[Edge]], list[list[Edge]]]:
    parents: list[list[Edge]] = [[] for _ in tasks]
    children: list[list[Edge]] = [[] for _ in tasks]
    for i, (task_id, task) in enumerate(tasks):
        for dependency in task.after:
            parent = places.get(TaskId(pipeline=task_id.pipeline, task=dependency.task))
            if parent is None:
                raise ValueError(f"{task_id.pipeline}/{task_id.task} waits for unknown {dependency.task!r}")
            parents[i].append((parent, dependency.mib))
            children[parent].append((i, dependency.mib))
    return parents, children


def _run_times(
    tasks: Sequence[tuple[TaskId, ProblemTask]], problem: Problem
) -> tuple[list[list[float]], list[list[int]], list[float]]:
    """Rows of tasks that share one mapping of run times and one demand are made once."""
    known: dict[tuple[int, Resources], tuple[list[float], list[int], float]] = {}
    fitting: dict[Resources, list[tuple[int, NodeName]]] = {}
    rows = []
    for _, task in tasks:
        key = (id(task.seconds), task.resources)
        if key not in known:
            if task.resources not in fitting:
                fitting[task.resources] = _fitting(task.resources, problem.nodes)
            known[key] = _row(task.seconds, fitting[task.resources], len(problem.nodes))
        rows.append(known[key])
    stuck = [
        f"{task_id.pipeline}/{task_id.task}"
        for (task_id, _), (_, choice, _) in zip(tasks, rows, strict=True)
        if not choice and task_id not in problem.fixed
    ]
    if stuck:
        raise Unplannable(stuck)
    return [row for row, _, _ in rows], [choice for _, choice, _ in rows], [mean for _, _, mean in rows]


def _fitting(resources: Resources, nodes: Sequence[ProblemNode]) -> list[tuple[int, NodeName]]:
    return [(j, node.name) for j, node in enumerate(nodes) if resources.fits_in(node.capacity)]


def _row(
    seconds: Mapping[NodeName, float], fitting: Sequence[tuple[int, NodeName]], nodes: int
) -> tuple[list[float], list[int], float]:
    row = [inf] * nodes
    for j, name in fitting:
        row[j] = seconds.get(name, inf)
    able = row if len(fitting) == nodes else [row[j] for j, _ in fitting]
    choices = sorted((j for j, _ in fitting), key=row.__getitem__)
    if inf in able:
        choices = [j for j in choices if row[j] < inf]
        able = [row[j] for j in choices]
    return row, choices, sum(able) / len(able) if able else 0.0


def _rates(names: Mapping[NodeName, int], links: Links) -> list[list[float]]:
    rates = [[links.default_mib_per_s] * len(names) for _ in names]
    for (a, b), rate in links.pairs.items():
        if a in names and b in names:
            rates[names[a]][names[b]] = rates[names[b]][names[a]] = rate
    for j, row in enumerate(rates):
        row[j] = inf
    return rates


def _mean_inverse(rates: Sequence[Sequence[float]], nodes: int) -> float:
    if nodes < 2:
        return 0.0
    return sum(1.0 / rate for row in rates[:nodes] for rate in row[:nodes]) / (nodes * (nodes - 1))


def _bookings(problem: Problem) -> list[Booking]:
    """Of something fixed that is no task of the problem only the slot is known."""
    needs = _needs_of_fixed(problem) if problem.fixed else {}
    taken = [
        Held(node=at.node, resources=needs.get(task_id, Resources()), start=at.start, end=at.end)
        for task_id, at in problem.fixed.items()
    ]
    places = {node.name: j for j, node in enumerate(problem.nodes)}
    return [
        Booking(node=places[held.node], start=held.start, end=held.end, demand=_demand(held.resources))
        for held in (*taken, *problem.held)
        if held.node in places
    ]


def _needs_of_fixed(problem: Problem) -> dict[TaskId, Resources]:
    tasks = ((TaskId(pipeline=p.name, task=t.name), t) for p in problem.pipelines for t in p.tasks)
    return {task_id: task.resources for task_id, task in tasks if task_id in problem.fixed}


def _topological(ids: Sequence[TaskId], parents: Sequence[Sequence[Edge]], fixed: set[int]) -> list[int]:
    """Free tasks, parents first, otherwise as they came (Kahn, 1962)."""
    missing = [sum(1 for p, _ in edges if p not in fixed) for edges in parents]
    children: list[list[int]] = [[] for _ in ids]
    for child, edges in enumerate(parents):
        for parent, _ in edges:
            children[parent].append(child)
    order = [i for i in range(len(ids)) if i not in fixed and not missing[i]]
    for task in order:
        for child in children[task]:
            missing[child] -= 1
            if not missing[child] and child not in fixed:
                order.append(child)
    if len(order) + len(fixed) < len(ids):
        stuck = min(ids[i] for i in range(len(ids)) if missing[i] and i not in fixed)
        raise ValueError(f"tasks depend on each other in a circle: {stuck.pipeline}/{stuck.task}")
    return order
