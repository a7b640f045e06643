"""Where every input of a step comes from, checked against both ends."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

from nodewise.core.errors import InvalidPipeline
from nodewise.core.ir.advice import on_channel
from nodewise.core.ir.expressions import Expression, inputs_of, parse_expression
from nodewise.core.ir.guard import at
from nodewise.core.ir.parameters import whole_numbers
from nodewise.core.ir.placeholders import Known, Part, check, has_placeholder, references, texts
from nodewise.core.ir.tree import (
    ArtifactSource,
    Component,
    Constant,
    FinalStatus,
    FromInput,
    FromStep,
    ParameterBinding,
    ParameterSource,
)
from nodewise.core.ir.values import constant, fits
from nodewise.core.ir.wire import plain
from nodewise.core.model.component import Parameter, Signature, ValueKind

_ANY_ARTIFACT: Final = "system.Artifact"
_PLACES: Final = MappingProxyType(
    {
        "component_input_parameter": "componentInputParameter",
        "task_output_parameter": "taskOutputParameter",
        "task_final_status": "taskFinalStatus",
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What a step may refer to: the inputs of its DAG, the steps beside it, and which of those are loops.

    `inner` means that the DAG is not the whole pipeline. What KFP declares STRING there may be anything: the items of a list whose
    type it does not know.
    """

    inputs: Signature
    components: Mapping[str, Component]
    loops: frozenset[str]
    inner: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class StepInputs:
    """The sources of a step's inputs, by input name."""

    parameters: Mapping[str, ParameterBinding]
    artifacts: Mapping[str, ArtifactSource]


def read_inputs(
    message: Any, component: Component, around: Surroundings, *, given: frozenset[str], path: str
) -> StepInputs:
    """Read a `TaskInputsSpec`.

    Args:
        message: the message.
        component: of the step itself.
        around: what it may refer to.
        given: inputs that come from the step's own loop, and so need no source.
        path: of the inputs, in the IR.

    Raises:
        InvalidPipeline: a source that is not there or of another type, a required input without one.
    """
    parameters = _parameters(message.parameters, component, around, at(path, "parameters"))
    artifacts = _artifacts(message.artifacts, component, around, at(path, "artifacts"))
    signature = component.signature
    for name, parameter in signature.input_parameters.items():
        needless = parameter.optional or parameter.kind is ValueKind.TASK_CONFIG
        if name not in parameters and name not in given and not needless:
            raise InvalidPipeline(at(path, f"parameters.{name}"), "is required")
    for name, artifact in signature.input_artifacts.items():
        if name not in artifacts and name not in given and not artifact.optional:
            raise InvalidPipeline(at(path, f"artifacts.{name}"), "is required")
    return StepInputs(parameters=parameters, artifacts=artifacts)


def _parameters(
    inputs: Mapping[str, Any], component: Component, around: Surroundings, path: str
) -> dict[str, ParameterBinding]:
    bindings = {}
    for name in sorted(inputs):
        wanted = component.signature.input_parameters.get(name)
        bindings[name] = _parameter(inputs[name], wanted, around, at(path, name))
    for name, binding in bindings.items():
        if isinstance(binding.source, Constant):
            _check_references(binding.source, bindings, at(path, name))
    return bindings


def _parameter(message: Any, wanted: Parameter | None, around: Surroundings, path: str) -> ParameterBinding:
    selector = _selector(message.parameter_expression_selector, path)
    source, given = _source(message, wanted, around, path)
    if selector is None and given is not None and wanted is not None and not fits(given, wanted.kind):
        place = at(path, _PLACES[message.WhichOneof("kind")])
        raise InvalidPipeline(place, f"gives {given}, but the input is {wanted.kind}")
    return ParameterBinding(source=source, selector=selector)


def _selector(text: str, path: str) -> Expression | None:
    if not text:
        return None
    path = at(path, "parameterExpressionSelector")
    selector = parse_expression(text, path=path)
    if inputs_of(selector):
        raise InvalidPipeline(path, "a selector sees the value only, no other input")
    return selector


def _source(
    message: Any, wanted: Parameter | None, around: Surroundings, path: str
) -> tuple[ParameterSource, ValueKind | None]:
    """The source and, where it is known before anything ran, the type of what it gives."""
    kind = message.WhichOneof("kind")
    if kind == "runtime_value":
        return _constant(message.runtime_value, wanted, at(path, "runtimeValue")), None
    if kind == "component_input_parameter":
        return _from_input(message.component_input_parameter, around, at(path, "componentInputParameter"))
    if kind == "task_output_parameter":
        return _from_step(message.task_output_parameter, around, at(path, "taskOutputParameter"))
    if kind == "task_final_status":
        name = message.task_final_status.producer_task
        _producer(name, around, at(path, "taskFinalStatus"))
        return FinalStatus(step=name), ValueKind.TASK_FINAL_STATUS
    raise InvalidPipeline(path, "has no source")


