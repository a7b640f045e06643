"""On which node an attempt is, as far as it was seen: so that only for attempts never heard of the record is asked."""

import threading
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from typing import Final

from nodewise.core.model.ids import AttemptKey, NodeName

_REMEMBERED: Final = 50_000


class Owners:
    """An attempt stays on the node that it was placed on, so what was seen once holds. Safe to use from two threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._nodes: OrderedDict[AttemptKey, NodeName] = OrderedDict()

    def note(self, node: NodeName, keys: Iterable[AttemptKey]) -> None:
        """These are on that node, or on none that is on record."""
        with self._lock:
            for key in keys:
                self._nodes[key] = node
                self._nodes.move_to_end(key)
            while len(self._nodes) > _REMEMBERED:
                self._nodes.popitem(last=False)

    def not_known_of(self, node: NodeName, keys: Iterable[AttemptKey]) -> Sequence[AttemptKey]:
        """Those that may be on another node."""
        with self._lock:
            return [key for key in keys if self._nodes.get(key) != node]
