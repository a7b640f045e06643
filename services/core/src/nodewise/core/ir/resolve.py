"""The values of a step's inputs, from those of the DAG around it and from what the steps before it left."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, cast

from nodewise.core.errors import TooMuchText, UnresolvedInput
from nodewise.core.ir.evaluation import ExpressionFailed, holds, select
from nodewise.core.ir.expressions import inputs_of
from nodewise.core.ir.moves import Cause
from nodewise.core.ir.parameters import as_text
from nodewise.core.ir.placeholders import Fact, Part, Reference, expand
from nodewise.core.ir.rows import RunFacts
from nodewise.core.ir.tree import (
    ArtifactLoop,
    ArtifactSource,
    Constant,
    Dag,
    FinalStatus,
    FromInput,
    FromStep,
    ParameterBinding,
    ParameterLoop,
    ParameterSource,
    Step,
)
from nodewise.core.ir.values import typed
from nodewise.core.lifecycle import TaskState
from nodewise.core.model.artifact import ArtifactRef, Values
from nodewise.core.model.component import Artifact, Parameter, ValueKind

_STATUS: Final[Mapping[TaskState, str]] = {TaskState.CANCELED: "CANCELLED"}
_CODES: Final[Mapping[TaskState, int]] = {TaskState.FAILED: 2, TaskState.CANCELED: 1}
"""google.rpc.Code: CANCELLED is 1, UNKNOWN is 2."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StepResult:
    """How a step stands. `message` says why it did not succeed; `cause` why nothing of it ever ran, where that is so."""

    state: TaskState
    outputs: Values = field(default_factory=Values)
    message: str = ""
    cause: Cause | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """What the steps of one instance of a DAG see."""

    inputs: Values
    results: Mapping[str, StepResult]
    facts: RunFacts


def resolve(step: Step, scope: Scope, *, path: str) -> Values:
    """All inputs of a step, those too that only placeholders and conditions refer to.

    A missing optional input of a leaf has its default, and without one it is left out; of a DAG it is None then, so that it
    can be passed on. The item of the step's own loop is not among them.

    Args:
        step: whose upstream ended as it wants.
        scope: what it sees.
        path: its own path, for placeholders and errors.

    Raises:
        UnresolvedInput: an upstream left no value, or one of another type; names the input.
    """
    raw = {name: _value(name, binding, scope, path) for name, binding in step.parameters.items()}
    facts = scope.facts.of_task(path)
    values: dict[str, object] = {}
    for name, binding in step.parameters.items():
        try:
            values[name] = _expanded(binding, raw[name], raw, facts)
        except TooMuchText as error:
            raise UnresolvedInput(path, name, str(error)) from error
    artifacts = {name: _artifacts(source, scope) for name, source in step.artifacts.items()}
    own_item = {step.loop.item_input} if step.loop is not None else set()
    return Values(
        parameters=_checked_parameters(step, values, own_item, path),
        artifacts=_checked_artifacts(step, artifacts, own_item, path),
    )


def _value(name: str, binding: ParameterBinding, scope: Scope, path: str) -> object:
    return selected(name, binding, _of_source(binding.source, scope), path=path)


def selected(name: str, binding: ParameterBinding, value: object, *, path: str) -> object:
    """The part of its source's value that an input takes.

    Raises:
        UnresolvedInput: the value has no such part.
    """
    if binding.selector is None or value is None:
        return value
    try:
        return select(binding.selector, value)
    except (ExpressionFailed, RecursionError) as error:
        raise UnresolvedInput(path, name, str(error)) from error


def _of_source(source: ParameterSource, scope: Scope) -> object:
    if isinstance(source, Constant):
        return source.value
    if isinstance(source, FromInput):
        return scope.inputs.parameters.get(source.name)
    result = scope.results[source.step]
    if isinstance(source, FinalStatus):
        return final_status(source.step, result, scope.facts)
    return result.outputs.parameters.get(source.output)


def final_status(step: str, result: StepResult, facts: RunFacts) -> dict[str, object]:
    """KFP's `PipelineTaskFinalStatus` as JSON: SUCCEEDED, FAILED, CANCELLED or SKIPPED, and the error where there was one."""
    code = _CODES.get(result.state)
    return {
        "state": _STATUS.get(result.state, result.state.value),
        "pipelineJobUuid": facts.run_id,
        "pipelineJobName": facts.name,
        "pipelineJobResourceName": facts.resource_name or facts.name,
        "pipelineTaskName": step,
        "error": {} if code is None else {"code": code, "message": result.message},
    }


def _expanded(
    binding: ParameterBinding, value: object, raw: Mapping[str, object], facts: Mapping[Fact, str]
) -> object:
    if not isinstance(binding.source, Constant):
        return value

    def found(reference: Reference) -> object:
        if isinstance(reference.part, Fact):
            return facts[reference.part]
        return raw.get(reference.name) if reference.part is Part.INPUT_PARAMETER else None

    return expand(value, found)


