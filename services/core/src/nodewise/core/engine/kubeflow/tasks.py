"""Tasks and their nodes, read from the Argo workflow in v1beta1's answer, or, where that is absent, from v2beta1. Pure."""

import json
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

from nodewise.core.engine.kubeflow.paths import NodePlace, place_of
from nodewise.core.engine.kubeflow.runs import KfpRun, read_time
from nodewise.core.model.ids import NodeName, TaskPath

_Nodes = Mapping[str, Any]


class SightedState(StrEnum):
    """How a task looks from outside. UNSCHEDULABLE: its pod waits, and Kubernetes says that it fits nowhere."""

    PENDING = "PENDING"
    UNSCHEDULABLE = "UNSCHEDULABLE"
    RUNNING = "RUNNING"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    SKIPPED = "SKIPPED"


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskSighting:
    """What is known of a task. None: unknown.

    `path` has the numbers of iterations in it; of a sub-DAG that was skipped as a whole it is the sub-DAG's. `attempts`
    counts the pods so far. `cached`: KFP took an earlier result, so nothing ran and the times say nothing.
    """

    path: TaskPath
    state: SightedState
    node: NodeName | None = None
    started_at: datetime | None = None
    ended_at: datetime | None = None
    message: str | None = None
    attempts: int = 1
    cached: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSighting:
    """The tasks of a run, by path. `message` is why the run as a whole waits or ended, in Argo's or Kubernetes' words.

    `detailed`: false where no workflow was to be had, so that nodes and most tasks are unknown.
    """

    tasks: tuple[TaskSighting, ...]
    message: str | None = None
    detailed: bool = True


_PHASES: Final[Mapping[str, SightedState]] = {
    "Pending": SightedState.PENDING,
    "Running": SightedState.RUNNING,
    "Succeeded": SightedState.SUCCEEDED,
    "Failed": SightedState.FAILED,
    "Error": SightedState.FAILED,
    "Skipped": SightedState.SKIPPED,
    "Omitted": SightedState.SKIPPED,
}
_DETAILS: Final[Mapping[str, SightedState]] = {
    state.value: state for state in SightedState if state is not SightedState.UNSCHEDULABLE
}
_ENDED: Final = frozenset({SightedState.SUCCEEDED, SightedState.FAILED, SightedState.SKIPPED})


def from_workflow(answer: Mapping[str, Any]) -> RunSighting | None:
    """All that v1beta1 tells; None when its answer has no workflow that can be read."""
    workflow = _workflow(answer)
    if workflow is None:
        return None
    name = str(workflow["metadata"].get("name", ""))
    nodes = list(_nodes(workflow))
    placed = [(place_of(str(node.get("name", "")), name), node) for node in nodes]
    found = {sighting.path: sighting for sighting in _waiting(placed, name)}
    for group in _executors(placed).values():
        sighting = _executed(group)
        found[sighting.path] = sighting
    first = next((_message(node) for node in nodes if node.get("name") == f"{name}.root-driver"), None)
    message = _message(workflow["status"]) or first
    return RunSighting(tasks=tuple(found[path] for path in sorted(found)), message=message)


def from_details(run: KfpRun, *, once: Collection[str]) -> RunSighting:
    """What v2beta1 tells: states by the last word of a path, without nodes; what is ambiguous is left out, as unknown.

    Args:
        run: with its task details.
        once: the paths of the leaf tasks that run once (see `leaves.run_once`).
    """
    words = Counter(path.rpartition(".")[2] for path in once)
    paths = {path.rpartition(".")[2]: path for path in once}
    named = [(str(one.get("display_name")), one) for one in run.task_details]
    times = Counter(name for name, _ in named)
    found = []
    for name, one in named:
        state = _DETAILS.get(str(one.get("state")))
        if state is None or times[name] > 1 or words[name] != 1:
            continue
        started, ended = read_time(one.get("start_time")), read_time(one.get("end_time"))
        found.append(
            TaskSighting(path=TaskPath(paths[name]), state=state, started_at=started, ended_at=ended)
        )
    tasks = tuple(sorted(found, key=lambda sighting: sighting.path))
    return RunSighting(tasks=tasks, message=run.error, detailed=False)


