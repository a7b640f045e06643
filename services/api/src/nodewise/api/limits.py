"""Limits on bodies: refused before they are parsed, by the declared length and by the bytes that really come."""

import asyncio
from collections.abc import Callable

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from nodewise.api.problems import too_large

_DRAIN_SECONDS = 5.0
"""How long the rest of a refused body is read and thrown away: closing earlier resets the connection, and the client
would see that instead of the answer."""


class BodyLimit:
    """ASGI middleware. `limit_of` says how many bytes the body of a request may have."""

    def __init__(self, app: ASGIApp, *, limit_of: Callable[[Scope], int]) -> None:
        self._app = app
        self._limit_of = limit_of

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        limit = self._limit_of(scope)
        if _declared_length(scope) > limit:
            await drain(receive, limit)
            await too_large(limit).response()(scope, receive, send)
            return
        await self._app(scope, _counting(receive, limit), send)


def _declared_length(scope: Scope) -> int:
    for name, value in scope["headers"]:
        if name == b"content-length" and value.isdigit():
            return int(value[:20])
    return 0


def _counting(receive: Receive, limit: int) -> Receive:
    seen = 0

    async def counted() -> Message:
        nonlocal seen
        message = await receive()
        seen += len(message.get("body", b""))
        if seen > limit:
            if message.get("more_body"):
                await drain(receive, limit)
            raise too_large(limit)
        return message

    return counted


async def drain(receive: Receive, limit: int) -> None:
    """Read the rest of a refused body and throw it away, within the limit and a few seconds."""
    drained = 0
    try:
        async with asyncio.timeout(_DRAIN_SECONDS):
            while drained <= limit:
                message = await receive()
                drained += len(message.get("body", b""))
                if not message.get("more_body"):
                    return
    except TimeoutError:
        return
