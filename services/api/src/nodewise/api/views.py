"""Rows as the API shows them. Pure."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from nodewise.core.db.queries.datasets import DatasetRow
from nodewise.core.db.queries.nodes_read import NodeRow
from nodewise.core.lifecycle import TaskState
from nodewise.core.model.ids import RunId
from nodewise.core.model.node import Cluster, Figure, Observation
from nodewise.core.model.resources import Resources
from nodewise.core.model.trace import trace_id

Row = Mapping[Any, Any]


def run_view(row: Row, counts: Mapping[TaskState, int]) -> dict[str, object]:
    """A run and how many of its tasks are in which state."""
    by_state = {state.value: counts[state] for state in TaskState if state in counts}
    others = {name: row[name] and str(row[name]) for name in ("schedule_id", "retry_of")}
    tasks = {"total": sum(counts.values()), "by_state": by_state}
    trace = trace_id(RunId(str(row["id"])), row["traceparent"])
    shown = {name: value for name, value in row.items() if name != "traceparent"}
    return {**shown, "id": str(row["id"]), **others, "trace_id": trace, "tasks": tasks}


def task_view(row: Row, *, now: datetime) -> dict[str, object]:
    """A task with how long it waited for its node and ran, so far."""
    return {
        **row,
        "run_id": str(row["run_id"]),
        "outputs": _outputs(row["outputs"]),
        "waited_seconds": _seconds(
            row["ready_at"], row["started_at"] or row["finished_at"] or _while(row, WAITING, now)
        ),
        "ran_seconds": _seconds(
            row["started_at"], row["finished_at"] or _while(row, (TaskState.RUNNING,), now)
        ),
    }


WAITING = (TaskState.READY, TaskState.ADMITTED, TaskState.PLACED)


def _while(row: Row, states: Sequence[TaskState], now: datetime) -> datetime | None:
    return now if row["state"] in states else None


def _outputs(raw: Mapping[str, object] | None) -> Mapping[str, object]:
    return raw or {"parameters": {}, "artifacts": {}}


def _seconds(start: datetime | None, end: datetime | None) -> float | None:
    if start is None or end is None:
        return None
    # The node's clock and ours may differ a little: never show less than nothing.
    return round(max(0.0, (end - start).total_seconds()), 3)


def queue_view(row: Row, *, now: datetime) -> dict[str, object]:
    """A task in the queue."""
    return {**row, "run_id": str(row["run_id"]), "waited_seconds": _seconds(row["ready_at"], now)}


def waiting_view(rows: Sequence[Row]) -> list[dict[str, object]]:
    """What waits for inputs, by run; `rows` are in the order of runs."""
    runs: dict[str, dict[str, Any]] = {}
    for row in rows:
        run_id = str(row["run_id"])
        named = {name: row[name] for name in ("run_name", "priority", "policy", "strategy", "tasks")}
        run = runs.setdefault(run_id, {"run_id": run_id, **named, "items": []})
        run["items"].append({"path": row["path"], "waits_for": row["waits_for"]})
    return list(runs.values())


def node_view(row: NodeRow, observation: Observation, cluster: Cluster) -> dict[str, object]:
    """A node with its room and its figures. `cluster` says what time it is and from what age a figure is stale."""
    node = row.view.node
    return {
        "name": node.name,
        "state": row.state,
        "cordoned_at": row.cordoned_at,
        "node_class": node.node_class,
        "architecture": node.architecture,
        "worker_type": node.worker_type,
        "accelerator": node.accelerator,
        "container_runtime": node.container_runtime,
        "labels": dict(node.labels),
        "capacity": resources_view(node.capacity),
        "booked": resources_view(row.view.booked),
        "free": resources_view(row.view.free),
        "running_tasks": row.view.running_tasks,
        "last_seen_at": row.last_seen_at,
        "observation": {
            "available_memory_mib": _figure(observation.available_memory_mib, cluster),
            "cpu_utilisation": _figure(observation.cpu_utilisation, cluster),
            "load1": _figure(observation.load1, cluster),
        },
    }


def resources_view(resources: Resources) -> dict[str, int]:
    return {
        "millicores": resources.millicores,
        "memory_mib": resources.memory_mib,
        "gpus": resources.gpus,
    }


def _figure(figure: Figure | None, cluster: Cluster) -> dict[str, object] | None:
    if figure is None:
        return None
    return {
        "value": figure.value,
        "measured_at": figure.measured_at,
        "age_seconds": _seconds(figure.measured_at, cluster.taken_at),
        "fresh": cluster.fresh(figure) is not None,
    }


def dataset_view(row: DatasetRow) -> dict[str, object]:
    """A registered data set."""
    facts = row.facts
    return {
        "name": row.name,
        "uri": row.uri,
        "kind": facts.kind.value,
        "size_bytes": facts.size_bytes,
        "samples": facts.samples,
        "features": facts.features,
        "classes": facts.classes,
        "types": dict(facts.types),
        "normalised": facts.normalised,
        "created_at": row.created_at,
        "updated_at": row.updated_at,
        "team": row.team,
    }


def event_view(row: Row) -> dict[str, object]:
    """An event as JSON types."""
    return {**row, "run_id": str(row["run_id"]), "at": row["at"].isoformat().replace("+00:00", "Z")}
