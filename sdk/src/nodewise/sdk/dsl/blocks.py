"""The blocks of a pipeline (`each`, `when`, ..., `on_exit`) and what may be used outside of the block that it was made in."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from enum import Enum
from types import TracebackType
from typing import Any, Final, Generic, NoReturn, TypeAlias, TypeVar

from nodewise.sdk.dsl.errors import PipelineError, Place, place_of_caller

_T = TypeVar("_T")


class BlockKind(Enum):
    LOOP = "each"
    BRANCH = "when"
    WATCHED = "on_exit"
    EXIT_TASK = "the task of on_exit"


@dataclass(slots=True, eq=False)
class Chain:
    """A `when` with what follows it. `closed` once there is an `otherwise`."""

    branches: "list[Group]" = field(default_factory=list)
    closed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Group:
    """One block; `word` and `place` are what the user wrote, and where."""

    kind: BlockKind
    word: str
    place: Place | None
    chain: Chain | None = None

    def __str__(self) -> str:
        return f"`{self.word}` at {self.place}" if self.place else f"`{self.word}`"


Scope: TypeAlias = tuple[Group, ...]
"""The blocks around something, outermost first."""

_WAY_OUT: Final = {
    BlockKind.LOOP: "there are many of it here: take all of them with collect(...), or use it inside the loop",
    BlockKind.BRANCH: "there may be none here: use it inside, or take one_of(...) over an output of each branch",
    BlockKind.WATCHED: "nothing outside can wait for it: use it inside",
    BlockKind.EXIT_TASK: "it runs last, when all else has ended: nothing can use it",
}


def first_left(scope: Scope, here: Scope) -> Group | None:
    """The outermost block of `scope` that one is not in `here`."""
    return next((group for group in scope if group not in here), None)


def check_reach(subject: str, scope: Scope, here: Scope) -> None:
    """Refuse to use something that was made in a block which was left.

    Raises:
        PipelineError: it was; says which block, and what to do.
    """
    left = first_left(scope, here)
    if left is not None:
        raise PipelineError(place_of_caller(), f"{subject} was made in {left}: {_WAY_OUT[left.kind]}")


class Block(Generic[_T]):
    """What `with` takes. Anything else that one may try with it is refused with the way it is written."""

    def __init__(self, usage: str, enter: Callable[[], AbstractContextManager[_T]]) -> None:
        self._usage = usage
        self._enter = enter
        self._entered: AbstractContextManager[_T] | None = None

    def __enter__(self) -> _T:
        self._entered = self._enter()
        return self._entered.__enter__()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        return self._entered.__exit__(kind, error, trace) if self._entered else None

    def _refuse(self, *_: Any) -> NoReturn:
        raise PipelineError(place_of_caller(), f"write `{self._usage}`")

    __iter__ = __bool__ = __call__ = _refuse
