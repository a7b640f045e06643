"""Values between our outputs and KFP's channels: handed on, in text, in loops, in conditions."""

import math
from collections.abc import Mapping
from typing import Any, Final

from kfp import dsl
from kfp.dsl import for_loop, pipeline_channel
from kfp.dsl.types import type_annotations, type_utils

from nodewise.core.ir.parameters import coerce
from nodewise.core.model.component import ValueKind
from nodewise.sdk.dsl.artifacts import Artifact
from nodewise.sdk.dsl.blocks import Scope, check_reach
from nodewise.sdk.dsl.errors import PipelineError, place_of_caller
from nodewise.sdk.dsl.handle import TaskHandle
from nodewise.sdk.dsl.kfp_types import IR_TYPES
from nodewise.sdk.dsl.signature import SINGLE_OUTPUT, Input, Output
from nodewise.sdk.dsl.unknown import Condition, Origin, TaskOutput

_NUMBERS: Final = frozenset({ValueKind.NUMBER_INTEGER, ValueKind.NUMBER_DOUBLE})
_WORDS: Final = {
    ValueKind.STRING: "text",
    ValueKind.BOOLEAN: "a bool",
    ValueKind.NUMBER_INTEGER: "a number",
    ValueKind.NUMBER_DOUBLE: "a number",
    ValueKind.LIST: "a list",
    ValueKind.STRUCT: "a dict",
}
_EQUALITY: Final = frozenset({"==", "!="})
_GATHERED: Final = (dsl.Collected, pipeline_channel.OneOfMixin)


def as_output(channel: Any, subject: str, scope: Scope) -> TaskOutput:
    """Our output of a channel of KFP's."""
    return TaskOutput(Origin(channel=channel, subject=subject, text=text_of(channel), scope=scope))


def outputs_of(owner: str, channels: Mapping[str, Any], scope: Scope) -> dict[str, TaskOutput]:
    """All outputs of a step. `owner` is how messages name it."""
    return {
        name: as_output(
            channel,
            f"what {owner} returns" if name == SINGLE_OUTPUT else f"the output {name!r} of {owner}",
            scope,
        )
        for name, channel in channels.items()
    }


def text_of(channel: Any) -> str | None:
    """Its placeholder; without the types of items, since KFP's compiler does not find a placeholder with brackets again."""
    if isinstance(channel, _GATHERED) or not isinstance(channel, pipeline_channel.PipelineParameterChannel):
        return None
    plain = pipeline_channel.PipelineParameterChannel(
        name=channel.name,
        channel_type=type_annotations.get_short_type_name(str(channel.channel_type)),
        task_name=channel.task_name,
    )
    return str(plain)


def handed_on(value: Any, here: Scope, *, inside: bool = False) -> Any:
    """The value with each output in it, at any depth of lists and dicts, as KFP's channel.

    Raises:
        PipelineError: an output cannot be used here, or not as a part of something.
    """
    if isinstance(value, TaskHandle):
        value = value.output
    if isinstance(value, TaskOutput):
        origin = value._origin
        check_reach(origin.subject, origin.scope, here)
        if inside and origin.text is None:
            raise PipelineError(
                place_of_caller(), f"{origin.subject} cannot be a part of a list or dict: hand it on alone"
            )
        return origin.channel
    if isinstance(value, Condition):
        value._refuse()
    if isinstance(value, list | tuple):
        return [handed_on(item, here, inside=True) for item in value]
    if isinstance(value, dict):
        return {key: handed_on(item, here, inside=True) for key, item in value.items()}
    return value


def argument(subject: str, item: Input, value: Any, here: Scope) -> Any:
    """What KFP is given for an input.

    Raises:
        PipelineError: it is no value of the input's type.
    """
    value = handed_on(value, here)
    if item.is_artifact or value is None or not isinstance(value, str | bool | int | float | list | dict):
        return value
    try:
        return coerce(value, IR_TYPES[item.type])
    except ValueError as error:
        raise PipelineError(
            place_of_caller(), f"{subject}: the input {item.name!r} {error}, is {value!r}"
        ) from error


