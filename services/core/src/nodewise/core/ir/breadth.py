"""How much room the names of what tasks wait for take: each task has the whole paths of all that it waits for in its row."""

from collections.abc import Collection
from typing import Final

from nodewise.core.ir.locate import Made, upstream_characters
from nodewise.core.ir.tree import Program
from nodewise.core.model.ids import TaskPath

MOST_UPSTREAM: Final = 16 * 1024 * 1024
"""Characters, of all tasks of a run together."""
TOO_BROAD: Final = (
    f"the names of all that its tasks wait for have more than {MOST_UPSTREAM} characters: give tasks shorter names, or let a "
    "task in between wait for many"
)
_SHOWN: Final = 20


def is_too_broad(program: Program, paths: Collection[TaskPath]) -> bool:
    """Whether the rows of a run that had these leaf tasks would name more than they may. O(steps before steps)."""
    if len(paths) * sum(map(len, paths)) <= MOST_UPSTREAM:
        return False
    made, room = Made(paths), 0
    for path in paths:
        room += upstream_characters(program, path, made)
        if room > MOST_UPSTREAM:
            return True
    return False


def waits_for(names: Collection[TaskPath]) -> str:
    """What a task waits for, as its reason tells it: the first of many."""
    shown = [name for _, name in zip(range(_SHOWN), names, strict=False)]
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return f"waits for {', '.join(shown)}{more}"