def _workflow(answer: Mapping[str, Any]) -> Mapping[str, Any] | None:
    runtime = answer.get("pipeline_runtime")
    text = runtime.get("workflow_manifest") if isinstance(runtime, dict) else None
    try:
        workflow = json.loads(text or "null")
    except (TypeError, ValueError):
        return None
    if not isinstance(workflow, dict) or not isinstance(workflow.get("metadata"), dict):
        return None
    return workflow if isinstance(workflow.get("status"), dict) else None


def _nodes(workflow: Mapping[str, Any]) -> Iterator[_Nodes]:
    nodes = workflow["status"].get("nodes")
    if isinstance(nodes, dict):
        yield from (node for node in nodes.values() if isinstance(node, dict))


_Placed = tuple[NodePlace | None, _Nodes]


def _executors(placed: Iterable[_Placed]) -> dict[TaskPath, list[tuple[NodePlace, _Nodes]]]:
    groups: dict[TaskPath, list[tuple[NodePlace, _Nodes]]] = {}
    for place, node in placed:
        if place is not None and (place.executor or "importer" in str(node.get("templateName"))):
            groups.setdefault(place.path, []).append((place, node))
    return groups


def _executed(group: list[tuple[NodePlace, _Nodes]]) -> TaskSighting:
    """A task whose pod is there: the whole's state, the latest pod's node and message."""
    whole = next((node for place, node in group if place.attempt is None), None)
    pods = [node for place, node in sorted(group, key=lambda one: one[0].attempt or 0) if place.attempt]
    latest = pods[-1] if pods else whole or {}
    state = _state_of_all(whole or latest, latest)
    cached = state is SightedState.SKIPPED
    return TaskSighting(
        path=group[0][0].path,
        state=SightedState.SUCCEEDED if cached else state,
        node=NodeName(str(latest["hostNodeName"])) if latest.get("hostNodeName") else None,
        started_at=None if cached else read_time(latest.get("startedAt")),
        ended_at=None if cached else read_time(latest.get("finishedAt")),
        message=_message(latest),
        attempts=max(len(pods), 1),
        cached=cached,
    )


def _state_of_all(whole: _Nodes, latest: _Nodes) -> SightedState:
    if _state(whole) in _ENDED:
        return _state(whole)
    # Between two attempts the latest pod has failed, but the task has not.
    return SightedState.PENDING if _state(latest) in _ENDED else _state(latest)


def _waiting(placed: Iterable[_Placed], workflow: str) -> Iterator[TaskSighting]:
    """Tasks that have no pod of their own: they were skipped, or their driver is not done with them."""
    for place, node in placed:
        if place is None:
            continue
        state = _state(node)
        if node.get("type") == "Skipped":
            yield TaskSighting(path=place.path, state=state, message=_message(node))
        elif _is_driver(node) and state is not SightedState.SUCCEEDED:
            task = place_of(str(node["name"]).removesuffix("-driver"), workflow)
            message = _message(node)
            if task is not None:
                text = f"its driver: {message}" if message else "its driver has not run yet"
                yield TaskSighting(path=task.path, state=_before_its_pod(state), message=text)


def _before_its_pod(state: SightedState) -> SightedState:
    return SightedState.PENDING if state is SightedState.RUNNING else state


def _message(node: _Nodes) -> str | None:
    message = node.get("message")
    return message if isinstance(message, str) and message else None


def _is_driver(node: _Nodes) -> bool:
    return node.get("type") == "Pod" and "driver" in str(node.get("templateName"))


def _state(node: _Nodes) -> SightedState:
    state = _PHASES.get(str(node.get("phase")), SightedState.PENDING)
    if state is SightedState.PENDING and str(node.get("message") or "").startswith("Unschedulable"):
        return SightedState.UNSCHEDULABLE
    return state
