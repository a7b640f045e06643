"""Problems for the planners, made by hand and by Hypothesis, and a plain check of what they answer."""

from collections.abc import Mapping, Sequence
from random import Random

from hypothesis import strategies as st

from nodewise.core.model.ids import NodeName
from nodewise.core.model.problem import (
    Assignment,
    Dependency,
    Links,
    Objective,
    PlanningContext,
    Problem,
    ProblemNode,
    ProblemPipeline,
    ProblemTask,
    Schedule,
    TaskId,
)
from nodewise.core.model.resources import Resources

TOLERANCE = 1e-6
ROOMY = Resources(millicores=8000, memory_mib=16384, gpus=1)


def node(name: str, *, slots: int | None = 1, capacity: Resources = ROOMY) -> ProblemNode:
    return ProblemNode(name=NodeName(name), capacity=capacity, slots=slots)


def task(name: str, seconds: Mapping[str, float], after: Mapping[str, float] | None = None) -> ProblemTask:
    return ProblemTask(
        name=name,
        seconds={NodeName(n): s for n, s in seconds.items()},
        after=tuple(Dependency(task=t, mib=mib) for t, mib in (after or {}).items()),
    )


def table(costs: Mapping[str, Sequence[float]], edges: Mapping[tuple[str, str], float]) -> Problem:
    """One pipeline as papers print it: run times per processor, and transfer times (at a rate of 1) per edge."""
    names = [f"p{j + 1}" for j in range(len(next(iter(costs.values()))))]
    tasks = tuple(
        task(name, dict(zip(names, row, strict=True)), {a: mib for (a, b), mib in edges.items() if b == name})
        for name, row in costs.items()
    )
    return Problem(
        nodes=tuple(node(name) for name in names),
        pipelines=(ProblemPipeline(name="paper", tasks=tasks),),
        links=Links(default_mib_per_s=1.0),
    )


def pipelines_of(*chains: Sequence[Mapping[str, float]]) -> tuple[ProblemPipeline, ...]:
    """A pipeline per chain of run times, its tasks one after another without data."""
    return tuple(
        ProblemPipeline(
            name=f"p{k}",
            tasks=tuple(task(f"t{i}", s, {f"t{i - 1}": 0.0} if i else {}) for i, s in enumerate(chain)),
        )
        for k, chain in enumerate(chains)
    )


def context(objective: Objective = Objective.BALANCED, seed: int = 0) -> PlanningContext:
    return PlanningContext(rng=Random(seed), objective=objective)


def spans(schedule: Schedule) -> dict[str, tuple[str, float, float]]:
    return {i.task: (a.node, a.start, a.end) for i, a in schedule.assignments.items()}


def faults(problem: Problem, schedule: Schedule) -> list[str]:
    """Every rule that a schedule breaks, in words."""
    tasks = {TaskId(pipeline=p.name, task=t.name): (p, t) for p in problem.pipelines for t in p.tasks}
    found = []
    if set(schedule.assignments) != set(tasks) | set(problem.fixed):
        found.append("not every task once")
    found += [f"{i} is fixed" for i, a in problem.fixed.items() if schedule.assignments.get(i) != a]
    for task_id, placed in schedule.assignments.items():
        if task_id not in problem.fixed:
            found += _task_faults(problem, schedule, placed, tasks[task_id])
    return found + _capacity_faults(problem, schedule, tasks)


def _task_faults(
    problem: Problem, schedule: Schedule, placed: Assignment, known: tuple[ProblemPipeline, ProblemTask]
) -> list[str]:
    pipeline, wanted = known
    found = []
    room = {n.name: n.capacity for n in problem.nodes}
    if placed.node not in wanted.seconds or not wanted.resources.fits_in(room[placed.node]):
        return [f"{placed.id} cannot run on {placed.node}"]
    if abs(placed.end - placed.start - wanted.seconds[placed.node]) > TOLERANCE:
        found.append(f"{placed.id} has another run time")
    if placed.start < max(problem.now, pipeline.submitted_at) - TOLERANCE:
        found.append(f"{placed.id} starts too soon")
    for edge in wanted.after:
        parent = schedule.assignments[TaskId(pipeline=pipeline.name, task=edge.task)]
        arrival = parent.end + problem.links.seconds(edge.mib, parent.node, placed.node)
        if placed.start < arrival - TOLERANCE:
            found.append(f"{placed.id} starts before {edge.task} has arrived")
    return found