def _constant(message: Any, wanted: Parameter | None, path: str) -> Constant:
    if message.WhichOneof("value") != "constant":
        raise InvalidPipeline(at(path, "constant"), "is required")
    path, value = at(path, "constant"), plain(message.constant)
    if wanted is None or (value is None and wanted.optional):
        return Constant(value=whole_numbers(value))
    if any(has_placeholder(text) for text in texts(value)):
        return Constant(value=whole_numbers(value))
    try:
        return Constant(value=constant(value, wanted))
    except ValueError as error:
        raise InvalidPipeline(path, f"{error} ({wanted.kind})") from error


def _from_input(name: str, around: Surroundings, path: str) -> tuple[FromInput, ValueKind | None]:
    given = around.inputs.input_parameters.get(name)
    if given is None:
        rule = f"the pipeline around it has no parameter named {name[:80]!r}{on_channel(name)}"
        raise InvalidPipeline(path, rule)
    unsure = around.inner and given.kind is ValueKind.STRING
    return FromInput(name=name), None if unsure else given.kind


def _from_step(message: Any, around: Surroundings, path: str) -> tuple[FromStep, ValueKind | None]:
    name, key = message.producer_task, message.output_parameter_key
    producer = _producer(name, around, path)
    given = producer.signature.output_parameters.get(key)
    if given is None:
        raise _no_output(at(path, "outputParameterKey"), name, producer.signature.output_parameters)
    # A loop gives a list of whatever its body gives, though KFP declares the list on the body already.
    kind = ValueKind.LIST if name in around.loops else given.kind
    return FromStep(step=name, output=key), kind


def _check_references(source: Constant, bindings: Mapping[str, ParameterBinding], path: str) -> None:
    path = at(path, "runtimeValue.constant")
    known = Known(input_parameters=frozenset(bindings), parts=frozenset({Part.INPUT_PARAMETER}))
    check(source.value, known, path=path)
    for reference in references(source.value):
        target = bindings.get(reference.name)
        if target is None or not isinstance(target.source, Constant):
            continue
        if any(inner.part is Part.INPUT_PARAMETER for inner in references(target.source.value)):
            raise InvalidPipeline(
                path, f"refers to the input {reference.name[:80]!r}, which is itself a reference"
            )


def _artifacts(
    inputs: Mapping[str, Any], component: Component, around: Surroundings, path: str
) -> dict[str, ArtifactSource]:
    sources = {}
    for name in sorted(inputs):
        wanted = component.signature.input_artifacts.get(name)
        if wanted is None:
            known = ", ".join(sorted(component.signature.input_artifacts)[:20]) or "none"
            raise InvalidPipeline(
                at(path, name), f"the component has no such input artifact; it has: {known}"
            )
        sources[name] = _artifact(inputs[name], wanted.schema_title, around, at(path, name))
    return sources


def _artifact(message: Any, wanted: str, around: Surroundings, path: str) -> ArtifactSource:
    kind = message.WhichOneof("kind")
    if kind == "component_input_artifact":
        name = message.component_input_artifact
        artifact = around.inputs.input_artifacts.get(name)
        source: ArtifactSource = FromInput(name=name)
        missing = InvalidPipeline(
            at(path, "componentInputArtifact"), f"the pipeline around it has no artifact {name[:80]!r}"
        )
    elif kind == "task_output_artifact":
        path, output = at(path, "taskOutputArtifact"), message.task_output_artifact
        producer = _producer(output.producer_task, around, path).signature
        artifact = producer.output_artifacts.get(output.output_artifact_key)
        source = FromStep(step=output.producer_task, output=output.output_artifact_key)
        missing = _no_output(at(path, "outputArtifactKey"), output.producer_task, producer.output_artifacts)
    else:
        raise InvalidPipeline(path, "must come from a task or from the pipeline around it")
    if artifact is None:
        raise missing
    if _ANY_ARTIFACT not in (wanted, artifact.schema_title) and wanted != artifact.schema_title:
        raise InvalidPipeline(path, f"gives {artifact.schema_title[:80]}, but the input is {wanted[:80]}")
    return source


def _producer(name: str, around: Surroundings, path: str) -> Component:
    if name not in around.components:
        raise InvalidPipeline(at(path, "producerTask"), f"no task named {name[:80]!r}")
    return around.components[name]


def _no_output(path: str, task: str, known: Mapping[str, object]) -> InvalidPipeline:
    names = ", ".join(sorted(known)[:20]) or "none"
    return InvalidPipeline(path, f"task {task[:80]!r} has no such output; it has: {names}")


def check_condition(text: str, inputs: StepInputs, *, given: frozenset[str], path: str) -> Expression | None:
    """Read a step's condition; None where it has none.

    Raises:
        InvalidPipeline: no expression, or one that refers to what the step does not have.
        UnsupportedFeature: CEL beyond what KFP's compiler writes.
    """
    if not text:
        return None
    condition = parse_expression(text, path=path)
    for name in sorted(inputs_of(condition)):
        if name not in inputs.parameters and name not in given:
            raise InvalidPipeline(path, f"refers to the input {name[:80]!r}, which the task does not have")
    return condition
