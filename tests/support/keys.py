"""Gateways that want keys, and keys for them."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import httpx

from nodewise.core.model.role import Role
from nodewise.core.settings import Settings
from nodewise.core.tokens import Token, new_token

WELL_FORMED = f"nw_{'5' * 32}_{'s' * 43}"
"""A key that nobody made. It is always the same, so that names of tests are."""


def with_keys(settings: Settings, folder: Path, **more: object) -> tuple[Settings, Token]:
    """The settings of a gateway that wants keys, and the admin's, which it reads from a file."""
    token, file = new_token(), folder / "admin.key"
    file.write_text(f"{token.text}\n")
    return settings.model_copy(update={"auth": "keys", "admin_key_file": file, **more}), token


def bearer(key: str) -> Mapping[str, str]:
    return {"Authorization": f"Bearer {key}"}


@dataclass(frozen=True)
class Holder:
    """A key and its holder's way to the gateway."""

    http: httpx.Client
    key: str
    id: str = ""

    def ask(self, method: str, path: str, **more: object) -> httpx.Response:
        headers = {**bearer(self.key), **dict(more.pop("headers", {}))}  # type: ignore[call-overload]
        return self.http.request(method, path, headers=headers, **more)  # type: ignore[arg-type]


def made(admin: Holder, role: Role, team: str, **more: object) -> Holder:
    """A new key of that role and team."""
    name = str(more.pop("name", f"{role.value} of {team}"))
    answer = admin.ask("POST", "/v1/keys", json={"name": name, "role": role.value, "team": team, **more})
    assert answer.status_code == 201, answer.text
    return Holder(admin.http, answer.json()["key"], answer.json()["id"])
