"""A cluster's secret, and keys of its nodes, for processes that tests start by hand."""

from datetime import UTC, datetime
from pathlib import Path

from nodewise.core.model.ids import NodeName
from nodewise.core.nodekeys import ClusterSecret, new_secret, write_private
from nodewise.core.sealing import Seal, seal_of_agent, seal_of_cluster

SECRET_TEXT = new_secret()
SECRET = ClusterSecret(raw=SECRET_TEXT.encode())


def now() -> datetime:
    return datetime.now(UTC)


def services_seal() -> Seal:
    """As recorder and placers sign."""
    return seal_of_cluster(SECRET, now)


def agent_seal(name: str) -> Seal:
    """As the agent of that node signs."""
    return seal_of_agent(SECRET.node_key(NodeName(name)), now)


def secret_file(folder: Path) -> Path:
    """A file with the secret."""
    file = folder / "node.secret"
    write_private(file, SECRET_TEXT)
    return file


def agent_key_file(folder: Path, name: str) -> Path:
    """A file with the key of that node."""
    file = folder / f"{name}.key"
    write_private(file, SECRET.node_key(NodeName(name)).text)
    return file


def carrier_key_file(folder: Path) -> Path:
    """A file with the key of a carrier."""
    file = folder / "carrier.key"
    write_private(file, SECRET.carrier_key().text)
    return file
