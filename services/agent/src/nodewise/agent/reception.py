"""Messages from the services, if they are from the services; and what they say of ours."""

import time
from collections.abc import Callable, Mapping
from typing import Final, TypeVar

import structlog
from pydantic import ValidationError

from nodewise.core.messages import Message, NotHeard
from nodewise.core.model.ids import NodeName
from nodewise.core.sealing import Opened, Opening, Refusal, Refused

M = TypeVar("M", bound=Message)
EVERY_SECONDS: Final = 60.0
_ADVICE: Final[Mapping[str, str]] = {
    Refusal.UNSIGNED: "the cluster wants a key of each node, and messages in this one's name came without: give its agent --key-file",
    Refusal.SIGNATURE: "its key is not the one of this name in that cluster: get it with `nodewise keys node NAME` there",
    Refusal.CLOCK: "they came late, as after a pause of the recorder, or the clock of this machine is wrong; those that come in time count",
    Refusal.ATTEMPT: "attempts were reported that are on other nodes: does another agent use this name, or this folder?",
}
_NO_ADVICE: Final = "somebody else may be using its name"
_log = structlog.get_logger()


class Reception:
    """Reads messages in one thread; what it refuses it logs once a minute, by node and reason, without its content."""

    def __init__(self, opens: Opening, clock: Callable[[], float] = time.monotonic) -> None:
        self._opens = opens
        self._clock = clock
        self._said: dict[tuple[str, str], float] = {}

    def read(self, name: str, kind: type[M], payload: object, *, node: NodeName) -> M | None:
        """The message of that name for that node; None: it is none, or is not to be heeded, which was said."""
        try:
            return self._admitted(name, payload, node).read(kind)
        except Refused as refused:
            if self._due(node, f"from {refused.why}"):
                _log.warning(
                    "a message is refused, as it does not come from the cluster, or comes too late",
                    node=node, kind=kind.__name__, reason=refused.why.value,
                )  # fmt: skip
        except ValidationError as error:
            _log.warning("a message does not parse", kind=kind.__name__, error=str(error))
        return None

    def _admitted(self, name: str, payload: object, node: NodeName) -> Opened:
        opened = self._opens(name, payload)
        if opened.node is not None and opened.node != node:
            raise Refused(Refusal.OTHER_NODE, opened.node)
        if not opened.fresh:
            raise Refused(Refusal.CLOCK, opened.node)
        return opened

    def not_heard(self, payload: object, *, node: NodeName) -> None:
        """The cluster refuses what comes in our name. Anybody may say so: it is told, and nothing else is done."""
        try:
            why = NotHeard.model_validate(payload).why
        except ValidationError:
            return
        reason = why if why in set(Refusal) else _NO_ADVICE
        if self._due(node, f"to {reason}"):
            advice = _ADVICE.get(reason, _NO_ADVICE)
            _log.error("the cluster refuses messages of this node", node=node, reason=reason, advice=advice)

    def _due(self, node: str, what: str) -> bool:
        now, said_at = self._clock(), self._said.get((node, what))
        if said_at is not None and now - said_at < EVERY_SECONDS:
            return False
        self._said[node, what] = now
        return True
