"""A function's signature in the terms of a pipeline: typed parameters and artifacts, in and out."""

import inspect
import json
import types
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final

from nodewise.sdk.dsl.artifacts import ARTIFACTS, IN_MARK, OUT_MARK, Artifact
from nodewise.sdk.dsl.errors import PipelineError, Place, place_of
from nodewise.sdk.dsl.status import RunStatus

PARAMETER_TYPES: Final = (str, bool, int, float, list, dict)
SINGLE_OUTPUT: Final = "Output"
"""KFP's name for what a function returns."""


class Role(Enum):
    """Whose signature it is: what may stand in it differs."""

    TASK = "task"
    CONTAINER = "container task"
    PIPELINE = "pipeline"


@dataclass(frozen=True, slots=True, kw_only=True)
class Input:
    """A parameter (`type` is one of `PARAMETER_TYPES`), an artifact that is read (`type` is its class), or a `RunStatus`.

    `hint` is the parameter's type in full, such as `list[float]`; `many` says that it is a list of artifacts.
    """

    name: str
    type: type
    hint: Any = None
    many: bool = False
    optional: bool = False
    default: object = None
    has_default: bool = False
    keyword_only: bool = False

    @property
    def is_artifact(self) -> bool:
        return issubclass(self.type, Artifact)

    @property
    def is_status(self) -> bool:
        return self.type is RunStatus


@dataclass(frozen=True, slots=True, kw_only=True)
class Output:
    """A value that is returned or written, or an artifact that is written. `hint` and `many` as for an `Input`."""

    name: str
    type: type
    hint: Any = None
    many: bool = False

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
        """What a caller gives: not the status, which is filled in."""
        return {item.name: item for item in self.arguments if isinstance(item, Input) and not item.is_status}

    @property
    def status_name(self) -> str | None:
        """The parameter that takes the `RunStatus`, if there is one."""
        return next(
            (item.name for item in self.arguments if isinstance(item, Input) and item.is_status), None
        )

    @property
    def outputs(self) -> Mapping[str, Output]:
        written = [item for item in self.arguments if isinstance(item, Output)]
        return {item.name: item for item in [*written, *self.returned]}


def read_signature(function: Callable[..., Any], *, subject: str, role: Role = Role.TASK) -> Signature:
    """Read what a function takes and gives.

    Args:
        function: a plain function with types on all its parameters.
        subject: how messages name it: "task 'train'".
        role: what it is for.

    Raises:
        PipelineError: an annotation is missing or of no known type; says where.
    """
    place = place_of(function)
    hints = _hints(function, subject, place)
    parameters = inspect.signature(function).parameters.values()
    reader = _Reader(subject, place, role)
    returns = None if role is Role.CONTAINER else hints.get("return")
    return Signature(
        arguments=tuple(reader.argument(parameter, hints.get(parameter.name)) for parameter in parameters),
        returned=reader.returned(returns),
    )


def _hints(typed: Any, subject: str, place: Place) -> dict[str, Any]:
    try:
        return typing.get_type_hints(typed, include_extras=True)
    except Exception as error:
        # Annotations written as text are the user's code: they may raise anything.
        raise PipelineError(place, f"{subject}: a type cannot be resolved: {error}") from error


class _Reader:
    def __init__(self, subject: str, place: Place, role: Role) -> None:
        self._subject = subject
        self._place = place
        self._role = role

    def argument(self, parameter: inspect.Parameter, hint: Any) -> Input | Output:
        name = parameter.name
        if parameter.kind not in (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY):
            raise self._error(f"{name!r} must be a plain parameter, without * or /")
        if hint is None or name == SINGLE_OUTPUT:
            raise self._error(
                f"{name!r} has no type" if hint is None else f"no parameter may be called {name!r}"
            )
        bare, optional = _strip_optional(hint)
        if OUT_MARK in getattr(bare, "__metadata__", ()):
            return self._written(name, typing.get_args(bare)[0])
        if optional and parameter.default is inspect.Parameter.empty:
            raise self._error(f"{name!r} is optional: give it a default of None")
        kind, many = self._kind(name, bare)
        has_default = parameter.default is not inspect.Parameter.empty
        return Input(
            name=name, type=kind, hint=bare, many=many, optional=has_default or kind is RunStatus,
            keyword_only=parameter.kind is inspect.Parameter.KEYWORD_ONLY, **self._default(parameter, kind),
        )  # fmt: skip

    def _kind(self, name: str, hint: Any) -> tuple[type, bool]:
        if IN_MARK in getattr(hint, "__metadata__", ()):
            return self._artifact(name, typing.get_args(hint)[0])
        if hint is RunStatus and self._role is Role.TASK:
            return RunStatus, False
        return self._parameter(name, hint), False

    def _written(self, name: str, hint: Any) -> Output:
        if self._role is Role.PIPELINE:
            raise self._error(f"{name!r}: a pipeline returns what it gives, it has no Out[...]")
        bare = typing.get_origin(hint) or hint
        if self._role is Role.CONTAINER and bare in PARAMETER_TYPES:
            return Output(name=name, type=bare, hint=hint)
        kind, many = self._artifact(name, hint)
        if many:
            raise self._error(f"{name!r}: a task writes one artifact of a name, not a list")
        return Output(name=name, type=kind)

    def returned(self, hint: Any) -> tuple[Output, ...]:
        if hint is None or hint is type(None):
            return ()
        if isinstance(hint, type) and issubclass(hint, tuple) and hasattr(hint, "_fields"):
            fields = _hints(hint, self._subject, self._place)
            return tuple(self._result(name, name, fields[name]) for name in hint._fields)
        return (self._result(SINGLE_OUTPUT, "return", _strip_optional(hint)[0]),)

    def _result(self, name: str, said: str, hint: Any) -> Output:
        if self._role is Role.PIPELINE and _artifact_in(hint):
            kind, many = self._artifact(said, hint)
            return Output(name=name, type=kind, many=many)
        return Output(name=name, type=self._parameter(said, hint), hint=hint)

    def _artifact(self, name: str, hint: Any) -> tuple[type, bool]:
        many = typing.get_origin(hint) is list
        kind = typing.get_args(hint)[0] if many else hint
        if kind not in ARTIFACTS:
            known = ", ".join(artifact.__name__ for artifact in ARTIFACTS)
            raise self._error(f"{name!r} must be In[...] or Out[...] of one of {known}")
        return typing.cast("type", kind), many

    def _parameter(self, name: str, hint: Any) -> type:
        kind = typing.get_origin(hint) or hint
        if _artifact_in(hint):
            wanted = "list[...]" if kind is list else kind.__name__
            raise self._error(f"{name!r} is an artifact: write In[{wanted}] or Out[{wanted}]")
        if kind in PARAMETER_TYPES:
            return typing.cast("type", kind)
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


def _artifact_in(hint: Any) -> bool:
    inner = typing.get_args(hint)[0] if typing.get_origin(hint) is list else hint
    return isinstance(inner, type) and issubclass(inner, Artifact)


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
