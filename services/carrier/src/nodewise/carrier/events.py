"""What a carrier is told by others, noted for its own thread."""

import queue
import threading
from dataclasses import dataclass

from nodewise.core.messages import CancelJobs, ForgetJobs, StartJobs
from nodewise.core.model.ids import NodeName


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """A message to one node."""

    node: NodeName
    message: StartJobs | CancelJobs | ForgetJobs


class Inbox:
    """Messages wait here; `wait` ends when there is one, or when somebody has seen that something changed. Thread-safe."""

    def __init__(self) -> None:
        self._told: queue.SimpleQueue[Told] = queue.SimpleQueue()
        self._changed = threading.Event()

    def put(self, told: Told) -> None:
        self._told.put(told)
        self._changed.set()

    def wake(self) -> None:
        self._changed.set()

    def wait(self, seconds: float) -> None:
        self._changed.wait(seconds)
        self._changed.clear()

    def take(self) -> list[Told]:
        """All that has come."""
        found = []
        while not self._told.empty():
            found.append(self._told.get())
        return found
