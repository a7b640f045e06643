"""Whom a process believes, and how it shows who it is: from its settings."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, TypeVar

from nodewise.core import sealing
from nodewise.core.nodekeys import BadKey, CarrierKey, ClusterSecret, NodeKey
from nodewise.core.settings import Settings

K = TypeVar("K")
OFF: Final = "off"


@dataclass(frozen=True, slots=True, kw_only=True)
class Trust:
    """`seal` goes over what is sent, `opens` over what comes."""

    seal: sealing.Sealer = sealing.unsealed
    opens: sealing.Opening = sealing.open_unchecked


def _now() -> datetime:
    return datetime.now(UTC)


def trust_of_services(settings: Settings, clock: Callable[[], datetime] = _now) -> Trust:
    """For recorder and placers.

    Raises:
        BadKey: Keys are wanted, and the cluster's secret is missing or cannot be used.
    """
    if settings.node_keys == OFF:
        return Trust()
    missing = (
        "NODEWISE_NODE_SECRET_FILE is missing: a file with the secret that the keys of nodes are derived from"
    )
    secret = _read(settings.node_secret_file, ClusterSecret.read, missing)
    return Trust(
        seal=sealing.seal_of_cluster(secret, clock),
        opens=sealing.opener_of_cluster(secret, clock, settings.node_clock),
    )


def trust_of_agent(settings: Settings, name: str, clock: Callable[[], datetime] = _now) -> Trust:
    """For the agent of that node.

    Raises:
        BadKey: Keys are wanted, and its own is missing, cannot be used, or is that of another node.
    """
    if settings.node_keys == OFF:
        return Trust()
    missing = f"--key-file is missing: the key of node {name}, which `nodewise keys node {name}` prints where the cluster runs"
    key = _read(settings.node_key_file, NodeKey.read, missing)
    if key.name != name:
        raise BadKey(f"{settings.node_key_file} holds the key of node {key.name}, and this is {name}")
    return Trust(
        seal=sealing.seal_of_agent(key, clock), opens=sealing.opener_of_agent(key, clock, settings.node_clock)
    )


def trust_of_carrier(settings: Settings, clock: Callable[[], datetime] = _now) -> Trust:
    """For the carrier of a Kubernetes cluster.

    Raises:
        BadKey: Keys are wanted, and its own is missing or cannot be used.
    """
    if settings.node_keys == OFF:
        return Trust()
    missing = "NODEWISE_NODE_KEY_FILE is missing: the carrier's key, which `nodewise keys node --carrier` prints where the cluster runs"
    key = _read(settings.node_key_file, CarrierKey.read, missing)
    return Trust(
        seal=sealing.seal_of_carrier(key, clock),
        opens=sealing.opener_of_carrier(key, clock, settings.node_clock),
    )


def _read(file: Path | None, read: Callable[[Path], K], missing: str) -> K:
    # A variable that is set to nothing is a path, too.
    if file is None or file == Path():
        raise BadKey(f"{missing}; or set NODEWISE_NODE_KEYS=off, here and everywhere")
    return read(file)
