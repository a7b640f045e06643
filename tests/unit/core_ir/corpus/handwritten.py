"""IR that KFP's compiler would not write."""

import json
from collections.abc import Sequence
from typing import Any

COMMAND = ["sh", "-ec", "python3 -m kfp.dsl.executor_main", "def f(): ..."]


def document(tasks: dict[str, Any], components: dict[str, Any], **root: Any) -> dict[str, Any]:
    """A whole PipelineSpec."""
    labels = {component["executorLabel"] for component in components.values() if "executorLabel" in component}
    container = {"image": "x", "command": COMMAND, "args": ["--function_to_execute", "f"]}
    return {
        "pipelineInfo": {"name": "handwritten"},
        "schemaVersion": "2.1.0",
        "components": components,
        "deploymentSpec": {"executors": {label: {"container": dict(container)} for label in labels}},
        "root": {"dag": {"tasks": tasks}, **root},
    }


def leaf(*, gives: str = "", takes: dict[str, str] | None = None) -> dict[str, Any]:
    """A Python component with one output of that type."""
    component: dict[str, Any] = {"executorLabel": "exec"}
    if gives:
        component["outputDefinitions"] = {"parameters": {"Output": {"parameterType": gives}}}
    if takes:
        component["inputDefinitions"] = definitions(takes)
    return component


def definitions(types: dict[str, str]) -> dict[str, Any]:
    return {"parameters": {name: {"parameterType": kind} for name, kind in types.items()}}


def dag(tasks: dict[str, Any], *, inputs: dict[str, str] | None = None) -> dict[str, Any]:
    component: dict[str, Any] = {"dag": {"tasks": tasks}}
    if inputs:
        component["inputDefinitions"] = definitions(inputs)
    return component


def task(
    component: str, *, after: Sequence[str] = (), items: Sequence[Any] | None = None, loop_over: str = ""
) -> dict[str, Any]:
    """A task; with `items` a loop over constants, with `loop_over` one over its own input of that name."""
    message: dict[str, Any] = {"componentRef": {"name": component}, "dependentTasks": list(after)}
    if items is not None:
        message["parameterIterator"] = {"itemInput": "item", "items": {"raw": json.dumps(list(items))}}
    if loop_over:
        message["parameterIterator"] = {"itemInput": "item", "items": {"inputParameter": loop_over}}
    return message


def chained(loop: dict[str, Any] | None = None, body: dict[str, Any] | None = None) -> dict[str, Any]:
    """A task that gives a list, and a loop over it."""
    loop = loop or task("body", loop_over="items")
    loop["inputs"] = {
        "parameters": {
            "items": {"taskOutputParameter": {"producerTask": "make", "outputParameterKey": "Output"}}
        }
    }
    components = {
        "make": leaf(gives="LIST"),
        "leaf": leaf(),
        loop["componentRef"]["name"]: body or leaf(takes={"items": "LIST", "item": "STRING"}),
    }
    return document({"make": task("make"), "loop": loop}, components)
