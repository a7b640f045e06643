"""API keys. Writer: api.

What is stored of a secret is its SHA-256. A slow hash, as passwords need, would protect nothing more: the secret is 256
random bits, which nobody tries out.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import Connection, RowMapping, text

from nodewise.core.errors import Conflict
from nodewise.core.model.role import Role

_USE_NOTED_EVERY: Final = timedelta(minutes=10)


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiKey:
    """A key as it is kept. `secret_hash` is not for showing."""

    id: str
    name: str
    role: Role
    team: str
    secret_hash: bytes
    created_at: datetime
    expires_at: datetime | None = None
    revoked_at: datetime | None = None
    last_used_at: datetime | None = None


_COLUMNS = "id, name, role, team, secret_hash, created_at, expires_at, revoked_at, last_used_at"

_INSERT = text("""
INSERT INTO api_keys (id, name, role, team, secret_hash, created_at, expires_at)
VALUES (:id, :name, :role, :team, :secret_hash, :created_at, :expires_at)
ON CONFLICT DO NOTHING
RETURNING id
""")
_BY_ID = text(f"SELECT {_COLUMNS} FROM api_keys WHERE id = :id")  # noqa: S608 - constants
_PAGE = text(f"""
SELECT {_COLUMNS} FROM api_keys
WHERE (revoked_at IS NOT NULL) = :revoked
  AND (CAST(:before_at AS timestamptz) IS NULL OR (created_at, id) < (:before_at, CAST(:before_id AS uuid)))
ORDER BY created_at DESC, id DESC LIMIT :limit
""")  # noqa: S608 - constants
_REVOKE = text("UPDATE api_keys SET revoked_at = coalesce(revoked_at, :at) WHERE id = :id RETURNING id")
_NOTE_USE = text("UPDATE api_keys SET last_used_at = :at WHERE id = :id")


def insert_key(connection: Connection, key: ApiKey) -> None:
    """Write a new key.

    Raises:
        Conflict: Another one that is not revoked has that name.
    """
    values = {
        "id": key.id,
        "name": key.name,
        "role": key.role.value,
        "team": key.team,
        "secret_hash": key.secret_hash,
        "created_at": key.created_at,
        "expires_at": key.expires_at,
    }
    if connection.execute(_INSERT, values).first() is None:
        raise Conflict(f"there is a key named {key.name!r} already; revoke it first, or choose another name")


def used_key(connection: Connection, key_id: str, *, now: datetime) -> ApiKey | None:
    """The key of that id, revoked or not; that it was used is noted, but not more than every ten minutes."""
    row = connection.execute(_BY_ID, {"id": key_id}).mappings().first()
    if row is None:
        return None
    key = _key(row)
    stale = key.last_used_at is None or now - key.last_used_at >= _USE_NOTED_EVERY
    if stale and key.revoked_at is None:
        connection.execute(_NOTE_USE, {"id": key_id, "at": now})
    return key


def keys_page(
    connection: Connection, *, revoked: bool, before: tuple[datetime, str] | None, limit: int
) -> Sequence[ApiKey]:
    """At most `limit` keys, newest first: those that were revoked, or those that were not."""
    before_at, before_id = before or (None, None)
    values = {"revoked": revoked, "before_at": before_at, "before_id": before_id, "limit": limit}
    return [_key(row) for row in connection.execute(_PAGE, values).mappings()]


def revoke_key(connection: Connection, key_id: str, *, now: datetime) -> bool:
    """End a key; again changes nothing. False: there is none."""
    return connection.execute(_REVOKE, {"id": key_id, "at": now}).first() is not None


def _key(row: RowMapping | Mapping[str, object]) -> ApiKey:
    values = dict(row)
    return ApiKey(
        **{
            **values,
            "id": str(values["id"]),
            "role": Role(str(values["role"])),
            "secret_hash": bytes(values["secret_hash"]),
        }
    )
