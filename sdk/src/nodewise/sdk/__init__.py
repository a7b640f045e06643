"""Write, compile and submit pipelines.

    from nodewise.sdk import Dataset, In, Model, Out, Resources, pipeline, task

Importing this is cheap (no kfp, no HTTP client), so that a task's own process can do it too.
"""

from typing import TYPE_CHECKING, Any

from nodewise.sdk.compiled import CompiledPipeline, compile  # noqa: A004 (the word for it)
from nodewise.sdk.dsl.artifacts import Artifact, Dataset, In, Metrics, Model, Out
from nodewise.sdk.dsl.container import Command, ContainerTask, container_task
from nodewise.sdk.dsl.errors import PipelineError
from nodewise.sdk.dsl.flow import collect, each, elif_when, on_exit, one_of, otherwise, when
from nodewise.sdk.dsl.handle import TaskHandle
from nodewise.sdk.dsl.options import DatasetHint, ModelHint, Resources
from nodewise.sdk.dsl.pipeline import Pipeline, pipeline
from nodewise.sdk.dsl.status import RunStatus
from nodewise.sdk.dsl.task import Task, task
from nodewise.sdk.loading import load_pipelines, load_submission
from nodewise.sdk.runtime import dataset_path

if TYPE_CHECKING:
    from nodewise.sdk.client import Client

__all__ = [
    "Artifact",
    "Client",
    "Command",
    "CompiledPipeline",
    "ContainerTask",
    "Dataset",
    "DatasetHint",
    "In",
    "Metrics",
    "Model",
    "ModelHint",
    "Out",
    "Pipeline",
    "PipelineError",
    "Resources",
    "RunStatus",
    "Task",
    "TaskHandle",
    "collect",
    "compile",
    "container_task",
    "dataset_path",
    "each",
    "elif_when",
    "load_pipelines",
    "load_submission",
    "on_exit",
    "one_of",
    "otherwise",
    "pipeline",
    "task",
    "when",
]


def __getattr__(name: str) -> Any:
    """`Client` brings an HTTP client along: only those who ask for it pay for it."""
    if name == "Client":
        from nodewise.sdk.client import Client  # noqa: PLC0415

        return Client
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
