"""Where the API is: said by the caller, by NODEWISE_URL, or by the stack that runs in this folder or above."""

import json
import os
from collections.abc import Mapping
from pathlib import Path

from nodewise.core.errors import Unavailable

ADVICE = "is the stack up? Run `nodewise up`, or start the one that NODEWISE_URL names"


class NoStack(Unavailable):
    """Nothing says where the API is."""

    def __init__(self, home: Path) -> None:
        self.home = home
        super().__init__(
            f"no running stack is known here (no {home / 'stack.json'}): run `nodewise up`, set NODEWISE_URL, or give --url"
        )


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
