"""A function's signature in the terms of a pipeline: typed parameters and artifacts, in and out."""

import inspect
import json
import types
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from nodewise.sdk.dsl.artifacts import ARTIFACTS, IN_MARK, OUT_MARK, Artifact
from nodewise.sdk.dsl.errors import PipelineError, Place, place_of

PARAMETER_TYPES: Final = (str, bool, int, float, list, dict)
SINGLE_OUTPUT: Final = "Output"
"""KFP's name for what a function returns."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Input:
    """A parameter (`type` is one of `PARAMETER_TYPES`) or an artifact that is read (`type` is its class)."""

    name: str
    type: type
    optional: bool = False
    default: object = None
    has_default: bool = False
    keyword_only: bool = False

    @property
    def is_artifact(self) -> bool:
        return issubclass(self.type, Artifact)


@dataclass(frozen=True, slots=True, kw_only=True)
class Output:
    """A value that is returned, or an artifact that is written."""

    name: str
    type: type

    @property
    def is_artifact(self) -> bool:
        return issubclass(self.type, Artifact)


@dataclass(frozen=True, slots=True, kw_only=True)
class Signature:
    """What a function takes and gives. `arguments` has all of its parameters in order: inputs and written artifacts.

    `returned` are the values it returns: none, one called `Output`, or the fields of a NamedTuple.
    """

    arguments: tuple[Input | Output, ...]
    returned: tuple[Output, ...] = ()

    @property
    def inputs(self) -> Mapping[str, Input]:
        return {item.name: item for item in self.arguments if isinstance(item, Input)}

    @property
    def outputs(self) -> Mapping[str, Output]:
        written = [item for item in self.arguments if isinstance(item, Output)]
        return {item.name: item for item in [*written, *self.returned]}


def read_signature(function: Callable[..., Any], *, subject: str) -> Signature:
    """Read what a function takes and gives.

    Args:
        function: a plain function with types on all its parameters.
        subject: how messages name it: "task 'train'".

    Raises:
        PipelineError: an annotation is missing or of no known type; says where.
    """
    place = place_of(function)
    hints = _hints(function, subject, place)
    parameters = inspect.signature(function).parameters.values()
    reader = _Reader(subject, place)
    return Signature(
        arguments=tuple(reader.argument(parameter, hints.get(parameter.name)) for parameter in parameters),
        returned=reader.returned(hints.get("return")),
    )


def _hints(typed: Any, subject: str, place: Place) -> dict[str, Any]:
    try:
        return typing.get_type_hints(typed, include_extras=True)
    except Exception as error:
        # Annotations written as text are the user's code: they may raise anything.
        raise PipelineError(place, f"{subject}: a type cannot be resolved: {error}") from error


class _Reader:
    def __init__(self, subject: str, place: Place) -> None:
        self._subject = subject
        self._place = place

    def argument(self, parameter: inspect.Parameter, hint: Any) -> Input | Output:
        name = parameter.name
        if parameter.kind not in (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY):
            raise self._error(f"{name!r} must be a plain parameter, without * or /")
        if hint is None or name == SINGLE_OUTPUT:
            raise self._error(
                f"{name!r} has no type" if hint is None else f"no parameter may be called {name!r}"
            )
        bare, optional = _strip_optional(hint)
        marks = getattr(bare, "__metadata__", ())
        if OUT_MARK in marks:
            return Output(name=name, type=self._artifact(name, bare))
        kind = self._artifact(name, bare) if IN_MARK in marks else self._parameter(name, bare)
        if optional and parameter.default is inspect.Parameter.empty:
            raise self._error(f"{name!r} is optional: give it a default of None")
        return Input(
            name=name, type=kind, optional=parameter.default is not inspect.Parameter.empty,
            keyword_only=parameter.kind is inspect.Parameter.KEYWORD_ONLY, **self._default(parameter, kind),
        )  # fmt: skip

    def returned(self, hint: Any) -> tuple[Output, ...]:
        if hint is None or hint is type(None):
            return ()
        if isinstance(hint, type) and issubclass(hint, tuple) and hasattr(hint, "_fields"):
            fields = _hints(hint, self._subject, self._place)
            return tuple(Output(name=name, type=self._parameter(name, fields[name])) for name in hint._fields)
        return (Output(name=SINGLE_OUTPUT, type=self._parameter("return", _strip_optional(hint)[0])),)

    def _artifact(self, name: str, hint: Any) -> type:
        kind = typing.get_args(hint)[0]
        if kind not in ARTIFACTS:
            known = ", ".join(artifact.__name__ for artifact in ARTIFACTS)
            raise self._error(f"{name!r} must be In[...] or Out[...] of one of {known}")
        return typing.cast("type", kind)

    def _parameter(self, name: str, hint: Any) -> type:
        kind = typing.get_origin(hint) or hint
        if kind in PARAMETER_TYPES:
            return typing.cast("type", kind)
        if isinstance(kind, type) and issubclass(kind, Artifact):
            raise self._error(f"{name!r} is an artifact: write In[{kind.__name__}] or Out[{kind.__name__}]")
        known = ", ".join(parameter.__name__ for parameter in PARAMETER_TYPES)
        raise self._error(f"{name!r} must be one of {known}, or In[...] or Out[...] of an artifact")

    def _default(self, parameter: inspect.Parameter, kind: type) -> dict[str, Any]:
        value = parameter.default
        if value is inspect.Parameter.empty:
            return {"has_default": False}
        if kind is float and type(value) is int:
            value = float(value)
        if value is not None and (
            issubclass(kind, Artifact) or type(value) is not kind or not _is_json(value)
        ):
            raise self._error(f"the default of {parameter.name!r} must be a plain {kind.__name__} or None")
        return {"default": value, "has_default": True}

    def _error(self, rule: str) -> PipelineError:
        return PipelineError(self._place, f"{self._subject}: {rule}")


def _strip_optional(hint: Any) -> tuple[Any, bool]:
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        rest = [part for part in typing.get_args(hint) if part is not type(None)]
        if len(rest) == 1:
            return rest[0], True
    return hint, False


def _is_json(value: object) -> bool:
    try:
        return bool(json.loads(json.dumps(value, allow_nan=False)) == value)
    except (TypeError, ValueError):
        return False
