"""API keys, and who holds the one that is used."""

import uuid
from dataclasses import asdict
from datetime import timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query

from nodewise.api.auth.caller import Called
from nodewise.api.auth.schemas import KeyPage, KeyQuery, KeyRequest, NewKey, WhoAmI
from nodewise.api.bodies import json_bytes, parse_object
from nodewise.api.paging import decode_cursor, encode_cursor
from nodewise.api.problems import not_found
from nodewise.api.requests import read_body
from nodewise.api.routes.documented import json_body, problems
from nodewise.api.wiring import Wired
from nodewise.core.db.engine import transaction
from nodewise.core.db.queries.api_keys import ApiKey, insert_key, keys_page, revoke_key
from nodewise.core.tokens import new_token

router = APIRouter(tags=["keys"], prefix="/v1")


@router.get("/whoami", response_model=WhoAmI)
async def whoami(caller: Called) -> Any:
    """Who holds the key that this is asked with, and what they may do."""
    return {
        "name": caller.name,
        "role": caller.role,
        "team": caller.team,
        "sees_all_teams": caller.role.sees_all_teams,
    }


@router.post(
    "/keys",
    status_code=201,
    response_model=NewKey,
    responses=problems(400, 409, 413, 415, 422, 503),
    openapi_extra=json_body("KeyRequest"),
)
def create(raw: Annotated[bytes, Depends(json_bytes)], services: Wired) -> Any:
    """Make a key. The answer shows it, and nothing will again: only a digest of it is kept."""
    request = read_body(KeyRequest, parse_object(raw))
    token, now = new_token(), services.clock()
    life = request.expires_in_seconds
    key = ApiKey(
        id=token.id,
        name=request.name,
        role=request.role,
        team=request.team,
        secret_hash=token.secret_hash,
        created_at=now,
        expires_at=now + timedelta(seconds=life) if life is not None else None,
    )
    with transaction(services.engine) as connection:
        insert_key(connection, key)
    return {**_shown(key), "key": token.text}


@router.get("/keys", response_model=KeyPage, responses=problems(422, 503))
def list_keys(services: Wired, query: Annotated[KeyQuery, Query()]) -> Any:
    """Keys, newest first, page by page; without the keys themselves. One that stands in a file is not among them."""
    before = decode_cursor(query.cursor) if query.cursor else None
    with transaction(services.engine) as connection:
        rows = keys_page(connection, revoked=query.revoked, before=before, limit=query.limit + 1)
    page = rows[: query.limit]
    more = len(rows) > query.limit
    return {
        "items": [_shown(key) for key in page],
        "next_cursor": encode_cursor(page[-1].created_at, page[-1].id) if more else None,
    }


@router.delete("/keys/{key_id}", status_code=204, responses=problems(404, 503))
def revoke(key_id: str, services: Wired) -> None:
    """End a key: at once here, and within a few seconds where the gateway runs besides. Twice is fine."""
    try:
        known = str(uuid.UUID(key_id))
    except ValueError:
        raise not_found("key", key_id[:100]) from None
    with transaction(services.engine) as connection:
        if not revoke_key(connection, known, now=services.clock()):
            raise not_found("key", known)
    services.guard.keyring.forget(known)


def _shown(key: ApiKey) -> dict[str, object]:
    return {name: value for name, value in asdict(key).items() if name != "secret_hash"}


SCHEMAS = (KeyRequest,)
"""Models that only the `requestBody` above names, for the OpenAPI document."""
