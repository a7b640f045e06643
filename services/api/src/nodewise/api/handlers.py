"""Which exception becomes which problem. What stands here is what a client may meet; the rest is a 500 (see `edge`)."""

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from sqlalchemy.exc import DataError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.routing import Match

from nodewise.api.problems import Fault, Problem, too_large, unavailable
from nodewise.api.refusals import REFUSALS, problem_of
from nodewise.core.errors import ArtifactTooLarge, StoreError, StoreFull, Unavailable

_METHODS = ("DELETE", "GET", "PATCH", "POST", "PUT")
_log = structlog.get_logger()


def install_handlers(app: FastAPI) -> None:
    """Answer every expected error with problem+json."""
    for refusal in REFUSALS:
        app.add_exception_handler(refusal, _refusal)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(RequestValidationError, _validation)
    app.add_exception_handler(StoreError, _store)
    app.add_exception_handler(DataError, _data)
    app.add_exception_handler(ClientDisconnect, _gone)
    for away in (OperationalError, InterfaceError, PoolTimeout, Unavailable):
        app.add_exception_handler(away, _away)


async def _http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 - registered for HTTPException only
    kind, detail = {
        404: ("not-found", f"there is nothing at {request.url.path}"),
        405: ("method-not-allowed", f"{request.method} is not allowed at {request.url.path}"),
    }.get(error.status_code, ("bad-request", str(error.detail)))
    headers = {"Allow": _allowed(request)} if error.status_code == 405 else error.headers or {}
    return Problem(status=error.status_code, kind=kind, detail=detail, headers=headers).response()


def _allowed(request: Request) -> str:
    """All methods of this path: Starlette names those of its first route only (RFC 9110, 10.2.1, wants all)."""
    routes = request.app.router.routes
    asked = {method: {**request.scope, "method": method} for method in _METHODS}
    return ", ".join(
        method
        for method, scope in asked.items()
        if any(route.matches(scope)[0] is Match.FULL for route in routes)
    )


async def _validation(_: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)  # noqa: S101 - registered for RequestValidationError only
    faults = [
        Fault(field=".".join(str(part) for part in item["loc"]), rule=item["msg"]) for item in error.errors()
    ]
    detail = "; ".join(f"{fault.field}: {fault.rule}" for fault in faults)
    return Problem(status=422, kind="invalid-request", detail=detail, faults=faults).response()


async def _refusal(_: Request, error: Exception) -> Response:
    return problem_of(error).response()


async def _store(_: Request, error: Exception) -> Response:
    if isinstance(error, ArtifactTooLarge):
        return too_large(error.limit_bytes).response()
    _log.error("the artifact store failed", error=str(error))
    if isinstance(error, StoreFull):
        return Problem(status=507, kind="store-full", detail=str(error)).response()
    return unavailable("the artifact store").response()


async def _data(_: Request, error: Exception) -> Response:
    _log.warning("the database refused a value", error=str(error))
    return Problem(
        status=422, kind="invalid-request", detail="a value is one that the database cannot hold"
    ).response()


async def _gone(_: Request, __: Exception) -> Response:
    return Problem(status=400, kind="incomplete-body", detail="the request ended before its body").response()


async def _away(_: Request, error: Exception) -> Response:
    _log.warning("the database does not answer", error=str(error).split("\n", maxsplit=1)[0])
    return unavailable("the database").response()
