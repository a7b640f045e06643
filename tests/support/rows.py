"""Rows for tests of the record: each builder names only what matters and fills in the rest."""

from collections.abc import Mapping
from datetime import UTC, datetime
from types import MappingProxyType
from uuid import uuid4

from sqlalchemy import Connection, Engine, insert, text

from nodewise.core.codec import encode
from nodewise.core.db import schema
from nodewise.core.lifecycle import RunState, TaskState
from nodewise.core.model.artifact import Values
from nodewise.core.model.ids import RunId, TaskPath
from nodewise.core.model.resources import Resources
from nodewise.core.model.task import TaskSpec

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
NO_INPUTS = Values()


def counted_rows(engine: Engine) -> dict[str, int]:
    """How many rows each table has."""
    counts = " UNION ALL ".join(f"SELECT '{name}', count(*) FROM {name}" for name in schema.metadata.tables)
    with engine.connect() as connection:
        return {str(name): int(count) for name, count in connection.execute(text(counts))}


def insert_run(
    connection: Connection,
    *,
    state: RunState = RunState.PENDING,
    ir: Mapping[str, object] = MappingProxyType({}),
    **columns: object,
) -> RunId:
    """A run of that pipeline (an empty one, which nobody can read); returns its id."""
    run_id = RunId(str(uuid4()))
    digest = f"digest-{run_id}"
    connection.execute(insert(schema.pipeline_specs).values(digest=digest, ir=dict(ir), platforms={}))
    row = {
        "id": run_id,
        "name": "run",
        "pipeline_name": "pipeline",
        "spec_digest": digest,
        "parameters": {},
        "team": "default",
        "priority": 0,
        "policy": "fifo",
        "strategy": "greedy",
        "request_digest": "0",
        "submitted_at": NOW,
        "state": state.value,
    }
    connection.execute(insert(schema.runs).values(row | columns))
    return run_id


def insert_task(
    connection: Connection,
    run_id: RunId,
    path: str,
    *,
    state: TaskState = TaskState.READY,
    resources: Resources | None = None,
    inputs: Values | None = NO_INPUTS,
    **columns: object,
) -> TaskPath:
    """A task of that run; returns its path. Its inputs are on record, but for one that waits (None: no word of them)."""
    spec = TaskSpec(
        path=TaskPath(path), component=path, resources=resources or Resources(millicores=100, memory_mib=10)
    )
    row = {
        "run_id": run_id,
        "path": path,
        "ordinal": 0,
        "component": path,
        "kind": spec.kind.value,
        "task_class": spec.task_class,
        "spec": encode(spec),
        "upstream": [],
        "state": state.value,
        "ready_at": NOW,
    }
    if inputs is not None and state is not TaskState.WAITING:
        row["inputs"] = encode(inputs)
    connection.execute(insert(schema.tasks).values(row | columns))
    return TaskPath(path)


def insert_node(connection: Connection, name: str, capacity: Resources, **columns: object) -> str:
    """A READY node with its load row; returns its name."""
    row = {
        "name": name,
        "node_class": "default",
        "architecture": "amd64",
        "worker_type": "med-cpu",
        "labels": {},
        "state": "READY",
        "boot_id": "boot",
        "sequence": 0,
        "first_seen_at": NOW,
        "last_seen_at": NOW,
    }
    connection.execute(insert(schema.nodes).values(row | columns))
    connection.execute(
        insert(schema.node_loads).values(
            node=name,
            capacity_millicores=capacity.millicores,
            capacity_memory_mib=capacity.memory_mib,
            capacity_gpus=capacity.gpus,
        )
    )
    return name


def insert_attempt(
    connection: Connection,
    run_id: RunId,
    path: str,
    node: str,
    *,
    attempt: int = 1,
    state: str = "PLACED",
    **columns: object,
) -> None:
    """An attempt on that node, without a booking."""
    row = {
        "run_id": run_id,
        "path": path,
        "attempt": attempt,
        "node": node,
        "node_class": "default",
        "state": state,
        "policy": "fifo",
        "strategy": "greedy",
        "reason_code": "placed",
        "reason": "only node",
        "candidates": [],
        "placer": "placer-1",
        "placed_at": NOW,
        "lease_until": NOW,
    }
    connection.execute(insert(schema.attempts).values(row | columns))
