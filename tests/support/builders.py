"""Builders for decisions: each names only what matters to a test and fills in the rest."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any
from uuid import UUID

from nodewise.core.model.ids import NodeName, RunId, TaskPath, TaskRef
from nodewise.core.model.node import Cluster, Figure, Node, NodeView, Observation
from nodewise.core.model.resources import Resources
from nodewise.core.model.task import TaskKind, TaskSpec, WaitingTask
from nodewise.core.ports import PlacementContext, PolicyContext

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def seconds(number: float) -> timedelta:
    return timedelta(seconds=number)


def run_id(number: int = 1) -> RunId:
    return RunId(str(UUID(int=number)))


def a_spec(
    path: str = "task", *, cores: float = 1, memory: int = 100, gpus: int = 0, **fields: Any
) -> TaskSpec:
    need = Resources(millicores=round(cores * 1000), memory_mib=memory, gpus=gpus)
    fields.setdefault("kind", TaskKind.OTHER)
    return TaskSpec(path=TaskPath(path), component=path, resources=need, **fields)


def a_task(
    path: str = "task",
    *,
    run: int = 1,
    submitted: float = 0,
    ready: float | None = None,
    spec: TaskSpec | None = None,
    **fields: Any,
) -> WaitingTask:
    """A waiting task; times in seconds after noon; `cores`, `memory`, `gpus`, `kind` ... make its spec."""
    own = {name: fields.pop(name) for name in list(fields) if name not in WaitingTask.__dataclass_fields__}
    return WaitingTask(
        ref=TaskRef(run_id=run_id(run), path=TaskPath(path)),
        spec=spec or a_spec(path, **own),
        submitted_at=NOON + seconds(submitted),
        ready_at=NOON + seconds(submitted if ready is None else ready),
        **fields,
    )


def a_node(
    name: str = "n1",
    *,
    cores: float = 2,
    memory: int = 1000,
    gpus: int = 0,
    booked: float = 0,
    available: float | None = None,
    load: float | None = None,
    age: float = 0,
    **fields: Any,
) -> NodeView:
    """A node in a snapshot: `booked` cores, `available` memory and `load` as measured `age` seconds before noon."""
    node = Node(
        name=NodeName(name),
        capacity=Resources(millicores=round(cores * 1000), memory_mib=memory, gpus=gpus),
        **fields,
    )
    measured = NOON - seconds(age)
    seen = Observation(
        available_memory_mib=None if available is None else Figure(value=available, measured_at=measured),
        load1=None if load is None else Figure(value=load, measured_at=measured),
    )
    return NodeView(node=node, booked=Resources(millicores=round(booked * 1000)), observation=seen)


def a_cluster(*nodes: NodeView) -> Cluster:
    return Cluster(nodes=tuple(sorted(nodes, key=lambda view: view.name)), taken_at=NOON)


def policy_context(seed: int = 0) -> PolicyContext:
    return PolicyContext(now=NOON, rng=Random(seed))


def placement_context(seed: int = 0, **fields: Any) -> PlacementContext:
    return PlacementContext(now=NOON, rng=Random(seed), **fields)


def paths(refs: Sequence[TaskRef]) -> list[str]:
    return [ref.path for ref in refs]
