"""Tasks as KFP components. KFP makes them, with our source text in their command."""

from collections.abc import Mapping
from functools import cache
from types import SimpleNamespace
from typing import Any, Final

from kfp import dsl

from nodewise.sdk.dsl.container import ContainerTask
from nodewise.sdk.dsl.errors import PipelineError
from nodewise.sdk.dsl.kfp_types import kfp_function, with_kfp_signature
from nodewise.sdk.dsl.signature import Output
from nodewise.sdk.dsl.source import emitted_source
from nodewise.sdk.dsl.task import AnyTask

_DEFAULT_IMAGE: Final = "python:3.11"


@cache
def component_of(task: AnyTask) -> Any:
    """The KFP component of a task.

    Raises:
        PipelineError: the task cannot be one; names its line.
    """
    try:
        return _container(task) if isinstance(task, ContainerTask) else _python(task)
    except PipelineError:
        raise
    except Exception as error:
        # Whatever KFP says of it.
        raise PipelineError(task.place, f"task {task.name!r}: {error}") from error


def _python(task: AnyTask) -> Any:
    function = task.function
    source = emitted_source(function, task.signature, place=task.place)
    image = task.options.get("image")
    component = dsl.component(
        kfp_function(function, task.signature, task.role),
        base_image=image or _DEFAULT_IMAGE,
        install_kfp_package=image is None,
        packages_to_install=list(task.options.get("packages", ())),
    )
    command = component.component_spec.implementation.container.command
    imports, _, _ = command[-1].partition(f"\ndef {function.__name__}(")
    command[-1] = f"{imports}\n{source}\n"
    return component


def _container(task: ContainerTask) -> Any:
    names = [item.name for item in task.signature.arguments]

    def build(*placeholders: Any) -> Any:
        said = task.command(_with_paths(task, dict(zip(names, placeholders, strict=True))))
        return dsl.ContainerSpec(
            image=task.options["image"], command=list(said.command), args=list(said.args)
        )

    return dsl.container_component(with_kfp_signature(build, task.function, task.signature, task.role))


def _with_paths(task: AnyTask, given: Mapping[str, Any]) -> dict[str, Any]:
    """What the function sees: a value that is written has a `path`, as an artifact has."""
    written = {
        item.name for item in task.signature.arguments if isinstance(item, Output) and not item.is_artifact
    }
    return {name: SimpleNamespace(path=value) if name in written else value for name, value in given.items()}


def source_of(task: AnyTask) -> str:
    """The text that travels to a node."""
    return str(component_of(task).component_spec.implementation.container.command[-1])
