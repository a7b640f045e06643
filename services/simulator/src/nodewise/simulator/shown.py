"""Which tasks the cycle must be shown, so that it admits whom it would admit if it saw all."""

from collections.abc import Collection, Iterator, Sequence

from nodewise.simulator.room import NodeRoom
from nodewise.simulator.tables import Tables

Kind = tuple[int, int]
"""The size of a task, and the nodes (bits) that it may use: tasks of one kind have room on the same nodes."""


class Shown:
    """Picks, of each kind of task, the first ones in the order: as many as there is room for.

    Room only shrinks during a cycle. So once one of a kind found none, no later one of that kind does, and what is not
    shown would not be admitted. It changes nothing else either: only the first task of all that finds no room has some
    kept for it, so until there is such a task, one more of each kind is shown. But a task may also be refused since it
    would delay the one that room is kept for, and a shorter one of its kind may pass then: of such kinds, `whole`, all
    are to be shown. The cost falls from the queue's length to what can start.
    """

    def __init__(self, tables: Tables) -> None:
        needs = dict.fromkeys(task.resources for task in tables.tasks)
        number = {need: i for i, need in enumerate(needs)}
        allowed = (sum(1 << node for node in nodes) for nodes in tables.allowed)
        self._needs = list(needs)
        self._kinds: list[Kind] = [
            (number[task.resources], nodes) for task, nodes in zip(tables.tasks, allowed, strict=True)
        ]

    def any_startable(self, tasks: Sequence[int], room: NodeRoom) -> bool:
        """Whether some node has room for one of them. O(tasks + sizes x nodes)."""
        able = [room.able(need) for need in self._needs]
        return any(able[size] & allowed for size, allowed in map(self._kinds.__getitem__, tasks))

    def pick(self, order: Sequence[int], room: NodeRoom, *, whole: Collection[Kind] = ()) -> list[int]:
        """The tasks to show, in their order; of the kinds in `whole` all. O(tasks + kinds x nodes)."""
        return list(self._picked(order, room, whole))

    def kinds(self, tasks: Sequence[int]) -> set[Kind]:
        return {self._kinds[task] for task in tasks}

    def _picked(self, order: Sequence[int], room: NodeRoom, whole: Collection[Kind]) -> Iterator[int]:
        left: dict[Kind, int] = {}
        is_kept = False
        for task in order:
            kind = self._kinds[task]
            if kind not in left:
                size, allowed = kind
                left[kind] = room.copies_on(allowed, self._needs[size])
            if left[kind] > 0 or kind in whole:
                left[kind] -= 1
                yield task
            elif not is_kept:
                # What only nodes that are gone could take has no room kept for it: the next one may have.
                is_kept = bool(kind[1] & room.up)
                yield task
