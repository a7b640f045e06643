"""The heartbeat: the agent's whole state, at a steady pace and at once on any change."""

import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

from nodewise.core import liveness
from nodewise.core.messages import AttemptReport, Heartbeat
from nodewise.core.messaging.heartbeats import HeartbeatSender
from nodewise.core.model.node import Node

LEAST_SECONDS: Final = 0.02
"""Between two heartbeats: many changes at once are one message."""
_LOOP: Final = "heart"


class Heart:
    """Sends heartbeats from a thread of its own. What could not be sent is in the next one."""

    def __init__(
        self,
        sender: HeartbeatSender,
        node: Node,
        *,
        boot_id: str,
        metrics_url: str | None,
        reports: Callable[[], tuple[AttemptReport, ...]],
        every_seconds: float,
    ) -> None:
        self._sender = sender
        self._node = node
        self._boot_id = boot_id
        self._metrics_url = metrics_url
        self._reports = reports
        self._every = every_seconds
        self._sequence = 0
        self._lock = threading.Lock()
        self._due = time.monotonic()
        self._changed = threading.Event()
        self._stopped = threading.Event()
        self._sending = threading.Lock()
        self._thread = threading.Thread(target=self._run, name="heart", daemon=True)

    def start(self) -> None:
        liveness.expect_looks(_LOOP)
        self._thread.start()

    def beat(self, *, within: float = 0.0) -> None:
        """Something changed: tell it, in so many seconds at the latest."""
        with self._lock:
            self._due = min(self._due, time.monotonic() + within)
        self._changed.set()

    def leave(self) -> None:
        """Send the last one, which says that no other will come."""
        self._stopped.set()
        self._changed.set()
        if self._thread.is_alive():
            self._thread.join(2.0)
        self._send(leaving=True)

    def _run(self) -> None:
        while self._awaited():
            began = time.monotonic()
            sent = self._send(leaving=False)
            liveness.note_look(_LOOP, well=sent)
            if not sent:
                # Not at once again, however much changes meanwhile.
                self._stopped.wait(min(self._every, 1.0))
                self.beat()
            self._stopped.wait(max(0.0, began + LEAST_SECONDS - time.monotonic()))

    def _awaited(self) -> bool:
        """Wait until one is due; False: none will be."""
        while not self._stopped.is_set():
            self._changed.clear()
            with self._lock:
                now = time.monotonic()
                left = self._due - now
                if left <= 0:
                    self._due = now + self._every
                    return True
            self._changed.wait(left)
        return False

    def _send(self, *, leaving: bool) -> bool:
        with self._sending:
            self._sequence += 1
            heartbeat = Heartbeat(
                node=self._node,
                boot_id=self._boot_id,
                sequence=self._sequence,
                sent_at=datetime.now(UTC),
                metrics_url=self._metrics_url,
                attempts=self._reports(),
                leaving=leaving,
            )
            return self._sender.send(heartbeat)