def type_of(value: Any) -> ValueKind | None:
    """The type of a channel or constant; None for an artifact, and for an item of a list of anything."""
    if isinstance(value, pipeline_channel.PipelineChannel):
        loose = isinstance(value, for_loop.LoopParameterArgument | for_loop.LoopArgumentVariable)
        if (loose and value.channel_type == "String") or not type_utils.is_parameter_type(value.channel_type):
            return None
        return ValueKind(type_utils.get_parameter_type_name(value.channel_type))
    return IR_TYPES.get(type(value))


def is_of(output: Output, channel: Any) -> bool:
    """Whether a channel may be returned as that output of a pipeline."""
    if not output.is_artifact:
        return type_of(channel) is IR_TYPES[output.type]
    many = getattr(channel, "is_artifact_list", None)
    kind = str(channel.channel_type).partition("@")[0]
    return many is output.many and (kind == f"system.{output.type.__name__}" or output.type is Artifact)


def comparison(condition: Any, here: Scope, word: str) -> Any:
    """KFP's operation for what was given to `when`.

    Raises:
        PipelineError: it cannot be decided by a comparison of KFP's.
    """
    if isinstance(condition, TaskHandle):
        condition = condition.output
    if isinstance(condition, TaskOutput):
        condition = _of_bool(condition, word)
    if not isinstance(condition, Condition):
        raise PipelineError(
            place_of_caller(),
            f"`{word}` takes a comparison of an output or a parameter, not {condition!r}, "
            "which is known already: write a plain `if`",
        )
    left, right = handed_on(condition.left, here), handed_on(condition.right, here)
    _check_comparable(condition, left, right, word)
    return pipeline_channel.ConditionOperation(condition.sign, _operand(left), _operand(right))


def _of_bool(flag: TaskOutput, word: str) -> Condition:
    kind = type_of(flag._origin.channel)
    if kind is not ValueKind.BOOLEAN:
        what = "an item of unknown type" if kind is None else _WORDS[kind]
        raise PipelineError(
            place_of_caller(),
            f"`{word}` takes a comparison, or a bool; {flag._subject()} is {what}: compare it",
        )
    return Condition(flag, "==", True)


def _check_comparable(condition: Condition, left: Any, right: Any, word: str) -> None:
    kinds = (_comparable(condition.left, left, word), _comparable(condition.right, right, word))
    if not all(kind in _NUMBERS for kind in kinds) and kinds[0] is not kinds[1]:
        shown = " with ".join(_WORDS[kind] for kind in kinds)
        raise PipelineError(
            place_of_caller(),
            f"`{word}` compares {shown}, which are never equal; an item of a loop is taken for text "
            "where its list does not say what it holds: annotate it (`list[int]`)",
        )
    if ValueKind.BOOLEAN in kinds and condition.sign not in _EQUALITY:
        raise PipelineError(
            place_of_caller(), f"`{word}`: bools are equal or not, {condition.sign} means nothing"
        )


def _comparable(said: Any, value: Any, word: str) -> ValueKind:
    """The type by which it is compared; KFP takes an item of a list of anything for text."""
    loose = isinstance(value, for_loop.LoopParameterArgument | for_loop.LoopArgumentVariable)
    kind = ValueKind.STRING if loose and type_of(value) is None else type_of(value)
    plain = kind in _NUMBERS or kind in (ValueKind.STRING, ValueKind.BOOLEAN)
    if kind is None or not plain or (isinstance(value, float) and not math.isfinite(value)):
        shown = said._subject() if isinstance(said, TaskOutput | TaskHandle) else repr(said)
        raise PipelineError(
            place_of_caller(),
            f"`{word}` compares texts, numbers and bools, but {shown} is none: decide inside a task",
        )
    return kind


def _operand(value: Any) -> Any:
    """A text with what ends it escaped: KFP puts it between single quotes as it is."""
    if not isinstance(value, str):
        return value
    escaped = value.replace("\\", "\\\\").replace("'", "\\'")
    return escaped.replace("\n", "\\n").replace("\r", "\\r").replace("\t", "\\t")
