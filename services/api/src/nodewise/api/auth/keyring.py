"""The keys that requests are made with, looked up in the database and remembered for a moment."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from anyio import CapacityLimiter, to_thread
from sqlalchemy import Engine

from nodewise.api.auth.caller import DEFAULT_TEAM
from nodewise.core.db.engine import transaction
from nodewise.core.db.queries.api_keys import ApiKey, used_key
from nodewise.core.model.role import Role
from nodewise.core.tokens import FORM, Token, read_token

REMEMBERED_SECONDS: Final = 2.0
"""A key is looked up again when this has passed: so long another process may still let in who was revoked."""
_LOOKUPS_AT_ONCE: Final = 2
"""Of keys that were found before; and as many of others. Whoever sends keys that do not exist must not take all connections."""
MOST_STRANGERS: Final = 100
"""So many lookups of keys that were never found here may wait: a fraction of a second."""
_MOST: Final = 10_000

_EPOCH: Final = datetime.fromisoformat("1970-01-01T00:00:00+00:00")


@dataclass(frozen=True, slots=True)
class _Known:
    key: ApiKey
    at: float


class TooManyStrangers(Exception):
    """So many unknown keys are being looked up that this one is not."""


class Keyring:
    """Finds keys by their ids. Thread-safe, but for `find`, which is for one event loop. `own` is a key that holds without the database: an admin's, from a file."""

    def __init__(self, own: Token | None = None, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._own = None if own is None else _admin(own)
        self._clock = clock
        self._known: dict[str, _Known] = {}
        self._unknown: dict[str, float] = {}
        self._lookups = CapacityLimiter(_LOOKUPS_AT_ONCE)
        self._strangers = CapacityLimiter(_LOOKUPS_AT_ONCE)

    async def find(self, key_id: str, engine: Engine, *, now: datetime) -> ApiKey | None:
        """The key of that id, whatever became of it; a round trip at most every few seconds.

        One that was found before does not wait for those that were not.

        Raises:
            TooManyStrangers: It was never found here, and too many such wait already.
        """
        if (found := self._remembered(key_id)) is not None or self._is_unknown(key_id):
            return found
        limiter = self._lookups
        if key_id not in self._known:
            limiter = self._strangers
            if limiter.statistics().tasks_waiting >= MOST_STRANGERS:
                raise TooManyStrangers
        return await to_thread.run_sync(lambda: self.look(key_id, engine, now=now), limiter=limiter)

    def look(self, key_id: str, engine: Engine, *, now: datetime) -> ApiKey | None:
        """The same, for who may wait in this thread."""
        if (found := self._remembered(key_id)) is not None or self._is_unknown(key_id):
            return found
        found = self._ask(key_id, engine, now=now)
        if found is None:
            self._note_unknown(key_id)
        else:
            self._remember(found)
        return found

    def _ask(self, key_id: str, engine: Engine, *, now: datetime) -> ApiKey | None:
        with transaction(engine) as connection:
            return used_key(connection, key_id, now=now)

    def forget(self, key_id: str) -> None:
        """Look it up anew: it was changed."""
        self._known.pop(key_id, None)
        self._unknown.pop(key_id, None)

    def _remembered(self, key_id: str) -> ApiKey | None:
        if self._own is not None and key_id == self._own.id:
            return self._own
        known = self._known.get(key_id)
        fresh = known is not None and self._clock() - known.at < REMEMBERED_SECONDS
        return known.key if known is not None and fresh else None

    def _is_unknown(self, key_id: str) -> bool:
        at = self._unknown.get(key_id)
        return at is not None and self._clock() - at < REMEMBERED_SECONDS

    def _note_unknown(self, key_id: str) -> None:
        if len(self._unknown) >= _MOST:
            self._unknown = {}
        self._unknown[key_id] = self._clock()

    def _remember(self, key: ApiKey) -> None:
        if len(self._known) >= _MOST:
            self._known = {}
        self._known[key.id] = _Known(key, self._clock())


def is_valid(key: ApiKey, *, now: datetime) -> bool:
    """Whether it is neither revoked nor expired."""
    return key.revoked_at is None and (key.expires_at is None or now < key.expires_at)


def read_admin_key(file: Path | None) -> Token | None:
    """The key in that file; None: no file is named.

    Raises:
        ValueError: It cannot be read, or holds no key. What it holds is not told.
    """
    if file is None:
        return None
    try:
        text = file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"the admin key file {file} cannot be read: {type(error).__name__}") from error
    token = read_token(text)
    if token is None:
        raise ValueError(f"the admin key file {file} holds no key of the form {FORM}")
    return token


def _admin(token: Token) -> ApiKey:
    return ApiKey(
        id=token.id,
        name="admin (from a file)",
        role=Role.ADMIN,
        team=DEFAULT_TEAM,
        secret_hash=token.secret_hash,
        created_at=_EPOCH,
    )
