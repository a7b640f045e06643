"""What is said of messages that are refused: a count each, and a line and a word to the node once a minute."""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Final

import structlog

from nodewise.core.model.ids import NodeName
from nodewise.core.nodekeys import could_be_name
from nodewise.core.sealing import Refusal
from nodewise.recorder import metrics

EVERY_SECONDS: Final = 60.0
_MOST_NAMES: Final = 1000
"""So many are remembered: who can send may send in any name."""
_UNNAMED: Final = "?"
_log = structlog.get_logger()


class Complaints:
    """Safe to use from two threads. `tell` sends a word to whoever calls itself so."""

    def __init__(
        self, tell: Callable[[NodeName, str], None], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._tell = tell
        self._clock = clock
        self._lock = threading.Lock()
        self._said: OrderedDict[tuple[str, Refusal], float] = OrderedDict()

    def about(self, node: str | None, why: Refusal, number: int = 1) -> None:
        """So many messages in the name of that node were refused, or so many of its reports. Their content is not told."""
        metrics.REFUSED.labels(why.value).inc(number)
        name = node if node is not None and could_be_name(node) else _UNNAMED
        if not self._due(name, why):
            return
        _log.warning("what comes in the name of a node is refused", node=name, reason=why.value)
        if name is not _UNNAMED:
            self._tell(NodeName(name), why.value)

    def _due(self, name: str, why: Refusal) -> bool:
        now = self._clock()
        with self._lock:
            said_at = self._said.get((name, why))
            if said_at is not None and now - said_at < EVERY_SECONDS:
                return False
            self._said[name, why] = now
            self._said.move_to_end((name, why))
            while len(self._said) > _MOST_NAMES:
                self._said.popitem(last=False)
            return True
