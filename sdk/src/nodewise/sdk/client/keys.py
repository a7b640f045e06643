"""API keys: making, listing and ending them. For admins."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import TypedDict, cast
from urllib.parse import quote

from nodewise.sdk.client.paging import every_item
from nodewise.sdk.client.transport import Request, Transport
from nodewise.sdk.dsl.options import seconds_of
from nodewise.sdk.models import Json

_PATH = "/v1/keys"


class KeyInfo(TypedDict, total=False):
    """`GET /v1/keys`. Times are RFC 3339 text in UTC; `key`, the key itself, is there only when it was just made."""

    id: str
    name: str
    role: str
    team: str
    created_at: str
    expires_at: str | None
    revoked_at: str | None
    last_used_at: str | None
    key: str


class Keyholding:
    """What a client can do with keys."""

    _transport: Transport

    def whoami(self) -> Json:
        """Whose key this client uses: its name, role and team."""
        return self._answer("GET", "/v1/whoami")

    def create_key(
        self, name: str, *, role: str, team: str = "default", expires: timedelta | float | str | None = None
    ) -> KeyInfo:
        """Make a key. Its `key` is told now and never again; not tried again by itself, since it would make another one.

        Args:
            name: What it is for; unique among those that are not revoked.
            role: `viewer`, `submitter`, `operator` or `admin`.
            team: Whose runs its holder sees and makes; operators and admins see all.
            expires: After how long: seconds, a timedelta, or text such as `90d`; None: never.

        Raises:
            ApiError: 403, this client's own key is no admin's; 409, the name is taken; 422, says the field and the rule.
            ValueError: The duration is none.
        """
        seconds = None if expires is None else int(seconds_of(expires))
        body = {"name": name, "role": role, "team": team, "expires_in_seconds": seconds}
        request = Request(method="POST", path=_PATH, json=body, repeatable=False)
        return cast("KeyInfo", self._transport.send(request).json())

    def keys(self, *, revoked: bool = False, limit: int | None = None) -> Iterator[KeyInfo]:
        """Keys, newest first, page by page as you iterate; those that were revoked, or those that were not."""
        params = {"revoked": "true"} if revoked else {}
        for info in every_item(self._answer, _PATH, params, limit=limit):
            yield cast("KeyInfo", info)

    def revoke_key(self, key_id: str) -> None:
        """End a key; every gateway refuses it within a few seconds.

        Raises:
            ApiError: 404, there is none.
        """
        path = f"{_PATH}/{quote(key_id, safe='')}"
        self._transport.send(Request(method="DELETE", path=path))

    def _answer(self, method: str, path: str, **more: object) -> Json:
        request = Request(method=method, path=path, **more)  # type: ignore[arg-type]
        return cast("Json", self._transport.send(request).json())
