"""Compiled pipelines for tests, as small as KFP's IR allows. They are read, never run."""

from collections.abc import Mapping, Sequence
from typing import Any

from nodewise.core.model.task import RetryPolicy

_LAUNCHER = (
    'python3 -m kfp.dsl.executor_main --component_module_path "$program_path/ephemeral_component.py" "$@"'
)
CHAIN = {"preprocess": (), "train": ("preprocess",), "evaluate": ("train",)}


def compiled(
    name: str = "wine",
    *,
    tasks: Mapping[str, Sequence[str]] = CHAIN,
    parameters: Mapping[str, Mapping[str, Any]] | None = None,
    retry: RetryPolicy | None = None,
) -> dict[str, Any]:
    """A pipeline whose `tasks` map each name to those that it comes after, and all are tried again alike.

    `parameters` are the root's, as in the IR.
    """
    rules = {} if retry is None else {"retryPolicy": _retry(retry)}
    steps = {task: _task(task, after) | rules for task, after in tasks.items()}
    root: dict[str, Any] = {"dag": {"tasks": steps}}
    if parameters:
        root["inputDefinitions"] = {"parameters": dict(parameters)}
    return {
        "pipelineInfo": {"name": name},
        "schemaVersion": "2.1.0",
        "sdkVersion": "kfp-2.17.0",
        "root": root,
        "components": {f"comp-{task}": {"executorLabel": f"exec-{task}"} for task in tasks},
        "deploymentSpec": {"executors": {f"exec-{task}": _executor(task) for task in tasks}},
    }


def hints(pipeline: Mapping[str, Any] | None = None, **executors: Mapping[str, Any]) -> dict[str, Any]:
    """A platform spec with our section: `pipeline` is its pipelineConfig, the rest are executors by task."""
    section: dict[str, Any] = {}
    if pipeline is not None:
        section["pipelineConfig"] = dict(pipeline)
    if executors:
        section["deploymentSpec"] = {
            "executors": {f"exec-{task}": dict(hint) for task, hint in executors.items()}
        }
    return {"platforms": {"nodewise": section}}


def _task(name: str, after: Sequence[str]) -> dict[str, Any]:
    task: dict[str, Any] = {"componentRef": {"name": f"comp-{name}"}, "taskInfo": {"name": name}}
    return {**task, "dependentTasks": list(after)} if after else task


def _retry(retry: RetryPolicy) -> dict[str, Any]:
    return {
        "maxRetryCount": retry.max_retries,
        "backoffDuration": f"{retry.backoff.total_seconds()}s",
        "backoffFactor": retry.factor,
        "backoffMaxDuration": f"{retry.max_backoff.total_seconds()}s",
    }


def _executor(name: str) -> dict[str, Any]:
    function = name.replace("-", "_")
    source = f"from kfp import dsl\n\ndef {function}():\n    pass\n"
    return {
        "container": {
            "image": "python:3.11",
            "command": ["sh", "-ec", _LAUNCHER, source],
            "args": ["--executor_input", "{{$}}", "--function_to_execute", function],
        }
    }
