"""What holds room on the nodes, as one look of a placer knows it."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from typing import Final, overload

from nodewise.core.model.situation import Occupancy

_KEPT: Final = timedelta(seconds=1)
"""In a look that takes longer, it is loaded again."""


class LiveTasks:
    """Loaded when somebody first wants to know, and kept with what this placer books meanwhile. Mutable, for one look.

    What others book or release in the same second is missing. It only says how long a node that is full is believed to stay
    so: what has room is read with each batch, and the schema has the last word on it.
    """

    def __init__(self) -> None:
        self._loaded_at: datetime | None = None
        self._known: list[Occupancy] = []

    def seen(self, load: Callable[[], Iterable[Occupancy]], *, now: datetime) -> Sequence[Occupancy]:
        """Them all; `load` is asked, if at all, when the first of them is looked at."""

        def known() -> Sequence[Occupancy]:
            if self._loaded_at is None or now - self._loaded_at > _KEPT:
                self._known, self._loaded_at = list(load()), now
            return self._known

        return _Seen(known)

    def add(self, booked: Iterable[Occupancy]) -> None:
        """This placer has committed these. Where nothing was loaded yet, they will be."""
        if self._loaded_at is not None:
            self._known = [*self._known, *booked]


class _Seen(Sequence[Occupancy]):
    """A sequence that is got when it is first looked at."""

    def __init__(self, get: Callable[[], Sequence[Occupancy]]) -> None:
        self._get = get
        self._items: Sequence[Occupancy] | None = None

    def _all(self) -> Sequence[Occupancy]:
        if self._items is None:
            self._items = self._get()
        return self._items

    def __len__(self) -> int:
        return len(self._all())

    def __iter__(self) -> Iterator[Occupancy]:
        return iter(self._all())

    @overload
    def __getitem__(self, index: int) -> Occupancy: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Occupancy]: ...
    def __getitem__(self, index: int | slice) -> Occupancy | Sequence[Occupancy]:
        return self._all()[index]
