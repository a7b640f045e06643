"""Messages between nodes and the services, signed with the keys of the nodes. Pure, but for the clock that is handed in.

What is signed is the text of the message as it travels, so nothing about it has a second form. The MAC covers, each with its length
before it: the format's version, the kind of the message, the node, the time of the signing, and that text, which holds all the rest.
The engine is in the key. Whatever is not covered (the broker's own headers) decides nothing.
"""

import hashlib
import hmac
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final, TypeVar

from pydantic import ValidationError

from nodewise.core.messages import Message
from nodewise.core.model.ids import NodeName
from nodewise.core.nodekeys import REALMS, CarrierKey, ClusterSecret, NodeKey, Realm

M = TypeVar("M", bound=Message)
_VERSION: Final = "nodewise message v1"

Sealer = Callable[[str, NodeName, Message], object]
"""(kind, node, message) to what is sent."""
Opening = Callable[[str, object], "Opened"]
"""(kind, what was sent) to what may be read; raises `Refused`."""


class Refusal(StrEnum):
    """Why a message is not taken."""

    UNSIGNED = "unsigned"
    SIGNATURE = "signature"
    """Not signed with the key of the node in whose name it comes."""
    OTHER_NODE = "other_node"
    """Signed, but it speaks of another node or of another engine than its key is for."""
    ATTEMPT = "attempt"
    """It reports an attempt that was placed on another node."""
    CLOCK = "clock"
    """Signed too long ago, or in the future: it is an old one, or a clock is wrong."""


class Refused(Exception):
    """A message that must not be taken. `node` is in whose name it came, as far as that can be told."""

    def __init__(self, why: Refusal, node: str | None) -> None:
        super().__init__(f"{why.value}, in the name of {node}")
        self.why = why
        self.node = node


