"""Calls of tasks to KFP components and tasks; KFP's own compiler does the rest. The only module that speaks to kfp.dsl."""

import inspect
import math
import types
import typing
from collections.abc import Callable, Mapping
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from kfp import dsl

from nodewise.core.ir.parameters import coerce
from nodewise.core.model.component import ValueKind
from nodewise.sdk.dsl.errors import PipelineError, place_of_caller
from nodewise.sdk.dsl.handle import TaskHandle, outputs_for_handles
from nodewise.sdk.dsl.options import Resources
from nodewise.sdk.dsl.signature import SINGLE_OUTPUT, Input, Output, Signature
from nodewise.sdk.dsl.source import emitted_source
from nodewise.sdk.dsl.unknown import TaskOutput

if TYPE_CHECKING:
    from nodewise.sdk.dsl.building import Step
    from nodewise.sdk.dsl.task import Task

PLATFORM: Final = "nodewise"
_DEFAULT_IMAGE: Final = "python:3.11"
_GPU: Final = "nvidia.com/gpu"
_IR_TYPES: Final = {
    str: ValueKind.STRING,
    bool: ValueKind.BOOLEAN,
    int: ValueKind.NUMBER_INTEGER,
    float: ValueKind.NUMBER_DOUBLE,
    list: ValueKind.LIST,
    dict: ValueKind.STRUCT,
}


class KfpBuilder:
    """Adds a KFP task for each call, inside a KFP pipeline that is being traced."""

    def call(self, task: "Task[..., Any]", arguments: Mapping[str, Any]) -> TaskHandle:
        component = component_of(task)
        given = {
            name: _argument(task, task.signature.inputs[name], value) for name, value in arguments.items()
        }
        # None means "not given": KFP has no null for a component's input.
        try:
            kfp_task = component(**{name: value for name, value in given.items() if value is not None})
        except Exception as error:
            raise PipelineError(place_of_caller(), f"task {task.name!r}: {error}") from error
        step = _KfpStep(kfp_task, task)
        return TaskHandle(task.name, step, _outputs(task.name, kfp_task.outputs))


def _outputs(task: str, channels: Mapping[str, Any]) -> dict[str, TaskOutput]:
    return {
        name: TaskOutput(
            channel,
            f"what task {task!r} returns"
            if name == SINGLE_OUTPUT
            else f"the output {name!r} of task {task!r}",
        )
        for name, channel in channels.items()
    }


class _KfpStep:
    def __init__(self, kfp_task: Any, task: "Task[..., Any]") -> None:
        self.kfp_task = kfp_task
        self._task = task
        options = task.options
        if task.hints:
            kfp_task.platform_config[PLATFORM] = {**task.hints}
        if "timeout" in options:
            seconds = math.ceil(task.hints["timeoutSeconds"])
            kfp_task.platform_config["kubernetes"] = {"activeDeadlineSeconds": seconds}
        if "cache" in options:
            kfp_task.set_caching_options(options["cache"])
        if options.get("retries"):
            kfp_task.set_retry(options["retries"])
        for name, value in options.get("env", {}).items():
            kfp_task.set_env_variable(name, str(value))
        self.set_resources(options.get("resources", Resources()))

    def add_hint(self, section: str, key: str, value: Any) -> None:
        hints = self.kfp_task.platform_config.setdefault(PLATFORM, {})
        group = hints[section] = {**hints.get(section, {})}
        old = group.get(key)
        if isinstance(old, list):
            value = [*old, *(item for item in value if item not in old)]
        if isinstance(old, dict):
            value = {**old, **value}
        group[key] = value

    def set_resources(self, resources: Resources) -> None:
        if resources.millicores is not None:
            self.kfp_task.set_cpu_request(f"{resources.millicores}m").set_cpu_limit(
                f"{resources.millicores}m"
            )
        if resources.memory_mib is not None:
            self.kfp_task.set_memory_request(f"{resources.memory_mib}Mi")
            self.kfp_task.set_memory_limit(f"{resources.memory_mib}Mi")
        if resources.gpu:
            self.kfp_task.set_accelerator_type(_GPU).set_accelerator_limit(resources.gpu)

    def add_upstream(self, step: "Step") -> None:
        if isinstance(step, _KfpStep):
            self.kfp_task.after(step.kfp_task)


def _argument(task: "Task[..., Any]", item: Input, value: Any) -> Any:
    value = outputs_for_handles(value)
    if item.is_artifact or value is None or not isinstance(value, str | bool | int | float | list | dict):
        return value
    try:
        typed = coerce(value, _IR_TYPES[item.type])
    except ValueError as error:
        raise PipelineError(
            place_of_caller(), f"task {task.name!r}: the input {item.name!r} {error}, is {value!r}"
        ) from error
    return typed


@cache
def component_of(task: "Task[..., Any]") -> Any:
    """The KFP component of a task: KFP makes it, with our source text in its command."""
    function = task.function
    source = emitted_source(function, task.signature, place=task.place)
    image = task.options.get("image")
    try:
        component = dsl.component(
            _kfp_function(function, task.signature),
            base_image=image or _DEFAULT_IMAGE,
            install_kfp_package=image is None,
        )
    except Exception as error:
        raise PipelineError(task.place, f"task {task.name!r}: {error}") from error
    command = component.component_spec.implementation.container.command
    imports, _, _ = command[-1].partition(f"\ndef {function.__name__}(")
    command[-1] = f"{imports}\n{source}\n"
    return component


def _kfp_function(function: Callable[..., Any], signature: Signature) -> Callable[..., Any]:
    """The same function with annotations that KFP understands."""
    copy = types.FunctionType(
        function.__code__, function.__globals__, function.__name__, None, function.__closure__
    )
    copy.__doc__ = function.__doc__
    copy.__module__ = function.__module__
    copy.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [_kfp_parameter(item) for item in signature.arguments],
        return_annotation=_kfp_return(signature),
    )
    copy.__annotations__ = {item.name: _kfp_annotation(item) for item in signature.arguments}
    return copy


def kfp_signature(signature: Signature) -> inspect.Signature:
    """A pipeline's signature in KFP's types."""
    return inspect.Signature([_kfp_parameter(item) for item in signature.arguments])


def _kfp_parameter(item: Input | Output) -> inspect.Parameter:
    default = item.default if isinstance(item, Input) and item.has_default else inspect.Parameter.empty
    # Keyword only, so that the order of those with and without defaults does not matter.
    return inspect.Parameter(
        item.name, inspect.Parameter.KEYWORD_ONLY, annotation=_kfp_annotation(item), default=default
    )


def _kfp_annotation(item: Input | Output) -> Any:
    if isinstance(item, Output):
        return dsl.Output[getattr(dsl, item.type.__name__)]
    if item.is_artifact:
        return dsl.Input[getattr(dsl, item.type.__name__)]
    return typing.Optional[item.type] if item.optional else item.type  # noqa: UP045 (KFP strips this form)


def _kfp_return(signature: Signature) -> Any:
    if not signature.returned:
        return inspect.Signature.empty
    if len(signature.returned) == 1 and signature.returned[0].name == "Output":
        return signature.returned[0].type
    return typing.NamedTuple("Outputs", [(output.name, output.type) for output in signature.returned])
