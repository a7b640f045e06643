"""Keys of nodes, derived from the secret of the cluster, and so kept nowhere but with their nodes (ADR 0017).

`python -m nodewise.core.nodekeys NAME --secret-file FILE` prints the key of a node, with `--carrier` instead of a name that of a
carrier; `--out FILE` writes it there, for its owner only. Secrets and keys are read from files, never from arguments.
"""

import argparse
import hashlib
import hmac
import os
import re
import secrets
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal, Self

from nodewise.core.errors import NodewiseError
from nodewise.core.model.engines import AGENTS, KUBERNETES
from nodewise.core.model.ids import NodeName

Realm = Literal["agents", "kubernetes"]
"""The engine whose nodes a key is for: who speaks for the nodes of one can speak for none of the other."""
REALMS: Final[tuple[Realm, ...]] = (AGENTS, KUBERNETES)

_REALM_LABEL: Final = b"nodewise realm key v1\0"
_NODE_LABEL: Final = b"nodewise node key v1\0"
_SHORTEST_SECRET: Final = 32
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,252}")
_NODE_KEY: Final = re.compile(r"nwn_([A-Za-z0-9][A-Za-z0-9._-]{0,252})_([0-9a-f]{64})")
_CARRIER_KEY: Final = re.compile(r"nwc_([0-9a-f]{64})")
_OWNER_ONLY: Final = 0o600


class BadKey(NodewiseError):
    """A file of a key or of the cluster's secret that cannot be used: which, and what it should hold."""


def could_be_name(text: str) -> bool:
    """Whether a node could be called so."""
    return _NAME.fullmatch(text) is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeKey:
    """What the agent of one node holds. It does not show when it is printed."""

    name: NodeName
    raw: bytes = field(repr=False)

    @property
    def text(self) -> str:
        return f"nwn_{self.name}_{self.raw.hex()}"

    @classmethod
    def read(cls, file: Path) -> Self:
        """The key in a file.

        Raises:
            BadKey: It cannot be read, or holds no key of a node.
        """
        found = _NODE_KEY.fullmatch(_text_of(file, "key of a node"))
        if found is None:
            raise BadKey(f"{file} holds no key of a node, nwn_<name>_<64 hex digits>")
        return cls(name=NodeName(found[1]), raw=bytes.fromhex(found[2]))


@dataclass(frozen=True, slots=True, kw_only=True)
class CarrierKey:
    """What a carrier holds: all nodes of the engine `kubernetes` have their keys from it."""

    raw: bytes = field(repr=False)

    @property
    def text(self) -> str:
        return f"nwc_{self.raw.hex()}"

    def of_node(self, name: str) -> bytes:
        return _derived(self.raw, _NODE_LABEL, name)

    @classmethod
    def read(cls, file: Path) -> Self:
        """The key in a file.

        Raises:
            BadKey: It cannot be read, or holds no key of a carrier.
        """
        found = _CARRIER_KEY.fullmatch(_text_of(file, "key of a carrier"))
        if found is None:
            raise BadKey(f"{file} holds no key of a carrier, nwc_<64 hex digits>")
        return cls(raw=bytes.fromhex(found[1]))


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterSecret:
    """What the recorder and the placers hold: every key is derived from it."""

    raw: bytes = field(repr=False)

    @classmethod
    def read(cls, file: Path) -> Self:
        """The secret in a file, without white space around it.

        Raises:
            BadKey: It cannot be read, or is too short to be one.
        """
        text = _text_of(file, "secret of the nodes' keys")
        if len(text) < _SHORTEST_SECRET:
            raise BadKey(
                f"{file} holds {len(text)} characters; a secret of the nodes' keys has {_SHORTEST_SECRET} or more, by chance"
            )
        return cls(raw=text.encode())

    def of_realm(self, realm: Realm) -> bytes:
        return _derived(self.raw, _REALM_LABEL, realm)

    def of_node(self, realm: Realm, name: str) -> bytes:
        """The key of a node: HMAC-SHA256, by its realm's key, of its name."""
        return _derived(self.of_realm(realm), _NODE_LABEL, name)

    def node_key(self, name: NodeName) -> NodeKey:
        """For the agent of that node."""
        return NodeKey(name=name, raw=self.of_node(AGENTS, name))

    def carrier_key(self) -> CarrierKey:
        return CarrierKey(raw=self.of_realm(KUBERNETES))


def new_secret() -> str:
    """A secret that nobody has yet."""
    return secrets.token_urlsafe(_SHORTEST_SECRET)


def write_private(file: Path, text: str) -> None:
    """Write a file that its owner alone can read, whole or not at all."""
    partial = file.with_name(f".{file.name}.{os.getpid()}")
    partial.unlink(missing_ok=True)
    with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _OWNER_ONLY), "w") as new:
        new.write(f"{text}\n")
    partial.replace(file)


def _derived(key: bytes, label: bytes, name: str) -> bytes:
    return hmac.digest(key, label + name.encode("utf-8", "surrogatepass"), hashlib.sha256)


def _text_of(file: Path, what: str) -> str:
    try:
        return file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is no text"
        raise BadKey(f"the {what} in {file} cannot be read: {why}") from error


def main(arguments: Sequence[str] | None = None) -> int:
    """Print a key; the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m nodewise.core.nodekeys", description="Prints the key of a node."
    )
    parser.add_argument("name", nargs="?", help="of the node, as its agent is told by --name")
    parser.add_argument("--carrier", action="store_true", help="the key of a carrier instead")
    parser.add_argument("--secret-file", type=Path, required=True, help="the cluster's secret")
    parser.add_argument("--out", type=Path, help="a file for the key, instead of printing it")
    given = parser.parse_args(arguments)
    if given.carrier == (given.name is not None):
        parser.error("give the name of a node, or --carrier")
    if given.name is not None and not could_be_name(given.name):
        parser.error(f"{given.name!r} cannot be the name of a node")
    try:
        secret = ClusterSecret.read(given.secret_file)
        key = secret.carrier_key() if given.carrier else secret.node_key(NodeName(given.name))
        if given.out is None:
            sys.stdout.write(f"{key.text}\n")
        else:
            write_private(given.out, key.text)
    except (BadKey, OSError) as error:
        sys.stderr.write(f"{parser.prog}: {error}\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
