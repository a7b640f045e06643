"""Whom a process believes, and how it shows who it is: from its settings."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

from nodewise.core import sealing
from nodewise.core.nodekeys import BadKey, CarrierKey, ClusterSecret, NodeKey
from nodewise.core.settings import Settings

K = TypeVar("K")


@dataclass(frozen=True, slots=True, kw_only=True)
class Trust:
    """`seal` goes over what is sent, `opens` over what comes. By default nothing is signed, and everybody is believed."""

    seal: sealing.Sealer = sealing.unsealed
    opens: sealing.Opening = sealing.open_unchecked


def _now() -> datetime:
    return datetime.now(UTC)


def trust_of_services(settings: Settings, clock: Callable[[], datetime] = _now) -> Trust:
    """For recorder and placers.

    Raises:
        BadKey: Keys are wanted, and the cluster's secret is missing; or it cannot be used.
    """
    missing = (
        "NODEWISE_NODE_SECRET_FILE is missing: a file with the secret that the keys of nodes are derived from"
    )
    secret = _read(settings, settings.node_secret_file, ClusterSecret.read, missing=missing)
    if secret is None:
        return Trust()
    return _trust(
        settings,
        sealing.seal_of_cluster(secret, clock),
        sealing.opener_of_cluster(secret, clock, settings.node_clock),
    )


def trust_of_agent(settings: Settings, name: str, clock: Callable[[], datetime] = _now) -> Trust:
    """For the agent of that node.

    Raises:
        BadKey: Keys are wanted, and its own is missing; or it cannot be used, or is that of another node.
    """
    missing = f"--key-file is missing: the key of node {name}, which `nodewise keys node {name}` prints where the cluster runs"
    key = _read(settings, settings.node_key_file, NodeKey.read, missing=missing)
    if key is None:
        return Trust()
    if key.name != name:
        raise BadKey(f"{settings.node_key_file} holds the key of node {key.name}, and this is {name}")
    return _trust(
        settings,
        sealing.seal_of_agent(key, clock),
        sealing.opener_of_agent(key, clock, settings.node_clock),
    )


def trust_of_carrier(settings: Settings, clock: Callable[[], datetime] = _now) -> Trust:
    """For the carrier of a Kubernetes cluster.

    Raises:
        BadKey: Keys are wanted, and its own is missing; or it cannot be used.
    """
    missing = "NODEWISE_NODE_KEY_FILE is missing: the carrier's key, which `nodewise keys node --carrier` prints where the cluster runs"
    key = _read(settings, settings.node_key_file, CarrierKey.read, missing=missing)
    if key is None:
        return Trust()
    return _trust(
        settings,
        sealing.seal_of_carrier(key, clock),
        sealing.opener_of_carrier(key, clock, settings.node_clock),
    )


def _trust(settings: Settings, seal: sealing.Sealer, opener: sealing.Opening) -> Trust:
    """Who has a key signs, also where none is wanted: so keys are brought in one process after the other."""
    return Trust(seal=seal, opens=opener if settings.node_keys == "required" else sealing.open_unchecked)


def _read(settings: Settings, file: Path | None, read: Callable[[Path], K], *, missing: str) -> K | None:
    # A variable that is set to nothing is a path, too.
    if file is not None and file != Path():
        return read(file)
    if settings.node_keys == "required":
        raise BadKey(f"{missing}; or set NODEWISE_NODE_KEYS=off, here and everywhere")
    return None
