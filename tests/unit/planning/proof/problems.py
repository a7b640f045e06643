"""Short ways to write small planning problems and schedules."""

from collections.abc import Mapping, Sequence

from nodewise.core.model.ids import NodeName
from nodewise.core.model.problem import (
    Assignment,
    Dependency,
    Held,
    ProblemNode,
    ProblemPipeline,
    ProblemTask,
    Schedule,
    TaskId,
)
from nodewise.core.model.resources import Resources


def node(name: str, *, slots: int | None = 1, **capacity: int) -> ProblemNode:
    room = Resources(**({"millicores": 4000, "memory_mib": 8192, "gpus": 1} | capacity))
    return ProblemNode(name=NodeName(name), capacity=room, slots=slots)


def task(
    name: str, seconds: Mapping[str, float], *, after: Sequence[tuple[str, float]] = (), **needs: int
) -> ProblemTask:
    return ProblemTask(
        name=name,
        resources=Resources(**needs),
        seconds={NodeName(n): s for n, s in seconds.items()},
        after=tuple(Dependency(task=parent, mib=mib) for parent, mib in after),
    )


def pipeline(*tasks: ProblemTask, name: str = "p", submitted_at: float = 0.0) -> ProblemPipeline:
    return ProblemPipeline(name=name, submitted_at=submitted_at, tasks=tasks)


def key(name: str, pipeline: str = "p") -> TaskId:
    return TaskId(pipeline=pipeline, task=name)


def at(id: TaskId, node: str, start: float, end: float) -> Assignment:
    return Assignment(id=id, node=NodeName(node), start=start, end=end)


def schedule(*assignments: Assignment) -> Schedule:
    return Schedule(assignments={assignment.id: assignment for assignment in assignments})


def held(node: str, start: float, end: float, **amounts: int) -> Held:
    return Held(node=NodeName(node), resources=Resources(**amounts), start=start, end=end)
