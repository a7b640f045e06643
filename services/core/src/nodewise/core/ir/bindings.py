"""Where every input of a task comes from, checked against both ends."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from nodewise.core.errors import InvalidPipeline, UnsupportedFeature
from nodewise.core.ir.components import Component, constant
from nodewise.core.ir.guard import at
from nodewise.core.ir.templates import has_other_placeholder, references
from nodewise.core.ir.wire import plain
from nodewise.core.model.ids import TaskPath
from nodewise.core.model.pipeline import (
    FromConstant,
    FromRun,
    FromTask,
    ParameterSource,
    ParameterSpec,
    ParameterType,
)

_CHANNEL = "pipelinechannel--"
"""KFP's prefix for values that only placeholders of the same task refer to."""
_ANY_ARTIFACT = "system.Artifact"


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """What a task may refer to: the run's parameters and the other tasks' components, by task name."""

    parameters: Mapping[str, ParameterSpec]
    components: Mapping[str, Component]


@dataclass(frozen=True, slots=True, kw_only=True)
class Bindings:
    """The sources of a task's inputs, by input name."""

    parameters: Mapping[str, ParameterSource]
    artifacts: Mapping[str, FromTask]


def read_bindings(inputs: Any, component: Component, scope: Scope, *, path: str) -> Bindings:
    """Read a task's inputs.

    Args:
        inputs: a `TaskInputsSpec`.
        component: the task's own component.
        scope: what it may refer to.
        path: of `inputs`, in the IR.

    Raises:
        InvalidPipeline: an input that nobody has, a wrong type, a required input without a source.
    """
    parameters = _parameters(inputs.parameters, component, scope, at(path, "parameters"))
    artifacts = _artifacts(inputs.artifacts, component, scope, at(path, "artifacts"))
    _check_complete(component, parameters, artifacts, path)
    return Bindings(parameters=parameters, artifacts=artifacts)


def _parameters(
    inputs: Mapping[str, Any], component: Component, scope: Scope, path: str
) -> dict[str, ParameterSource]:
    sources: dict[str, ParameterSource] = {}
    for name in sorted(inputs):
        wanted = component.input_parameters.get(name)
        if wanted is None and not name.startswith(_CHANNEL):
            raise _no_input(at(path, name), "parameter", component.input_parameters)
        sources[name] = _parameter_source(inputs[name], wanted, scope, at(path, name))
    for name, source in sources.items():
        if isinstance(source, FromConstant):
            _check_references(source, sources, at(path, name))
    return sources


def _parameter_source(message: Any, wanted: ParameterSpec | None, scope: Scope, path: str) -> ParameterSource:
    if message.parameter_expression_selector:
        raise UnsupportedFeature(
            at(path, "parameterExpressionSelector"), "a part of a value", "take it apart inside the task"
        )
    kind = message.WhichOneof("kind")
    if kind == "runtime_value":
        return _constant(message.runtime_value, wanted, at(path, "runtimeValue"))
    if kind == "component_input_parameter":
        return _from_run(
            message.component_input_parameter, wanted, scope, at(path, "componentInputParameter")
        )
    if kind == "task_output_parameter":
        return _from_task(message.task_output_parameter, wanted, scope, at(path, "taskOutputParameter"))
    if kind == "task_final_status":
        raise UnsupportedFeature(at(path, "taskFinalStatus"), "an exit handler", "leave it out")
    raise InvalidPipeline(path, "has no source")


def _constant(message: Any, wanted: ParameterSpec | None, path: str) -> FromConstant:
    if message.WhichOneof("value") != "constant":
        raise InvalidPipeline(at(path, "constant"), "is required")
    path = at(path, "constant")
    value = plain(message.constant)
    if has_other_placeholder(value):
        raise UnsupportedFeature(
            path, "a placeholder that is not an input parameter", "pass the value itself"
        )
    if wanted is None or (value is None and wanted.optional):
        return FromConstant(value=value)
    try:
        return FromConstant(value=constant(value, wanted.type))
    except ValueError as error:
        raise InvalidPipeline(path, f"{error} ({wanted.type})") from error


