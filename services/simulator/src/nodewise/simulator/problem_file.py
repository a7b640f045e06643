"""PROBLEM.json <-> values. The format is fixed: other tools write and read it.

Two things go beyond the required ones: `estimate` may be one number (the same on every node), and `failures` may list
`[node, from, until]` (until null: for good).
"""

import json
import math
from collections.abc import Mapping, Sequence
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Any, Final

from nodewise.core.model.ids import NodeName
from nodewise.core.model.problem import (
    Dependency,
    Links,
    Problem,
    ProblemNode,
    ProblemPipeline,
    ProblemTask,
)
from nodewise.core.model.resources import Resources
from nodewise.simulator import fields
from nodewise.simulator.errors import InvalidProblem
from nodewise.simulator.lengths import check_lengths
from nodewise.simulator.scenario import Failure, Scenario, with_seconds

Seconds = Mapping[NodeName, float]

_ROOT: Final = frozenset({"nodes", "links", "pipelines", "failures"})
_NODE: Final = frozenset({"name", "class", "millicores", "memory_mib", "gpus", "slots"})
_LINKS: Final = frozenset({"default_mib_per_s", "pairs"})
_PIPELINE: Final = frozenset({"name", "submitted_at", "priority", "deadline", "team", "tasks"})
_TASK: Final = frozenset(
    {"name", "class", "millicores", "memory_mib", "gpus", "seconds", "estimate", "after"}
)
_AFTER: Final = frozenset({"task", "mib"})


def read_scenario(path: Path) -> Scenario:
    """The scenario in a file.

    Raises:
        InvalidProblem: It cannot be read, is no JSON, or breaks a rule of the format; says which and where.
    """
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InvalidProblem(str(path), error.strerror or "cannot be read") from error
    except RecursionError as error:
        raise InvalidProblem(str(path), "is nested too deeply") from error
    except ValueError as error:
        raise InvalidProblem(str(path), f"is not JSON: {error}") from error
    return parse_scenario(raw)


def parse_scenario(raw: Any) -> Scenario:
    """The scenario that a decoded file holds. O(tasks x nodes + dependencies).

    Raises:
        InvalidProblem: It breaks a rule of the format.
    """
    root = fields.mapping(raw, "problem")
    fields.known_keys(root, _ROOT, "problem")
    nodes = _nodes(fields.sequence(fields.required(root, "nodes", "problem"), "nodes"))
    names = frozenset(node.name for node in nodes)
    estimates: list[Seconds | None] = []
    raw_pipelines = fields.sequence(fields.required(root, "pipelines", "problem"), "pipelines")
    pipelines = [_pipeline(item, f"pipelines[{i}]", names, estimates) for i, item in enumerate(raw_pipelines)]
    _unique([pipeline.name for pipeline in pipelines], "pipelines")
    truth = Problem(nodes=nodes, pipelines=tuple(pipelines), links=_links(root.get("links"), names))
    some = any(estimate is not None for estimate in estimates)
    believed = with_seconds(truth, estimates) if some else truth
    for problem in (truth, believed):
        check_lengths(problem)
    return Scenario(truth=truth, believed=believed, failures=_failures(root.get("failures"), names))


def _nodes(raw: Sequence[Any]) -> tuple[ProblemNode, ...]:
    nodes = tuple(_node(item, f"nodes[{i}]") for i, item in enumerate(raw))
    if not nodes:
        raise InvalidProblem("nodes", "needs at least one")
    _unique([node.name for node in nodes], "nodes")
    return nodes


def _node(raw: Any, place: str) -> ProblemNode:
    node = fields.mapping(raw, place)
    fields.known_keys(node, _NODE, place)
    slots = node.get("slots")
    if slots is not None and fields.count(slots, f"{place}.slots") < 1:
        raise InvalidProblem(f"{place}.slots", "must be at least 1, or null")
    return ProblemNode(
        name=NodeName(fields.text(fields.required(node, "name", place), f"{place}.name")),
        node_class=fields.text(node.get("class", "default"), f"{place}.class"),
        capacity=_resources(node, place),
        slots=None if slots is None else int(slots),
    )


def _resources(raw: Mapping[str, Any], place: str) -> Resources:
    return Resources(
        millicores=fields.count(fields.required(raw, "millicores", place), f"{place}.millicores"),
        memory_mib=fields.count(fields.required(raw, "memory_mib", place), f"{place}.memory_mib"),
        gpus=fields.count(raw.get("gpus", 0), f"{place}.gpus"),
    )


def _links(raw: Any, names: frozenset[NodeName]) -> Links:
    if raw is None:
        return Links()
    links = fields.mapping(raw, "links")
    fields.known_keys(links, _LINKS, "links")
    pairs: dict[tuple[NodeName, NodeName], float] = {}
    for i, item in enumerate(fields.sequence(links.get("pairs", []), "links.pairs")):
        pair, rate = _pair(item, f"links.pairs[{i}]", names)
        if pair in pairs:
            raise InvalidProblem(f"links.pairs[{i}]", f"{pair[0]!r} and {pair[1]!r} are there twice")
        pairs[pair] = rate
    default = fields.rate(links.get("default_mib_per_s", 100.0), "links.default_mib_per_s")
    return Links(default_mib_per_s=default, pairs=pairs)


def _pair(raw: Any, place: str, names: frozenset[NodeName]) -> tuple[tuple[NodeName, NodeName], float]:
    item = fields.sequence(raw, place)
    if len(item) != 3:
        raise InvalidProblem(place, "must be [node, node, MiB per second]")
    first, second = sorted((_node_name(item[0], place, names), _node_name(item[1], place, names)))
    if first == second:
        raise InvalidProblem(place, "needs two different nodes")
    return (first, second), fields.rate(item[2], place)


