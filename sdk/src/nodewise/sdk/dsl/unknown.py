"""Values that nobody knows while a pipeline is written: they may be handed on and stand in text, nothing else."""

from collections.abc import Callable
from typing import Any, Final, NoReturn

from nodewise.sdk.dsl.errors import PipelineError, place_of_caller

_BINARY: Final = (
    "add", "sub", "mul", "matmul", "truediv", "floordiv", "mod", "divmod", "pow", "lshift", "rshift", "and",
    "or", "xor",
)  # fmt: skip
_OTHER: Final = (
    "bool", "eq", "ne", "lt", "le", "gt", "ge", "neg", "pos", "abs", "invert", "int", "float", "complex", "index",
    "round", "trunc", "floor", "ceil", "len", "iter", "next", "reversed", "contains", "getitem", "setitem",
    "delitem", "call", "enter", "exit",
)  # fmt: skip


class NotKnownYet:
    """Refuses to be decided on, computed with, iterated, indexed or called; each with the user's file and line."""

    __hash__ = object.__hash__

    def _subject(self) -> str:
        raise NotImplementedError

    def refusal(self) -> PipelineError:
        """The error at the line that wanted to know the value."""
        return PipelineError(
            place_of_caller(),
            f"{self._subject()} is not known while the pipeline is written, only when its tasks run: "
            "hand it to a task and decide or compute inside that task (conditions in a pipeline come later)",
        )


def _refuse(self: NotKnownYet, *_: Any) -> NoReturn:
    raise self.refusal()


def _trap(kind: type, operation: Callable[..., NoReturn]) -> None:
    names = [*_OTHER, *(f"{side}{name}" for name in _BINARY for side in ("", "r", "i"))]
    for name in names:
        setattr(kind, f"__{name}__", operation)


# By a loop, since Python looks operators up on the class and each of them does the same here.
_trap(NotKnownYet, _refuse)


class TaskOutput(NotKnownYet):
    """An output of a task, or a parameter of the pipeline. `channel` is what KFP calls it.

    As text it is KFP's placeholder, so that f-strings work.
    """

    def __init__(self, channel: Any, subject: str) -> None:
        self.channel = channel
        self._named = subject

    def _subject(self) -> str:
        return self._named

    def __str__(self) -> str:
        return str(self.channel)

    __repr__ = __str__

    def __format__(self, spec: str) -> str:
        if spec:
            raise self.refusal()
        return str(self.channel)

    def __getattr__(self, name: str) -> NoReturn:
        if name.startswith("__"):
            raise AttributeError(name)
        raise self.refusal()