def _from_run(name: str, wanted: ParameterSpec | None, scope: Scope, path: str) -> FromRun:
    given = scope.parameters.get(name)
    if given is None:
        raise InvalidPipeline(path, f"the pipeline has no parameter named {name[:80]!r}")
    _check_type(given, wanted, path)
    return FromRun(parameter=name)


def _from_task(message: Any, wanted: ParameterSpec | None, scope: Scope, path: str) -> FromTask:
    producer = _producer(message.producer_task, scope, path)
    given = producer.output_parameters.get(message.output_parameter_key)
    if given is None:
        raise _no_output(at(path, "outputParameterKey"), message, "parameter", producer.output_parameters)
    _check_type(given, wanted, path)
    return FromTask(task=TaskPath(message.producer_task), output=message.output_parameter_key)


def _check_type(given: ParameterSpec, wanted: ParameterSpec | None, path: str) -> None:
    """A STRING input takes anything (as JSON), a double takes an integer; else the types must be the same."""
    if wanted is None or wanted.type in (given.type, ParameterType.STRING):
        return
    if (given.type, wanted.type) == (ParameterType.NUMBER_INTEGER, ParameterType.NUMBER_DOUBLE):
        return
    raise InvalidPipeline(path, f"gives {given.type}, but the input is {wanted.type}")


def _check_references(source: FromConstant, sources: Mapping[str, ParameterSource], path: str) -> None:
    for name in sorted(references(source.value)):
        target = sources.get(name)
        if target is None:
            raise InvalidPipeline(path, f"refers to the input {name[:80]!r}, which the task does not have")
        if isinstance(target, FromConstant) and references(target.value):
            raise InvalidPipeline(path, f"refers to the input {name[:80]!r}, which is itself a reference")


def _artifacts(
    inputs: Mapping[str, Any], component: Component, scope: Scope, path: str
) -> dict[str, FromTask]:
    sources = {}
    for name in sorted(inputs):
        wanted = component.input_artifacts.get(name)
        if wanted is None:
            raise _no_input(at(path, name), "artifact", component.input_artifacts)
        sources[name] = _artifact_source(inputs[name], wanted.schema_title, scope, at(path, name))
    return sources


def _artifact_source(message: Any, schema_title: str, scope: Scope, path: str) -> FromTask:
    if message.WhichOneof("kind") != "task_output_artifact":
        raise InvalidPipeline(path, "must come from a task's output (taskOutputArtifact)")
    path, message = at(path, "taskOutputArtifact"), message.task_output_artifact
    producer = _producer(message.producer_task, scope, path)
    given = producer.output_artifacts.get(message.output_artifact_key)
    if given is None:
        raise _no_output(at(path, "outputArtifactKey"), message, "artifact", producer.output_artifacts)
    if schema_title not in (given.schema_title, _ANY_ARTIFACT) and given.schema_title != _ANY_ARTIFACT:
        raise InvalidPipeline(path, f"gives {given.schema_title[:80]}, but the input is {schema_title[:80]}")
    return FromTask(task=TaskPath(message.producer_task), output=message.output_artifact_key)


def _producer(name: str, scope: Scope, path: str) -> Component:
    if name not in scope.components:
        raise InvalidPipeline(at(path, "producerTask"), f"no task named {name[:80]!r}")
    return scope.components[name]


def _check_complete(
    component: Component,
    parameters: Mapping[str, ParameterSource],
    artifacts: Mapping[str, FromTask],
    path: str,
) -> None:
    for name, parameter in component.input_parameters.items():
        if name not in parameters and not parameter.optional:
            raise InvalidPipeline(at(path, f"parameters.{name}"), "is required")
    for name, artifact in component.input_artifacts.items():
        if name not in artifacts and not artifact.optional:
            raise InvalidPipeline(at(path, f"artifacts.{name}"), "is required")


def _no_input(path: str, kind: str, known: Mapping[str, object]) -> InvalidPipeline:
    return InvalidPipeline(path, f"the component has no such input {kind}; it has: {_list(known)}")


def _no_output(path: str, message: Any, kind: str, known: Mapping[str, object]) -> InvalidPipeline:
    task = message.producer_task[:80]
    return InvalidPipeline(path, f"task {task!r} has no such output {kind}; it has: {_list(known)}")


def _list(names: Mapping[str, object]) -> str:
    return ", ".join(sorted(names)[:20]) or "none"
