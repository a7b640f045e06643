"""Messages from the queues of all nodes of a cluster. Nodes come and go, so this is no Celery worker: those have their queues for life."""

import contextlib
import threading
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Final

import redis
import structlog
from celery import Celery
from kombu import Consumer
from kombu.exceptions import KombuError, OperationalError

from nodewise.agent.reception import Reception
from nodewise.carrier.events import Told
from nodewise.core import liveness
from nodewise.core.messages import (
    CANCEL_JOBS,
    FORGET_JOBS,
    NOT_HEARD,
    START_JOBS,
    CancelJobs,
    ForgetJobs,
    StartJobs,
)
from nodewise.core.messaging.app import agent_queue
from nodewise.core.model.ids import NodeName

_Kind = type[StartJobs] | type[CancelJobs] | type[ForgetJobs]
_KINDS: Final[Mapping[str, _Kind]] = {
    START_JOBS: StartJobs,
    CANCEL_JOBS: CancelJobs,
    FORGET_JOBS: ForgetJobs,
}
_LOOK_SECONDS: Final = 0.5
_PAUSE_SECONDS: Final = 1.0
_LOOP: Final = "intake"
_log = structlog.get_logger()


class Intake:
    """Takes messages in a thread of its own. They are acknowledged by being taken: whoever sent one sends it again."""

    def __init__(self, app: Celery, tell: Callable[[Told], None], reception: Reception) -> None:
        self._app = app
        self._reception = reception
        self._tell = tell
        self._nodes: frozenset[NodeName] = frozenset()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="intake", daemon=True)

    def start(self) -> None:
        liveness.expect_looks(_LOOP)
        self._thread.start()

    def stop(self) -> None:
        self._stopped.set()
        self._thread.join(3.0)

    def listen(self, nodes: frozenset[NodeName]) -> None:
        """From now on to the queues of these."""
        self._nodes = nodes

    def _run(self) -> None:
        while not self._stopped.is_set():
            nodes = self._nodes
            if not nodes:
                liveness.note_look(_LOOP, well=True)
                self._stopped.wait(_LOOK_SECONDS)
                continue
            try:
                self._take_from(nodes)
            except (redis.RedisError, KombuError, OperationalError, OSError) as error:
                liveness.note_look(_LOOP, well=False)
                _log.warning("the broker does not answer; trying again", error=str(error))
                self._stopped.wait(_PAUSE_SECONDS)

    def _take_from(self, nodes: frozenset[NodeName]) -> None:
        """Until other nodes are asked for."""
        by_queue = {agent_queue(node): node for node in nodes}
        with self._app.connection_for_read() as connection:
            queues = [self._app.amqp.queues[name] for name in sorted(by_queue)]
            with Consumer(
                connection,
                queues,
                on_message=lambda m: self._receive(m, by_queue),
                on_decode_error=_drop,
                no_ack=True,
            ):
                while not self._stopped.is_set() and self._nodes == nodes:
                    with contextlib.suppress(TimeoutError):
                        connection.drain_events(timeout=_LOOK_SECONDS)
                    liveness.note_look(_LOOP, well=True)

    def _receive(self, message: Any, by_queue: Mapping[str, NodeName]) -> None:
        node = by_queue.get(str(message.delivery_info.get("routing_key")))
        name = str(message.headers.get("task"))
        if node is None or _expired(message.headers.get("expires")):
            return
        try:
            payload = message.decode()[0][0]
        except (LookupError, TypeError, ValueError) as error:
            _log.warning("a message does not parse", kind=name, error=str(error))
            return
        if name == NOT_HEARD:
            self._reception.not_heard(payload, node=node)
        elif (kind := _KINDS.get(name)) is not None:
            self._take(name, kind, payload, node=node)

    def _take(self, name: str, kind: _Kind, payload: object, *, node: NodeName) -> None:
        parsed = self._reception.read(name, kind, payload, node=node)
        if parsed is not None:
            self._tell(Told(node=node, message=parsed))


def _drop(message: Any, error: Exception) -> None:
    _log.warning("a message cannot be read", kind=str(message.headers.get("task")), error=str(error))


def _expired(text: object) -> bool:
    if not isinstance(text, str):
        return False
    try:
        until = datetime.fromisoformat(text)
    except ValueError:
        return False
    return until < datetime.now(UTC if until.tzinfo is None else until.tzinfo)