def _capacity_faults(
    problem: Problem, schedule: Schedule, tasks: Mapping[TaskId, tuple[ProblemPipeline, ProblemTask]]
) -> list[str]:
    """At the start of every new task its node must have room for all that runs then."""
    found = []
    nodes = {n.name: n for n in problem.nodes}
    for placed in schedule.assignments.values():
        if placed.id in problem.fixed:
            continue
        running = [
            a.id
            for a in schedule.assignments.values()
            if a.node == placed.node and a.start <= placed.start + TOLERANCE < a.end - TOLERANCE
        ]
        used = sum((tasks[i][1].resources for i in running), Resources())
        host = nodes[placed.node]
        if running and not used.fits_in(host.capacity):
            found.append(f"{host.name} is too small at {placed.start}")
        if host.slots is not None and len(running) > host.slots:
            found.append(f"{host.name} has too few slots at {placed.start}")
    return found


_amounts = st.builds(
    Resources,
    millicores=st.sampled_from((0, 500, 1000, 2000)),
    memory_mib=st.sampled_from((0, 512, 2048)),
    gpus=st.sampled_from((0, 0, 0, 1)),
)
_seconds = st.one_of(st.integers(1, 9).map(float), st.floats(0.1, 30.0))


@st.composite
def problems(draw: st.DrawFn, max_pipelines: int = 4, max_tasks: int = 5) -> Problem:
    """Small problems with everything that the format knows: slots, resources, releases, transfers, fixed tasks."""
    names = [NodeName(f"n{j}") for j in range(draw(st.integers(1, 4)))]
    nodes = tuple(
        node(
            name,
            slots=draw(st.sampled_from((1, 1, 2, None))),
            capacity=Resources(
                millicores=draw(st.sampled_from((1000, 4000))),
                memory_mib=draw(st.sampled_from((1024, 8192))),
                gpus=draw(st.integers(0, 2)),
            ),
        )
        for name in names
    )
    pairs = {
        (a, b): draw(st.floats(0.5, 200.0)) for a in names for b in names if a < b and draw(st.booleans())
    }
    pipelines = tuple(
        ProblemPipeline(
            name=f"p{k}",
            submitted_at=draw(st.sampled_from((0.0, 0.0, 3.0, 40.0))),
            tasks=tuple(_task(draw, i, names) for i in range(draw(st.integers(0, max_tasks)))),
        )
        for k in range(draw(st.integers(1, max_pipelines)))
    )
    now = draw(st.sampled_from((0.0, 0.0, 10.0)))
    problem = Problem(nodes=nodes, pipelines=pipelines, links=Links(pairs=pairs), now=now)
    return _with_fixed(draw, problem) if now else problem


def _task(draw: st.DrawFn, number: int, names: Sequence[NodeName]) -> ProblemTask:
    able = draw(st.lists(st.sampled_from(names), min_size=1, unique=True))
    parents = draw(st.lists(st.integers(0, number - 1), max_size=3, unique=True)) if number else []
    return ProblemTask(
        name=f"t{number}",
        resources=draw(_amounts),
        seconds={name: draw(_seconds) for name in able},
        after=tuple(Dependency(task=f"t{k}", mib=draw(st.sampled_from((0.0, 5.0, 300.0)))) for k in parents),
    )


def _with_fixed(draw: st.DrawFn, problem: Problem) -> Problem:
    """The first tasks of some pipelines have run or run now, one after another on a node, perhaps one that is gone."""
    fixed: dict[TaskId, Assignment] = {}
    for pipeline in problem.pipelines:
        where = draw(st.sampled_from([n.name for n in problem.nodes] + [NodeName("gone")]))
        for k, first in enumerate(pipeline.tasks[: draw(st.integers(0, 2))]):
            task_id = TaskId(pipeline=pipeline.name, task=first.name)
            start = 4.0 * k
            fixed[task_id] = Assignment(
                id=task_id, node=where, start=start, end=start + draw(st.floats(0.5, 8.0))
            )
    return Problem(
        nodes=problem.nodes, pipelines=problem.pipelines, links=problem.links, fixed=fixed, now=problem.now
    )
