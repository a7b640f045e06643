"""Whether what is on record can be true."""

from dataclasses import asdict
from datetime import timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Query

from nodewise.api.audit_schemas import AuditPage
from nodewise.api.paging import decode_cursor, encode_cursor
from nodewise.api.requests import AuditQuery
from nodewise.api.routes.documented import problems
from nodewise.api.wiring import Wired
from nodewise.core.db.audits import Audit, Scope
from nodewise.core.db.audits import audit as audit_record

router = APIRouter(tags=["operations"], prefix="/v1")
_BY_DEFAULT = timedelta(days=1)
_MOST_FINDINGS = 500


@router.get("/audit", response_model=AuditPage, responses=problems(422, 503))
def audit(services: Wired, query: Annotated[AuditQuery, Query()]) -> Any:
    """Replay the history and check it: that every run ends, that each task counts once, that no step is taken that no
    table has, that no node holds more than it has, that inputs come first, and that bookings are those of live attempts.

    Page by page, oldest runs first; the nodes are looked at on the first page.
    """
    now = services.clock()
    scope = Scope(
        since=query.since or now - _BY_DEFAULT,
        limit=query.limit,
        after=decode_cursor(query.cursor) if query.cursor else None,
    )
    return _page(audit_record(services.engine, scope, now=now), scope)


def _page(done: Audit, scope: Scope) -> dict[str, object]:
    return {
        "since": scope.since,
        "runs": done.runs,
        "tasks": done.tasks,
        "attempts": done.attempts,
        "events": done.events,
        "bookings": done.bookings,
        "nodes": done.nodes,
        "findings_total": len(done.findings),
        "findings": [asdict(finding) for finding in done.findings[:_MOST_FINDINGS]],
        "next_cursor": encode_cursor(*done.behind) if done.behind else None,
    }