class Envelope(Message):
    """How a message travels where nodes have keys. `macs` has one for each engine whose node of that name may read it."""

    node: str
    signed_at: str
    body: str
    macs: dict[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """A message that may be read. `realm` None: nobody has vouched for it, and keys are not wanted.

    `fresh`: it was signed just now, by the clocks of both; else it is an old one, or somebody's clock is wrong.
    """

    content: object
    node: NodeName | None = None
    realm: Realm | None = None
    fresh: bool = True

    def read(self, kind: type[M]) -> M:
        """The message.

        Raises:
            pydantic.ValidationError: It is none of that kind.
        """
        return kind.model_validate(self.content)


def unsealed(kind: str, node: NodeName, message: Message) -> object:  # noqa: ARG001 - a Sealer
    """Where nodes have no keys."""
    return message.model_dump(mode="json")


@dataclass(frozen=True, slots=True, kw_only=True)
class Seal:
    """Signs. `keys` gives those of a node by realm: one for who speaks for it, one for each realm that may listen."""

    keys: Callable[[NodeName], Mapping[Realm, bytes]]
    clock: Callable[[], datetime]

    def __call__(self, kind: str, node: NodeName, message: Message) -> object:
        body = json.dumps(message.model_dump(mode="json"), separators=(",", ":"))
        signed_at = self.clock().isoformat()
        signed = _signed(kind, node, signed_at, body)
        macs = {realm: _mac(key, signed) for realm, key in self.keys(node).items()}
        return {"node": node, "signed_at": signed_at, "body": body, "macs": macs}


@dataclass(frozen=True, slots=True, kw_only=True)
class Opener:
    """Takes what is signed. `key_of` gives the key of a node in a realm; None: nothing is taken from, or for, such a one."""

    key_of: Callable[[Realm, str], bytes | None]
    clock: Callable[[], datetime]
    tolerance: timedelta

    def __call__(self, kind: str, payload: object) -> Opened:
        """What was sent, if it is signed with the key of the node that it names.

        Raises:
            Refused: It is not.
        """
        envelope = _envelope(payload)
        if envelope is None:
            raise Refused(Refusal.UNSIGNED, _named(payload))
        signed = _signed(kind, envelope.node, envelope.signed_at, envelope.body)
        for realm in REALMS:
            if (mac := envelope.macs.get(realm)) is None:
                continue
            key = self.key_of(realm, envelope.node)
            if key is not None and _equal(_mac(key, signed), mac):
                return Opened(
                    content=_content(envelope),
                    node=NodeName(envelope.node),
                    realm=realm,
                    fresh=self._fresh(envelope.signed_at),
                )
        raise Refused(Refusal.SIGNATURE, envelope.node)

    def _fresh(self, signed_at: str) -> bool:
        try:
            at = datetime.fromisoformat(signed_at)
            return abs(self.clock() - at) <= self.tolerance
        except (ValueError, TypeError, OverflowError):
            return False


def open_unchecked(kind: str, payload: object) -> Opened:  # noqa: ARG001 - called as an Opener
    """Where keys are not wanted: what is signed and what is not, from whomever."""
    envelope = _envelope(payload)
    if envelope is None:
        return Opened(content=payload)
    return Opened(content=_content(envelope))


def seal_of_agent(key: NodeKey, clock: Callable[[], datetime]) -> Seal:
    """For the agent of a node."""
    return Seal(keys=lambda _: {"agents": key.raw}, clock=clock)


def opener_of_agent(key: NodeKey, clock: Callable[[], datetime], tolerance: timedelta) -> Opener:
    """Takes what is for that node."""
    return Opener(
        key_of=lambda realm, node: key.raw if (realm, node) == ("agents", key.name) else None,
        clock=clock,
        tolerance=tolerance,
    )


def seal_of_carrier(key: CarrierKey, clock: Callable[[], datetime]) -> Seal:
    """For the nodes of a Kubernetes cluster."""
    return Seal(keys=lambda node: {"kubernetes": key.of_node(node)}, clock=clock)


def opener_of_carrier(key: CarrierKey, clock: Callable[[], datetime], tolerance: timedelta) -> Opener:
    """Takes what is for nodes of the engine `kubernetes`."""
    return Opener(
        key_of=lambda realm, node: key.of_node(node) if realm == "kubernetes" else None,
        clock=clock,
        tolerance=tolerance,
    )


def seal_of_cluster(secret: ClusterSecret, clock: Callable[[], datetime]) -> Seal:
    """For the services: whoever speaks for that node can read it."""
    return Seal(keys=lambda node: {realm: secret.of_node(realm, node) for realm in REALMS}, clock=clock)


def opener_of_cluster(secret: ClusterSecret, clock: Callable[[], datetime], tolerance: timedelta) -> Opener:
    """Takes what nodes say, each of itself."""
    return Opener(key_of=secret.of_node, clock=clock, tolerance=tolerance)


def _signed(*parts: str) -> bytes:
    """The parts, each with its length before it: no two lists of parts look alike."""
    encoded = (part.encode("utf-8", "surrogatepass") for part in (_VERSION, *parts))
    return b"".join(b"%d:%s" % (len(part), part) for part in encoded)


def _mac(key: bytes, signed: bytes) -> str:
    return hmac.digest(key, signed, hashlib.sha256).hex()


def _equal(ours: str, theirs: str) -> bool:
    # Bytes: of texts, it compares ASCII only.
    return hmac.compare_digest(ours.encode(), theirs.encode("utf-8", "surrogatepass"))


def _envelope(payload: object) -> Envelope | None:
    if not isinstance(payload, dict) or "macs" not in payload:
        return None
    try:
        return Envelope.model_validate(payload, strict=True)
    except ValidationError:
        return None


def _content(envelope: Envelope) -> object:
    """What its text says; None, which is no message of any kind, where that is not JSON."""
    try:
        return json.loads(envelope.body)
    except (ValueError, RecursionError):
        return None


def _named(payload: object) -> str | None:
    """In whose name an unsigned message seems to come."""
    if not isinstance(payload, dict):
        return None
    node = payload.get("node")
    name = node.get("name") if isinstance(node, dict) else node
    return name if isinstance(name, str) else None
