"""One agent per name: a lease in the broker, which its holder renews."""

import json
import os
import secrets
import socket
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import redis
import structlog

from nodewise.agent.joining import CannotJoin

LEASE_SECONDS: Final = 5.0
_RENEW_SECONDS: Final = 1.5
_LOOK_SECONDS: Final = 0.2
_SAY_EVERY_SECONDS: Final = 10.0
_MARGIN_SECONDS: Final = 0.5
# Taken when free or as expected, in one step: between a look and a write another may take it.
_TAKE: Final = """
local held = redis.call('GET', KEYS[1])
if held and held ~= ARGV[1] then return held end
redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
return false
"""
_RELEASE: Final = (
    "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0"
)
_log = structlog.get_logger()


class NameTenure:
    """Holds the name of this agent while it is entered. A broker that is away ends nothing.

    The work directory must be ours already (see `owning`): that makes a holder with the same one a dead one.
    """

    def __init__(self, client: "redis.Redis", name: str, *, boot_id: str, work_dir: Path) -> None:
        self._client = client
        self._name = name
        self._key = f"nodewise:agent:{name}"
        self._folder = folder_id(work_dir)
        self._value = json.dumps(
            {"boot_id": boot_id, "host": socket.gethostname(), "pid": os.getpid(), "folder": self._folder}
        )
        self._said_at: float | None = None
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._renew, name="tenure", daemon=True)

    def __enter__(self) -> Self:
        """Take the name.

        Raises:
            CannotJoin: Another agent has it and is alive.
        """
        deadline = None
        while (holder := self._try_take()) is not None:
            now = time.monotonic()
            deadline = deadline or now + LEASE_SECONDS + _MARGIN_SECONDS
            if now > deadline:
                raise CannotJoin(
                    f"another agent named {self._name} is running ({_described(holder)}); "
                    "stop it, or give this one another --name"
                )
            time.sleep(_LOOK_SECONDS)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopped.set()
        try:
            self._client.eval(_RELEASE, 1, self._key, self._value)
        except redis.RedisError:
            # It ends by itself.
            return

    def _try_take(self) -> str | None:
        """None: it is ours. Else who has it (nothing known when the broker does not answer)."""
        try:
            holder = self._swap(self._value)
            if holder is not None and _parsed(holder).get("folder") == self._folder:
                holder = self._swap(holder)
        except redis.RedisError:
            # It has answered a moment ago; whoever is there finds us when it is back.
            return None
        return holder

    def _swap(self, expected: str) -> str | None:
        held: Any = self._client.eval(_TAKE, 1, self._key, expected, self._value, int(LEASE_SECONDS * 1000))
        return held.decode() if isinstance(held, bytes) else held

    def _renew(self) -> None:
        while not self._stopped.wait(_RENEW_SECONDS):
            try:
                holder = self._swap(self._value)
            except redis.RedisError:
                continue
            now = time.monotonic()
            if holder is not None and (self._said_at is None or now - self._said_at >= _SAY_EVERY_SECONDS):
                self._said_at = now
                _log.error("another agent has this name", name=self._name, holder=_described(holder))


def folder_id(work_dir: Path) -> str:
    """A name for this very folder: another one for a folder of that path elsewhere, or after it was removed."""
    path = work_dir / "folder.id"
    try:
        return path.read_text()
    except FileNotFoundError:
        path.write_text(secrets.token_hex(16))
        return path.read_text()


def _parsed(value: str) -> dict[str, Any]:
    try:
        loaded = json.loads(value)
    except ValueError:
        return {}
    return loaded if isinstance(loaded, dict) else {}


def _described(value: str) -> str:
    held = _parsed(value)
    return f"host {held.get('host', 'unknown')}, pid {held.get('pid', 'unknown')}"
