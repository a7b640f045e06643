"""What operators and probes ask."""

from typing import Any

from fastapi import APIRouter
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.responses import Response

from nodewise.api.problems import Problem
from nodewise.api.routes.documented import problems
from nodewise.api.schemas import Health
from nodewise.api.wiring import Wired
from nodewise.core.db.engine import transaction
from nodewise.core.db.queries.versions import schema_version
from nodewise.core.db.revision import is_outdated, newest_revision

router = APIRouter(tags=["operations"])


@router.get("/healthz", response_model=Health)
def healthz() -> Any:
    """Whether this process is alive; it asks nothing else."""
    return {"status": "ok"}


@router.get("/readyz", response_model=Health, responses=problems(503))
def readyz(services: Wired) -> Any:
    """Whether requests can be served: Postgres answers and has the schema of this release, or of a later one."""
    with transaction(services.engine) as connection:
        found = schema_version(connection)
    if is_outdated(found):
        wanted = newest_revision()
        detail = f"the schema of the database is {found or 'absent'}, needed is {wanted}: run the migration"
        raise Problem(status=503, kind="schema-outdated", detail=detail, headers={"Retry-After": "2"})
    return {"status": "ok"}


@router.get("/metrics", include_in_schema=False)
def metrics() -> Response:
    """This process's own metrics for Prometheus."""
    return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)
