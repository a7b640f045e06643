"""Components and their executors: what a task takes, gives, runs and needs.

The container's image is ignored: nodes carry their own Python. `cachingOptions` are accepted and ignored by the reader.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

from kfp.pipeline_spec import pipeline_spec_pb2 as pb

from nodewise.core.errors import InvalidPipeline, UnsupportedFeature
from nodewise.core.ir.guard import at
from nodewise.core.ir.lightweight import read_python
from nodewise.core.ir.parameters import coerce, whole_numbers
from nodewise.core.ir.wire import plain
from nodewise.core.model import quantities
from nodewise.core.model.pipeline import ArtifactSpec, ParameterSpec, ParameterType, PythonComponent
from nodewise.core.model.resources import Resources

NAME: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]{0,127}", re.ASCII)
"""Names of tasks, inputs and outputs: they become parts of URLs and of file names."""
DEFAULT_RESOURCES: Final = Resources(millicores=1000, memory_mib=256)
_MAX_GPUS: Final = 10_000
_PLACEHOLDER: Final = "{{$"
_UNSUPPORTED_TYPES: Final[Mapping[str, str]] = MappingProxyType(
    {"TASK_FINAL_STATUS": "an exit handler's task status", "TASK_CONFIG": "a task configuration input"}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Component:
    """A leaf component, read. `accelerator` is required of the node; `memory_limit_mib` is what the process may use."""

    label: str
    code: PythonComponent
    resources: Resources
    accelerator: str | None
    memory_limit_mib: int | None
    input_parameters: Mapping[str, ParameterSpec]
    input_artifacts: Mapping[str, ArtifactSpec]
    output_parameters: Mapping[str, ParameterSpec]
    output_artifacts: Mapping[str, ArtifactSpec]


def read_component(message: Any, executors: Mapping[str, Any], *, path: str) -> Component:
    """Read one component that runs a lightweight Python function.

    Args:
        message: a `ComponentSpec`.
        executors: the executors of the deployment, by label.
        path: of the component, in the IR.

    Raises:
        UnsupportedFeature: a sub-pipeline, an importer, a container with a program of its own ...
        InvalidPipeline: it contradicts itself.
    """
    container, container_path = _container(message, executors, path)
    environment = _environment(container, at(container_path, "env"))
    limits = Quantities(container.resources, at(container_path, "resources"))
    inputs, outputs = message.input_definitions, message.output_definitions
    return Component(
        label=message.executor_label,
        code=read_python(container.command, container.args, environment=environment, path=container_path),
        resources=limits.booked(),
        accelerator=limits.accelerator(),
        memory_limit_mib=limits.memory_limit_mib(),
        input_parameters=read_parameters(inputs.parameters, path=at(path, "inputDefinitions.parameters")),
        input_artifacts=read_artifacts(inputs.artifacts, path=at(path, "inputDefinitions.artifacts")),
        output_parameters=read_parameters(outputs.parameters, path=at(path, "outputDefinitions.parameters")),
        output_artifacts=read_artifacts(outputs.artifacts, path=at(path, "outputDefinitions.artifacts")),
    )


def _container(message: Any, executors: Mapping[str, Any], path: str) -> tuple[Any, str]:
    if message.HasField("dag"):
        raise UnsupportedFeature(
            at(path, "dag"), "a pipeline inside a pipeline", "put its tasks into the outer one"
        )
    label = message.executor_label
    if label not in executors:
        raise InvalidPipeline(at(path, "executorLabel"), f"no executor named {label[:80]!r}")
    executor_path = at("deploymentSpec.executors", label)
    kind = executors[label].WhichOneof("spec")
    if kind == "container":
        return executors[label].container, at(executor_path, "container")
    if kind is None:
        raise InvalidPipeline(executor_path, "has no container")
    raise UnsupportedFeature(
        at(executor_path, kind), f"an executor of kind {kind}", "load the data inside a task instead"
    )


def _environment(container: Any, path: str) -> dict[str, str]:
    environment = {}
    for index, variable in enumerate(container.env):
        if not variable.name or "=" in variable.name:
            raise InvalidPipeline(at(at(path, index), "name"), "must be a variable's name")
        if _PLACEHOLDER in variable.value:
            raise UnsupportedFeature(
                at(at(path, index), "value"), "a placeholder in a variable", "pass it as a parameter"
            )
        environment[variable.name] = variable.value
    return environment


def read_parameters(definitions: Mapping[str, Any], *, path: str) -> dict[str, ParameterSpec]:
    """The parameters of a component or of the pipeline, by name, sorted."""
    return {_named(name, path): _parameter(definitions[name], at(path, name)) for name in sorted(definitions)}


def _parameter(definition: Any, path: str) -> ParameterSpec:
    type_name = pb.ParameterType.ParameterTypeEnum.Name(definition.parameter_type)
    if type_name in _UNSUPPORTED_TYPES:
        raise UnsupportedFeature(at(path, "parameterType"), _UNSUPPORTED_TYPES[type_name], "leave it out")
    if type_name not in ParameterType.__members__:
        raise InvalidPipeline(at(path, "parameterType"), f"must be one of {', '.join(ParameterType)}")
    kind = ParameterType(type_name)
    # Output definitions have neither field.
    if "default_value" not in definition.DESCRIPTOR.fields_by_name:
        return ParameterSpec(type=kind)
    if not definition.HasField("default_value"):
        return ParameterSpec(type=kind, optional=definition.is_optional)
    default = _default(plain(definition.default_value), kind, at(path, "defaultValue"))
    return ParameterSpec(type=kind, optional=True, default=default, has_default=True)


def _default(value: object, kind: ParameterType, path: str) -> object:
    if value is None:
        return None
    try:
        return constant(value, kind)
    except ValueError as error:
        raise InvalidPipeline(path, f"{error} ({kind})") from error


def constant(value: object, kind: ParameterType) -> object:
    """A value out of protobuf as that type.

    Raises:
        ValueError: another type.
    """
    return (
        whole_numbers(coerce(value, kind))
        if kind in (ParameterType.LIST, ParameterType.STRUCT)
        else coerce(value, kind)
    )


def read_artifacts(definitions: Mapping[str, Any], *, path: str) -> dict[str, ArtifactSpec]:
    """The artifacts of a component, by name, sorted."""
    return {_named(name, path): _artifact(definitions[name], at(path, name)) for name in sorted(definitions)}


def _artifact(definition: Any, path: str) -> ArtifactSpec:
    if definition.is_artifact_list:
        raise UnsupportedFeature(at(path, "isArtifactList"), "a list of artifacts", "use one input for each")
    title = definition.artifact_type.schema_title or "system.Artifact"
    return ArtifactSpec(schema_title=title, optional=getattr(definition, "is_optional", False))


def _named(name: str, path: str) -> str:
    if NAME.fullmatch(name) is None:
        raise InvalidPipeline(at(path, name), "a name is 1 to 128 letters, digits, _ and -")
    return name


class Quantities:
    """A container's resources: the text form first, then KFP's deprecated numbers; requests before limits."""

    def __init__(self, message: Any, path: str) -> None:
        self._message = message
        self._path = path

    def booked(self) -> Resources:
        """What is booked for the task: its request, else its limit, else a default."""
        cpu = self._cpu("request") if self._has("cpu", "request") else self._cpu("limit")
        memory = self._memory("request") if self._has("memory", "request") else self._memory("limit")
        return Resources(
            millicores=DEFAULT_RESOURCES.millicores if cpu is None else cpu,
            memory_mib=DEFAULT_RESOURCES.memory_mib if memory is None else memory,
            gpus=self._gpus(),
        )

    def memory_limit_mib(self) -> int | None:
        return self._memory("limit")

    def accelerator(self) -> str | None:
        """The kind of accelerator: `nvidia.com/gpu` is a `gpu`, other types keep their last part."""
        path = at(self._path, "accelerator.type")
        config = self._message.accelerator
        text = self._plain_text(config.resource_type or config.type, path)
        return text.rsplit("/", 1)[-1] or None if self._gpus() else None

    def _gpus(self) -> int:
        config = self._message.accelerator
        if not (config.type or config.resource_type):
            return 0
        path = at(self._path, "accelerator.resourceCount")
        text = self._plain_text(config.resource_count, path) or str(config.count or 1)
        if not (text.isascii() and text.isdigit() and len(text) < 6 and int(text) <= _MAX_GPUS):
            raise InvalidPipeline(path, "must be a whole number of accelerators")
        return int(text)

    def _has(self, what: str, bound: str) -> bool:
        message = self._message
        return bool(getattr(message, f"resource_{what}_{bound}") or getattr(message, f"{what}_{bound}"))

    def _cpu(self, bound: str) -> int | None:
        return self._amount("cpu", bound, quantities.millicores, quantities.cores_to_millicores)

    def _memory(self, bound: str) -> int | None:
        return self._amount("memory", bound, quantities.mebibytes, quantities.gigabytes_to_mebibytes)

    def _amount(
        self, what: str, bound: str, of_text: Callable[[str], int], of_number: Callable[[float], int]
    ) -> int | None:
        if not self._has(what, bound):
            return None
        path = at(self._path, f"resource{what.title()}{bound.title()}")
        text = self._plain_text(getattr(self._message, f"resource_{what}_{bound}"), path)
        try:
            return of_text(text) if text else of_number(getattr(self._message, f"{what}_{bound}"))
        except ValueError as error:
            raise InvalidPipeline(path, str(error)) from error

    def _plain_text(self, text: str, path: str) -> str:
        if _PLACEHOLDER in text:
            raise UnsupportedFeature(path, "an amount from a parameter", "write the amount itself")
        return str(text)
