"""Where the API is, and with which key: said by the caller, by the environment, or by the stack that runs in this folder or
above.
"""

import json
import os
from collections.abc import Mapping
from pathlib import Path

from nodewise.core.errors import NodewiseError, Unavailable

ADMIN_KEY = "admin.key"
"""The file in the home of a stack with the key of whoever started it."""
NODES_FILE = "node.secret"
"""That with the secret which the keys of its nodes are derived from."""
ADVICE = "is the stack up? Run `nodewise up`, or start the one that NODEWISE_URL names"


class NoStack(Unavailable):
    """Nothing says where the API is."""

    def __init__(self, home: Path) -> None:
        self.home = home
        super().__init__(
            f"no running stack is known here (no {home / 'stack.json'}): run `nodewise up`, set NODEWISE_URL, or give --url"
        )


class NoKey(NodewiseError):
    """The API key that was named is none that can be used."""

    def __init__(self, why: str) -> None:
        super().__init__(f"no API key: {why}")


def find_url(
    url: str | None = None, *, environment: Mapping[str, str] | None = None, folder: Path | None = None
) -> str:
    """The base address of the API, without a slash at the end.

    Args:
        url: What the caller said; wins.
        environment: In place of the process's: NODEWISE_URL, then NODEWISE_HOME.
        folder: Where to start looking for `.nodewise/stack.json`, upward; the current one by default.

    Raises:
        NoStack: Nothing says where it is.
    """
    env = os.environ if environment is None else environment
    said = url or env.get("NODEWISE_URL")
    if said:
        return _with_scheme(said).rstrip("/")
    return str(read_stack(_home(env, folder or Path.cwd()))["api_url"]).rstrip("/")


def find_key(
    url: str,
    api_key: str | None = None,
    *,
    environment: Mapping[str, str] | None = None,
    folder: Path | None = None,
) -> str | None:
    """The API key for that address; None: nothing says one, and the API may want none.

    Args:
        url: Where it will be sent, as `find_url` gives it. The key in the home of a stack is for its own address only.
        api_key: What the caller said; wins.
        environment: In place of the process's: NODEWISE_API_KEY, NODEWISE_API_KEY_FILE, then NODEWISE_HOME.
        folder: Where to start looking for a home, as in `find_url`.

    Raises:
        NoKey: The file that is named cannot be read, or what is said cannot be a key.
    """
    env = os.environ if environment is None else environment
    said = api_key or env.get("NODEWISE_API_KEY")
    if said:
        return _sendable(said)
    if file := env.get("NODEWISE_API_KEY_FILE"):
        try:
            return _sendable(Path(file).read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError) as error:
            raise NoKey(f"NODEWISE_API_KEY_FILE {file} cannot be read: {type(error).__name__}") from error
    return _of_stack(url, _home(env, folder or Path.cwd()))


def node_secret_file(*, environment: Mapping[str, str] | None = None, folder: Path | None = None) -> Path:
    """Where the secret of the cluster would be: NODEWISE_NODE_SECRET_FILE, else in the home of the stack as `find_url` finds it."""
    env = os.environ if environment is None else environment
    said = env.get("NODEWISE_NODE_SECRET_FILE")
    return Path(said) if said else _home(env, folder or Path.cwd()) / NODES_FILE


def _of_stack(url: str, home: Path) -> str | None:
    try:
        if str(read_stack(home)["api_url"]).rstrip("/") != url:
            return None
        return _sendable((home / ADMIN_KEY).read_text(encoding="utf-8"))
    except (NoStack, OSError, UnicodeDecodeError):
        # Not this user's, or a stack without keys: the API says what it wants.
        return None


def _sendable(text: str) -> str:
    key = text.strip()
    if not key.isascii() or not key.isprintable() or " " in key or not key:
        raise NoKey("what is said to be one is empty, or has characters that no key has")
    return key


def read_stack(home: Path) -> dict[str, object]:
    """What the supervisor wrote about the running stack.

    Raises:
        NoStack: There is none, or the file says no address.
    """
    try:
        stack = json.loads((home / "stack.json").read_text())
    except (OSError, ValueError) as error:
        raise NoStack(home) from error
    if not isinstance(stack, dict) or "api_url" not in stack:
        raise NoStack(home)
    return stack


def _home(env: Mapping[str, str], folder: Path) -> Path:
    said = env.get("NODEWISE_HOME")
    if said:
        return Path(said)
    # Imported late: pydantic takes 0.1 s, which most calls can spare.
    from nodewise.core.settings import home_from  # noqa: PLC0415

    return home_from(folder)


def _with_scheme(url: str) -> str:
    return url if "://" in url else f"http://{url}"
