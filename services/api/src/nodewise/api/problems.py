"""Errors as the client sees them: RFC 9457 problem details, for every error there is."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus

from starlette.responses import JSONResponse


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One rule that one field broke. `field` starts with body, query, path or header."""

    field: str
    rule: str


@dataclass(eq=False, kw_only=True)
class Problem(Exception):
    """An answer other than success. `kind` is a stable short name of the case, `detail` a sentence for a person."""

    status: int
    kind: str
    detail: str
    faults: Sequence[Fault] = ()
    headers: Mapping[str, str] = field(default_factory=dict)

    def response(self) -> JSONResponse:
        """The problem+json document."""
        content = {
            "type": f"urn:nodewise:problem:{self.kind}",
            "title": HTTPStatus(self.status).phrase,
            "status": self.status,
            "detail": self.detail,
            "errors": [{"field": fault.field, "rule": fault.rule} for fault in self.faults],
        }
        return JSONResponse(
            content,
            status_code=self.status,
            media_type="application/problem+json",
            headers=dict(self.headers),
        )


def invalid(where: str, rule: str) -> Problem:
    """A field of the request breaks a rule (422)."""
    return Problem(
        status=422, kind="invalid-request", detail=f"{where}: {rule}", faults=(Fault(field=where, rule=rule),)
    )


def not_found(what: str, name: str) -> Problem:
    """There is no such thing (404)."""
    return Problem(status=404, kind="not-found", detail=f"there is no {what} {name!r}")


def unavailable(server: str) -> Problem:
    """A server that the answer needs is away for the moment (503)."""
    return Problem(
        status=503,
        kind="unavailable",
        detail=f"{server} does not answer now; try again in a moment",
        headers={"Retry-After": "2"},
    )


def too_large(limit_bytes: int) -> Problem:
    """The body is larger than the limit (413)."""
    return Problem(
        status=413,
        kind="too-large",
        detail=f"the body is larger than {limit_bytes / 1024**2:g} MiB ({limit_bytes} bytes)",
        headers={"Connection": "close"},
    )
