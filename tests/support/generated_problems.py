"""Planning problems of every kind that the contract allows, small enough to be solved exactly."""

from collections.abc import Callable
from dataclasses import replace
from math import inf
from typing import Any

from hypothesis import strategies as st

from nodewise.core.model.ids import NodeName
from nodewise.core.model.problem import (
    Assignment,
    Dependency,
    Held,
    Links,
    Problem,
    ProblemNode,
    ProblemPipeline,
    ProblemTask,
    TaskId,
)
from nodewise.core.model.resources import Resources

Draw = Callable[[st.SearchStrategy[Any]], Any]

SECONDS = st.one_of(st.integers(0, 9).map(float), st.floats(0.01, 9.0))
MIB = st.one_of(st.just(0.0), st.integers(0, 300).map(float), st.floats(0.0, 300.0))
RATES = st.sampled_from([10.0, 30.0, 100.0, 1e6])
CAPACITY = Resources(millicores=4000, memory_mib=1000, gpus=1)


def tasks(draw: Draw, names: list[NodeName], count: int, *, least_nodes: int = 1) -> tuple[ProblemTask, ...]:
    """Each after at most two of those before it, and with at least so many nodes that can run it."""
    found: list[ProblemTask] = []
    for k in range(count):
        able = draw(st.lists(st.sampled_from(names), min_size=least_nodes, unique=True))
        parents = draw(st.lists(st.integers(0, k - 1), max_size=2, unique=True)) if k else []
        found.append(
            ProblemTask(
                name=f"t{k}",
                resources=Resources(
                    millicores=draw(st.sampled_from([0, 1000, 3000])),
                    memory_mib=draw(st.sampled_from([0, 400, 1000])),
                    gpus=draw(st.sampled_from([0, 0, 1])),
                ),
                seconds={name: draw(SECONDS) for name in able},
                after=tuple(Dependency(task=f"t{parent}", mib=draw(MIB)) for parent in parents),
                not_before=draw(st.sampled_from([-inf, -inf, -inf, 2.0, 6.5])),
            )
        )
    return tuple(found)


def fixed_tasks(
    draw: Draw, pipelines: list[ProblemPipeline], names: list[NodeName], now: float
) -> dict[TaskId, Assignment]:
    """Some first tasks that ran or run, perhaps on a node that is gone, perhaps more than fit."""
    found = {}
    for pipeline in pipelines:
        if pipeline.submitted_at <= now and draw(st.booleans()):
            id = TaskId(pipeline=pipeline.name, task="t0")
            start = max(pipeline.submitted_at, now - draw(st.integers(0, 4)))
            end = start + draw(st.integers(0, 6))
            node = draw(st.sampled_from([*names, NodeName("gone")]))
            found[id] = Assignment(id=id, node=node, start=start, end=end)
    return found


def held(draw: Draw, names: list[NodeName], now: float) -> tuple[Held, ...]:
    """Room that others have: now, soon, or on a node that is gone; perhaps more than there is."""

    def one() -> Held:
        start = now + draw(st.sampled_from([-2.0, 0.0, 1.5]))
        return Held(
            node=draw(st.sampled_from([*names, NodeName("gone")])),
            resources=Resources(
                millicores=draw(st.sampled_from([0, 2000, 4000])), memory_mib=draw(st.sampled_from([0, 500]))
            ),
            start=start,
            end=start + draw(st.sampled_from([0.0, 1.0, 4.0])),
        )

    return tuple(one() for _ in range(draw(st.sampled_from([0, 0, 1, 2]))))


@st.composite
def problems(draw: Draw, *, most_tasks: int = 6, most_nodes: int = 3) -> Problem:
    """All tasks can run somewhere."""
    names = [NodeName(f"n{j}") for j in range(draw(st.integers(1, most_nodes)))]
    left, pipelines = draw(st.integers(1, most_tasks)), list[ProblemPipeline]()
    while left:
        count = draw(st.integers(1, left))
        submitted, made = float(draw(st.integers(0, 5))), tasks(draw, names, count)
        pipelines.append(ProblemPipeline(name=f"p{left}", submitted_at=submitted, tasks=made))
        left -= count
    return posed(draw, names, pipelines)


@st.composite
def any_problems(draw: Draw, *, most_tasks: int = 6, most_nodes: int = 3) -> Problem:
    """The same, and those without tasks, without nodes, with tasks that no node can run or has the room for."""
    problem: Problem = draw(problems(most_tasks=most_tasks, most_nodes=most_nodes))
    names = [node.name for node in problem.nodes]
    match draw(
        st.sampled_from(["as it is"] * 5 + ["no task", "no node", "empty pipeline", "stuck", "too large"])
    ):
        case "no task":
            return replace(problem, pipelines=(), fixed={})
        case "no node":
            return replace(problem, nodes=())
        case "empty pipeline":
            return replace(problem, pipelines=(ProblemPipeline(name="empty", tasks=()), *problem.pipelines))
        case "stuck":
            stuck = ProblemPipeline(name="stuck", tasks=tasks(draw, names, 2, least_nodes=0))
            return replace(problem, pipelines=(*problem.pipelines, stuck))
        case "too large":
            (task,) = tasks(draw, names, 1)
            large = replace(task, resources=replace(CAPACITY, gpus=CAPACITY.gpus + 1))
            late = ProblemPipeline(name="large", submitted_at=3.0, tasks=(large,))
            return replace(problem, pipelines=(*problem.pipelines, late))
    return problem


def posed(draw: Draw, names: list[NodeName], pipelines: list[ProblemPipeline]) -> Problem:
    """A problem of these pipelines, on nodes and links of every kind, with something fixed or held perhaps."""
    nodes = [
        ProblemNode(name=name, capacity=CAPACITY, slots=draw(st.sampled_from([1, 1, 2, None])))
        for name in names
    ]
    now = float(draw(st.sampled_from([0, 0, 3])))
    pairs = {(a, b): draw(RATES) for a in names for b in names if a < b and draw(st.booleans())}
    return Problem(
        nodes=tuple(nodes),
        pipelines=tuple(pipelines),
        links=Links(default_mib_per_s=draw(RATES), pairs=pairs),
        fixed=fixed_tasks(draw, pipelines, names, now),
        held=held(draw, names, now),
        now=now,
    )