def _checked_parameters(
    step: Step, values: Mapping[str, object], own_item: set[str], path: str
) -> dict[str, object]:
    declared = step.component.signature.input_parameters
    checked = {name: value for name, value in values.items() if name not in declared}
    for name in declared:
        if name in own_item:
            continue
        value = accepted(step, name, values.get(name), path=path)
        if value is not None or isinstance(step.component, Dag):
            checked[name] = value
    return checked


def accepted(step: Step, name: str, value: object, *, path: str) -> object:
    """What a declared input of a step gets where that value is given for it. None: a leaf does not get it, a DAG can pass it on.

    Raises:
        UnresolvedInput: the value is of another type, or missing.
    """
    parameter = step.component.signature.input_parameters[name]
    value = parameter.default if value is None else value
    if value is not None:
        return _passed(step, name, value, path=path)
    if not parameter.optional and (isinstance(step.component, Dag) or name in step.parameters):
        raise UnresolvedInput(path, name, "there is no value for it")
    return None


def _passed(step: Step, name: str, value: object, *, path: str) -> object:
    """The value as its input's type, but for a STRING of a DAG: what KFP declares so may be an item of a list of anything.

    It becomes text where it is used: by a leaf, or by a condition.
    """
    parameter = step.component.signature.input_parameters[name]
    if isinstance(step.component, Dag) and parameter.kind is ValueKind.STRING:
        return value
    return _typed(name, value, parameter, path)


def condition_met(step: Step, values: Values) -> bool:
    """Whether the step's condition, if it has one, is met. To a condition what is declared STRING is text.

    Raises:
        ExpressionFailed: it cannot be decided.
    """
    if step.condition is None:
        return True
    declared = step.component.signature.input_parameters
    seen = {}
    for name in inputs_of(step.condition) & values.parameters.keys():
        value = values.parameters[name]
        is_text = name in declared and declared[name].kind is ValueKind.STRING
        seen[name] = as_text(value) if is_text and value is not None else value
    return holds(step.condition, seen)


def _typed(name: str, value: object, parameter: Parameter, path: str) -> object:
    try:
        return typed(value, parameter)
    except (ValueError, RecursionError) as error:
        raise UnresolvedInput(path, name, f"{error} ({parameter.kind})") from error


def _artifacts(source: ArtifactSource, scope: Scope) -> tuple[ArtifactRef, ...] | None:
    if isinstance(source, FromStep):
        return scope.results[source.step].outputs.artifacts.get(source.output)
    return scope.inputs.artifacts.get(source.name)


def _checked_artifacts(
    step: Step, found: Mapping[str, tuple[ArtifactRef, ...] | None], own_item: set[str], path: str
) -> dict[str, tuple[ArtifactRef, ...]]:
    checked = {}
    for name, artifact in step.component.signature.input_artifacts.items():
        if name in own_item:
            continue
        given = found.get(name)
        if given is not None:
            checked[name] = _counted(name, given, artifact, path)
        elif not artifact.optional:
            raise UnresolvedInput(path, name, "no artifact was left for it")
    return checked


def _counted(
    name: str, given: tuple[ArtifactRef, ...], artifact: Artifact, path: str
) -> tuple[ArtifactRef, ...]:
    if not artifact.is_list and len(given) != 1:
        raise UnresolvedInput(path, name, f"one artifact is wanted, {len(given)} are given")
    return given


def loop_items(step: Step, values: Values, *, path: str) -> tuple[object, ...]:
    """What a step's loop runs over: parameter values, or artifacts.

    Raises:
        UnresolvedInput: the items are no list.
    """
    loop = step.loop
    if isinstance(loop, ArtifactLoop):
        return values.artifacts.get(loop.items_input, ())
    if not isinstance(loop, ParameterLoop):
        return ()
    if loop.items is not None:
        return loop.items
    items = values.parameters.get(loop.items_input)
    if isinstance(items, str):
        items = _parsed(items)
    if not isinstance(items, list):
        raise UnresolvedInput(path, loop.items_input, "a loop needs a list of items")
    return tuple(items)


def _parsed(text: str) -> object:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def with_item(step: Step, values: Values, item: object, *, path: str) -> Values:
    """The inputs of one iteration of the step's loop.

    Raises:
        UnresolvedInput: the item is of another type than its input.
    """
    if isinstance(step.loop, ArtifactLoop):
        artifact = cast("ArtifactRef", item)
        return Values(
            parameters=values.parameters,
            artifacts={**values.artifacts, step.loop.item_input: (artifact,)},
        )
    name = step.loop.item_input if step.loop else ""
    if name in step.component.signature.input_parameters and item is not None:
        item = _passed(step, name, item, path=path)
    return Values(parameters={**values.parameters, name: item}, artifacts=values.artifacts)