def _node_name(raw: Any, place: str, names: frozenset[NodeName]) -> NodeName:
    name = NodeName(fields.text(raw, place))
    if name not in names:
        raise InvalidProblem(place, f"there is no node {name!r}")
    return name


def _failures(raw: Any, names: frozenset[NodeName]) -> tuple[Failure, ...]:
    found = fields.sequence([] if raw is None else raw, "failures")
    return tuple(_failure(item, f"failures[{i}]", names) for i, item in enumerate(found))


def _failure(raw: Any, place: str, names: frozenset[NodeName]) -> Failure:
    item = fields.sequence(raw, place)
    if len(item) != 3:
        raise InvalidProblem(place, "must be [node, from, until]")
    start, until = fields.seconds(item[1], place), fields.optional_seconds(item[2], place)
    if until is not None and until <= start:
        raise InvalidProblem(place, "must end after it starts")
    return Failure(
        node=_node_name(item[0], place, names), start=start, until=math.inf if until is None else until
    )


def _pipeline(
    raw: Any, place: str, names: frozenset[NodeName], estimates: list[Seconds | None]
) -> ProblemPipeline:
    pipeline = fields.mapping(raw, place)
    fields.known_keys(pipeline, _PIPELINE, place)
    found = fields.sequence(fields.required(pipeline, "tasks", place), f"{place}.tasks")
    if not found:
        raise InvalidProblem(f"{place}.tasks", "needs at least one")
    tasks = tuple(_task(item, f"{place}.tasks[{i}]", names, estimates) for i, item in enumerate(found))
    _unique([task.name for task in tasks], f"{place}.tasks")
    _check_graph(tasks, f"{place}.tasks")
    return ProblemPipeline(
        name=fields.text(fields.required(pipeline, "name", place), f"{place}.name"),
        submitted_at=fields.seconds(pipeline.get("submitted_at", 0.0), f"{place}.submitted_at"),
        priority=fields.whole(pipeline.get("priority", 0), f"{place}.priority"),
        deadline=fields.optional_seconds(pipeline.get("deadline"), f"{place}.deadline"),
        team=fields.text(pipeline.get("team", "default"), f"{place}.team"),
        tasks=tasks,
    )


def _task(raw: Any, place: str, names: frozenset[NodeName], estimates: list[Seconds | None]) -> ProblemTask:
    task = fields.mapping(raw, place)
    fields.known_keys(task, _TASK, place)
    seconds = _seconds(fields.required(task, "seconds", place), f"{place}.seconds", names)
    estimates.append(_estimate(task.get("estimate"), f"{place}.estimate", seconds))
    return ProblemTask(
        name=fields.text(fields.required(task, "name", place), f"{place}.name"),
        task_class=fields.text(task.get("class", "other"), f"{place}.class"),
        resources=_resources(task, place),
        seconds=seconds,
        after=tuple(
            _after(item, f"{place}.after[{i}]")
            for i, item in enumerate(fields.sequence(task.get("after", []), f"{place}.after"))
        ),
    )


def _seconds(raw: Any, place: str, names: frozenset[NodeName]) -> Seconds:
    seconds = fields.mapping(raw, place)
    if not seconds:
        raise InvalidProblem(place, "needs at least one node")
    if unknown := seconds.keys() - names:
        raise InvalidProblem(place, f"there is no node {min(unknown)!r}")
    return {NodeName(name): fields.seconds(value, f"{place}.{name}") for name, value in seconds.items()}


def _estimate(raw: Any, place: str, seconds: Seconds) -> Seconds | None:
    if raw is None:
        return None
    if not isinstance(raw, dict):
        return dict.fromkeys(seconds, fields.seconds(raw, place))
    if raw.keys() != seconds.keys():
        odd = min(raw.keys() ^ seconds.keys())
        raise InvalidProblem(place, f"must name the nodes that `seconds` names; {odd!r} is in one only")
    return {name: fields.seconds(raw[name], f"{place}.{name}") for name in seconds}


def _after(raw: Any, place: str) -> Dependency:
    after = fields.mapping(raw, place)
    fields.known_keys(after, _AFTER, place)
    task = fields.text(fields.required(after, "task", place), f"{place}.task")
    return Dependency(task=task, mib=fields.number(after.get("mib", 0.0), f"{place}.mib"))


def _unique(names: Sequence[str], place: str) -> None:
    if len(set(names)) == len(names):
        return
    seen: set[str] = set()
    for i, name in enumerate(names):
        if name in seen:
            raise InvalidProblem(f"{place}[{i}].name", f"{name!r} is there twice")
        seen.add(name)


def _check_graph(tasks: Sequence[ProblemTask], place: str) -> None:
    """Refuse unknown, doubled and circular dependencies."""
    names = {task.name for task in tasks}
    for i, task in enumerate(tasks):
        parents = [dependency.task for dependency in task.after]
        if unknown := set(parents) - names:
            raise InvalidProblem(f"{place}[{i}].after", f"its pipeline has no task {min(unknown)!r}")
        if len(set(parents)) != len(parents):
            raise InvalidProblem(f"{place}[{i}].after", "names a task twice")
    try:
        TopologicalSorter({task.name: [item.task for item in task.after] for task in tasks}).prepare()
    except CycleError as error:
        raise InvalidProblem(
            place, f"depend on each other in a circle: {' -> '.join(error.args[1])}"
        ) from error
