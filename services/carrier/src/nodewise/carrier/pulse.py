"""The heartbeats of all nodes: the whole state of each, at a steady pace and at once on any change."""

import math
import threading
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

from celery import Celery

from nodewise.core import liveness
from nodewise.core.messages import AttemptReport, Heartbeat
from nodewise.core.messaging.heartbeats import HeartbeatSender
from nodewise.core.model.ids import NodeName
from nodewise.core.model.node import Node
from nodewise.core.sealing import Sealer, unsealed

_LEAST_SECONDS: Final = 0.02
"""Between two rounds: many changes at once are one message for each node."""
_LOOP: Final = "pulse"


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeState:
    """What is to be said of a node. `usable` False: nothing new is to be placed there, what runs there is told."""

    node: Node
    usable: bool
    attempts: tuple[AttemptReport, ...] = ()
    metrics_url: str | None = None


@dataclass(slots=True)
class _Said:
    state: NodeState
    at: float = 0.0
    sent: bool = field(default=False)


class Pulse:
    """Sends what it was last given, from a thread of its own: whatever else waits for Kubernetes, the services hear of us."""

    def __init__(self, app: Celery, *, boot_id: str, every_seconds: float, seal: Sealer = unsealed) -> None:
        self._sender = HeartbeatSender(app, seal)
        self._boot_id = boot_id
        self._every = every_seconds
        self._sequence = 0
        self._lock = threading.Lock()
        self._states: dict[NodeName, _Said] = {}
        self._changed = threading.Event()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="pulse", daemon=True)

    def start(self) -> None:
        liveness.expect_looks(_LOOP)
        self._thread.start()

    def stop(self) -> None:
        """Say no more. Nodes that fall silent are believed for a lease: time enough for a carrier that is started anew."""
        self._stopped.set()
        self._changed.set()
        self._thread.join(2.0)

    def publish(self, states: Mapping[NodeName, NodeState]) -> None:
        """From now on this is how it is."""
        with self._lock:
            for name in list(self._states):
                if name not in states:
                    del self._states[name]
            for name, state in states.items():
                known = self._states.get(name)
                if known is None or known.state != state:
                    self._states[name] = _Said(state)
                    self._changed.set()

    def _run(self) -> None:
        while not self._stopped.is_set():
            began = time.monotonic()
            well = self._send_all(self._due(began))
            liveness.note_look(_LOOP, well=well)
            if not well:
                self._stopped.wait(min(self._every, 1.0))
            self._stopped.wait(max(0.0, began + _LEAST_SECONDS - time.monotonic()))
            self._changed.wait(self._pause(time.monotonic()))
            self._changed.clear()

    def _due(self, now: float) -> list[_Said]:
        with self._lock:
            return [said for said in self._states.values() if self._next_at(said) <= now]

    def _pause(self, now: float) -> float:
        with self._lock:
            first = min(map(self._next_at, self._states.values()), default=math.inf)
        return max(0.0, min(first - now, self._every))

    def _next_at(self, said: _Said) -> float:
        if not said.sent:
            return 0.0
        # A node that is not used and has nothing to tell was told of once: it stays as it is on record.
        silent = not said.state.usable and not said.state.attempts
        return math.inf if silent else said.at + self._every

    def _send_all(self, due: Iterable[_Said]) -> bool:
        """Whether all went out. A broker that is away is not waited for once more for each node."""
        well = True
        for said in due:
            well &= self._send(said)
            if not self._sender.answers:
                break
        return well

    def _send(self, said: _Said) -> bool:
        self._sequence += 1
        state = said.state
        heartbeat = Heartbeat(
            node=state.node,
            boot_id=self._boot_id,
            sequence=self._sequence,
            sent_at=datetime.now(UTC),
            metrics_url=state.metrics_url,
            attempts=state.attempts,
            leaving=not state.usable,
        )
        if not self._sender.send(heartbeat):
            return False
        said.at, said.sent = time.monotonic(), True
        return True
