"""Values that nobody knows while a pipeline is written: they may be handed on, stand in text and be compared for `when`."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Final, NoReturn

from nodewise.sdk.dsl.blocks import Scope
from nodewise.sdk.dsl.errors import PipelineError, place_of_caller

_BINARY: Final = (
    "add", "sub", "mul", "matmul", "truediv", "floordiv", "mod", "divmod", "pow", "lshift", "rshift", "and",
    "or", "xor",
)  # fmt: skip
_OTHER: Final = (
    "bool", "neg", "pos", "abs", "invert", "int", "float", "complex", "index",
    "round", "trunc", "floor", "ceil", "len", "iter", "next", "reversed", "contains", "getitem", "setitem",
    "delitem", "call", "enter", "exit",
)  # fmt: skip
_SIGNS: Final = {"eq": "==", "ne": "!=", "lt": "<", "le": "<=", "gt": ">", "ge": ">="}


class NotKnownYet:
    """Refuses to be decided on, computed with, iterated, indexed or called; each with the user's file and line.

    Comparing it makes a `Condition`, for `when`.
    """

    __hash__ = object.__hash__

    def _subject(self) -> str:
        raise NotImplementedError

    def _refusal(self) -> PipelineError:
        """The error at the line that wanted to know the value."""
        return PipelineError(
            place_of_caller(),
            f"{self._subject()} is not known while the pipeline is written, only when its tasks run: "
            "hand it to a task and decide or compute inside that task, or write `with when(...):` and `with each(...):`",
        )


@dataclass(frozen=True, slots=True, eq=False)
class Condition:
    """A comparison that is made when the pipeline runs. Nothing can be done with it but `when` and `elif_when`."""

    left: NotKnownYet
    sign: str
    right: Any

    def _refuse(self, *_: Any) -> NoReturn:
        raise PipelineError(
            place_of_caller(),
            f"{self.left._subject()} is not known while the pipeline is written, so the comparison cannot stand in `if`, "
            "`and`, `or`, `not` or a chain (a < b < c): write `with when(...):`, one inside the other for `and`, "
            "or decide inside a task and compare what that task returns",
        )

    __bool__ = __and__ = __or__ = __rand__ = __ror__ = __invert__ = _refuse


def _refuse(self: NotKnownYet, *_: Any) -> NoReturn:
    raise self._refusal()


def _compare(sign: str) -> Callable[[NotKnownYet, Any], Condition]:
    return lambda left, right: Condition(left, sign, right)


def _equip(kind: type) -> None:
    refused = [*_OTHER, *(f"{side}{name}" for name in _BINARY for side in ("", "r", "i"))]
    for name in refused:
        setattr(kind, f"__{name}__", _refuse)
    for name, sign in _SIGNS.items():
        setattr(kind, f"__{name}__", _compare(sign))


# By a loop, since Python looks operators up on the class and most of them do the same here.
_equip(NotKnownYet)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Origin:
    """What is behind a `TaskOutput`. `channel` is what KFP calls it, `text` its placeholder (None: it cannot stand in text).

    `scope` are the blocks in which it was made.
    """

    channel: Any
    subject: str
    text: str | None = None
    scope: Scope = ()


class TaskOutput(NotKnownYet):
    """An output of a task, or a parameter of the pipeline. As text it is KFP's placeholder, so that f-strings work."""

    def __init__(self, origin: Origin) -> None:
        self._origin = origin

    def _subject(self) -> str:
        return self._origin.subject

    def _move(self, scope: Scope) -> None:
        """Let it count as made in these blocks."""
        self._origin = replace(self._origin, scope=scope)

    def __str__(self) -> str:
        if self._origin.text is None:
            raise PipelineError(
                place_of_caller(), f"{self._subject()} cannot stand in text: hand it to a task as it is"
            )
        return self._origin.text

    __repr__ = __str__

    def __format__(self, spec: str) -> str:
        if spec:
            raise self._refusal()
        return str(self)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        raise self._refusal()


class LoopItem(TaskOutput):
    """The item of a loop. Parts of an item that is a dict are its attributes or entries."""

    def __init__(self, origin: Origin, part: Callable[[str], TaskOutput]) -> None:
        super().__init__(origin)
        self._part = part

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return self._part(name)

    def __getitem__(self, name: Any) -> TaskOutput:
        if not isinstance(name, str):
            raise self._refusal()
        return self._part(name)
