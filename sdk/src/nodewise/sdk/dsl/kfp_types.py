"""Signatures in KFP's types."""

import inspect
import types
import typing
from collections.abc import Callable
from typing import Any, Final

from kfp import dsl

from nodewise.core.model.component import ValueKind
from nodewise.sdk.dsl.signature import PARAMETER_TYPES, Input, Output, Role, Signature
from nodewise.sdk.dsl.status import RunStatus

IR_TYPES: Final = {
    str: ValueKind.STRING,
    bool: ValueKind.BOOLEAN,
    int: ValueKind.NUMBER_INTEGER,
    float: ValueKind.NUMBER_DOUBLE,
    list: ValueKind.LIST,
    dict: ValueKind.STRUCT,
}


def kfp_function(function: Callable[..., Any], signature: Signature, role: Role) -> Callable[..., Any]:
    """A copy of the function with annotations that KFP understands."""
    copy = types.FunctionType(
        function.__code__, function.__globals__, function.__name__, None, function.__closure__
    )
    return with_kfp_signature(copy, function, signature, role)


def with_kfp_signature(
    target: Any, function: Callable[..., Any], signature: Signature, role: Role
) -> Callable[..., Any]:
    """`target` called and described as `function`, with a signature in KFP's types."""
    target.__name__ = function.__name__
    target.__doc__ = function.__doc__
    target.__module__ = function.__module__
    target.__signature__ = kfp_signature(signature, role)
    target.__annotations__ = {item.name: _annotation(item, role) for item in signature.arguments}
    return typing.cast("Callable[..., Any]", target)


def kfp_signature(signature: Signature, role: Role) -> inspect.Signature:
    """The signature in KFP's types; all by keyword."""
    return inspect.Signature(
        [_parameter(item, role) for item in signature.arguments], return_annotation=_return(signature)
    )


def _parameter(item: Input | Output, role: Role) -> inspect.Parameter:
    default = item.default if isinstance(item, Input) and item.has_default else inspect.Parameter.empty
    # Keyword only, so that the order of those with and without defaults does not matter.
    return inspect.Parameter(
        item.name, inspect.Parameter.KEYWORD_ONLY, annotation=_annotation(item, role), default=default
    )


def _annotation(item: Input | Output, role: Role) -> Any:
    if isinstance(item, Output):
        if role is Role.CONTAINER and not item.is_artifact:
            return dsl.OutputPath(item.type)
        return dsl.Output[_artifact(item)]
    if item.type is RunStatus:
        return dsl.PipelineTaskFinalStatus
    if item.is_artifact:
        return dsl.Input[_artifact(item)]
    plain = _plain(item.hint, item.type)
    return typing.Optional[plain] if item.optional else plain  # noqa: UP045 (KFP strips this form)


def _artifact(item: Input | Output) -> Any:
    kind = getattr(dsl, item.type.__name__)
    return typing.List[kind] if item.many else kind  # type: ignore[valid-type]  # noqa: UP006 (KFP knows this form)


def _plain(hint: Any, kind: type) -> Any:
    """With the types of items where they are plain, since conditions on the items of a loop rest on them."""
    inner = typing.get_args(hint)
    if kind is list and len(inner) == 1 and _is_typed(inner[0]):
        return typing.List[_plain(inner[0], _bare(inner[0]))]  # type: ignore[misc]  # noqa: UP006
    if kind is dict and len(inner) == 2 and inner[0] is str and _is_typed(inner[1]):
        return typing.Dict[str, _plain(inner[1], _bare(inner[1]))]  # type: ignore[misc]  # noqa: UP006
    return kind


def _bare(hint: Any) -> Any:
    return typing.get_origin(hint) or hint


def _is_typed(hint: Any) -> bool:
    return _bare(hint) in PARAMETER_TYPES


def _return(signature: Signature) -> Any:
    if not signature.returned:
        return inspect.Signature.empty
    kinds = [
        _artifact(item) if item.is_artifact else _plain(item.hint, item.type) for item in signature.returned
    ]
    if len(kinds) == 1 and signature.returned[0].name == "Output":
        return kinds[0]
    names = [output.name for output in signature.returned]
    return typing.NamedTuple("Outputs", list(zip(names, kinds, strict=True)))
