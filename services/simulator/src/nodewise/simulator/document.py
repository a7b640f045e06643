"""A scenario as the JSON document that `problem_file` reads."""

import math
from typing import Any

from nodewise.core.model.problem import Links, ProblemNode, ProblemPipeline, ProblemTask
from nodewise.core.model.resources import Resources
from nodewise.simulator.scenario import Failure, Scenario


def document(scenario: Scenario) -> dict[str, Any]:
    """What `parse_scenario` reads back as an equal scenario."""
    truth, believed = scenario.truth, scenario.believed
    written: dict[str, Any] = {
        "nodes": [_node(node) for node in truth.nodes],
        "links": _links(truth.links),
        "pipelines": [
            _pipeline(pipeline, seen)
            for pipeline, seen in zip(truth.pipelines, believed.pipelines, strict=True)
        ],
    }
    if scenario.failures:
        written["failures"] = [_failure(failure) for failure in scenario.failures]
    return written


def _node(node: ProblemNode) -> dict[str, Any]:
    named = {"name": node.name, "class": node.node_class}
    return named | _resources(node.capacity) | {"slots": node.slots}


def _resources(amount: Resources) -> dict[str, Any]:
    return {"millicores": amount.millicores, "memory_mib": amount.memory_mib, "gpus": amount.gpus}


def _links(links: Links) -> dict[str, Any]:
    pairs = [[first, second, rate] for (first, second), rate in sorted(links.pairs.items())]
    return {"default_mib_per_s": links.default_mib_per_s, "pairs": pairs}


def _pipeline(pipeline: ProblemPipeline, seen: ProblemPipeline) -> dict[str, Any]:
    return {
        "name": pipeline.name,
        "submitted_at": pipeline.submitted_at,
        "priority": pipeline.priority,
        "deadline": pipeline.deadline,
        "team": pipeline.team,
        "tasks": [_task(task, view) for task, view in zip(pipeline.tasks, seen.tasks, strict=True)],
    }


def _task(task: ProblemTask, seen: ProblemTask) -> dict[str, Any]:
    named = {"name": task.name, "class": task.task_class}
    return (
        named
        | _resources(task.resources)
        | {
            "seconds": dict(task.seconds),
            "estimate": None if seen is task else dict(seen.seconds),
            "after": [{"task": item.task, "mib": item.mib} for item in task.after],
        }
    )


def _failure(failure: Failure) -> list[Any]:
    return [failure.node, failure.start, None if math.isinf(failure.until) else failure.until]
