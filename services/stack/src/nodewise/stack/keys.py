"""The keys of a home: made with it, kept in files for its owner only.

`nodewise` and its Client find the admin's there, and `nodewise keys node` the secret that the keys of nodes are derived from.
"""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from nodewise.core.model.ids import NodeName
from nodewise.core.nodekeys import BadKey, ClusterSecret, new_secret, write_private
from nodewise.core.tokens import FORM, new_token, read_token
from nodewise.stack.errors import StackError

ADMIN_KEY: Final = "admin.key"
"""The SDK looks for a file of this name, too."""
NODES_FILE: Final = "node.secret"
"""So for this one."""
_OWNER_ONLY: Final = 0o600


def key_file(home: Path) -> Path:
    return home / ADMIN_KEY


def prepare_key(home: Path) -> None:
    """See that there is a key; one that is there stays.

    Raises:
        StackError: The file is there, but holds no key or can be read by others.
    """
    file = key_file(home)
    if not _made(file, new_token().text):
        _check(file)


def secret_file(home: Path) -> Path:
    """Of what all keys of nodes are derived from."""
    return home / NODES_FILE


def node_key_file(home: Path, name: str) -> Path:
    """Of the key of that node."""
    return home / "keys" / f"node-{name}.key"


def carrier_key_file(home: Path) -> Path:
    return home / "keys" / "carrier.key"


def prepare_node_keys(home: Path, names: Iterable[str]) -> None:
    """See that there is a secret, which stays if it is there, and a key of each of these nodes and of a carrier.

    Raises:
        StackError: The secret is there, but cannot be used or can be read by others.
    """
    file = secret_file(home)
    _made(file, new_secret())
    _require_private(file)
    try:
        secret = ClusterSecret.read(file)
    except BadKey as error:
        raise _broken(file, str(error)) from error
    carrier = carrier_key_file(home)
    carrier.parent.mkdir(mode=0o700, exist_ok=True)
    write_private(carrier, secret.carrier_key().text)
    for name in names:
        write_private(node_key_file(home, name), secret.node_key(NodeName(name)).text)


def key_in(home: Path) -> str | None:
    """The key of that home; None: it has none that we can read."""
    try:
        return key_file(home).read_text(encoding="utf-8").strip() or None
    except (OSError, UnicodeDecodeError):
        return None


def key_problem(home: Path) -> StackError | None:
    """What is wrong with the file of the key, if anything."""
    try:
        _check(key_file(home))
    except (StackError, OSError) as error:
        return error if isinstance(error, StackError) else _broken(key_file(home), type(error).__name__)
    return None


def _check(file: Path) -> None:
    text = key_in(file.parent)
    if text is None or read_token(text) is None:
        raise _broken(file, f"it holds no key of the form {FORM}")
    _require_private(file)


def _made(file: Path, text: str) -> bool:
    """Whether the file was not there, and now is."""
    try:
        with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _OWNER_ONLY), "w") as new:
            new.write(f"{text}\n")
    except FileExistsError:
        return False
    return True


def _require_private(file: Path) -> None:
    mode = file.stat().st_mode & 0o777
    if mode & 0o077:
        raise StackError(f"{file} can be read by others (mode {mode:o})", f"chmod 600 {file}")


def _broken(file: Path, why: str) -> StackError:
    return StackError(
        f"{file} cannot be used: {why}", "remove it: the next `nodewise up` makes another, or write one"
    )
