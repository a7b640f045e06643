"""The outermost layer: headers on every answer, metrics of every request, and the last resort."""

import uuid
from time import perf_counter

import structlog
from prometheus_client import Counter, Histogram
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from nodewise.api.problems import Problem

_REQUESTS = Counter(
    "nodewise_http_requests_total", "Requests by route, method and status.", ["route", "method", "status"]
)
_SECONDS = Histogram(
    "nodewise_http_request_seconds", "Time to the first byte of the answer.", ["route", "method"]
)
_HEADERS = [
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cache-control", b"no-store"),
    (
        b"content-security-policy",
        b"default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
    ),
    (b"cross-origin-resource-policy", b"same-origin"),
]
"""What an answer says of itself wins: the pages say what they may load."""
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_log = structlog.get_logger()


class Edge:
    """ASGI middleware. An unexpected error becomes a 500 with an id that stands in the log beside the traceback."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        answer = _Answer(scope, send)
        try:
            await self._app(scope, receive, answer.send)
        except Exception as error:
            await _last_resort(error, scope, receive, answer)


class _Answer:
    """Passes the answer on and remembers whether it has begun."""

    def __init__(self, scope: Scope, send: Send) -> None:
        self.begun = False
        self._scope = scope
        self._send = send
        self._arrived = perf_counter()

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.begun = True
            said = {name for name, _ in message["headers"]}
            message["headers"] = [*message["headers"], *(one for one in _HEADERS if one[0] not in said)]
            self._count(message["status"])
        await self._send(message)

    def _count(self, status: int) -> None:
        # The template, never the path: ids and typing errors would make a new series each.
        route = getattr(self._scope.get("route"), "path", "(none)")
        method = self._scope["method"] if self._scope["method"] in _METHODS else "(other)"
        _REQUESTS.labels(route, method, str(status)).inc()
        _SECONDS.labels(route, method).observe(perf_counter() - self._arrived)


async def _last_resort(error: Exception, scope: Scope, receive: Receive, answer: _Answer) -> None:
    error_id = uuid.uuid4().hex
    _log.error(
        "a request failed", error_id=error_id, method=scope["method"], path=scope["path"], exc_info=error
    )
    if answer.begun:
        raise error
    detail = f"an unexpected error; the log of the api has it under {error_id}"
    problem = Problem(status=500, kind="internal-error", detail=detail)
    await problem.response()(scope, receive, answer.send)
