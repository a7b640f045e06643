"""Retention, for whoever keeps the cluster."""

from datetime import timedelta
from typing import Annotated, Any

import redis
from fastapi import APIRouter, Depends

from nodewise.api.bodies import json_bytes, parse_object
from nodewise.api.problems import Problem, unavailable
from nodewise.api.pruning.progress import Progress, Step
from nodewise.api.pruning.schemas import Pruned, PruneRequest
from nodewise.api.pruning.steps import Pruner
from nodewise.api.requests import read_body
from nodewise.api.routes.documented import json_body, problems
from nodewise.api.wiring import Services, Wired
from nodewise.core.store import Sweeper
from nodewise.core.store.marker import is_of_cluster

router = APIRouter(tags=["operations"])

_OF_STORE = frozenset({Step.LOGS, Step.TREES, Step.FILES})


@router.post(
    "/v1/prune",
    response_model=Pruned,
    responses=problems(400, 409, 413, 415, 422, 503),
    openapi_extra=json_body("PruneRequest"),
)
def prune(raw: Annotated[bytes, Depends(json_bytes)], services: Wired) -> Any:
    """Remove runs that ended long ago, and what only they had: their results, pipelines, logs and artifacts.

    Each call does one step of bounded work and says where to go on. Runs that go on, schedules, data sets and what was
    learned of run times are never touched. Sending it again, or leaving it off at any moment, does no harm.
    """
    request = read_body(PruneRequest, parse_object(raw))
    now = services.clock()
    latest = now - timedelta(seconds=request.older_than_seconds)
    at = Progress.read(request.cursor, latest=latest) if request.cursor else Progress(before=latest)
    if at.step in _OF_STORE:
        _require_own_store(services)
    pruner = Pruner(
        engine=services.engine,
        sweeper=Sweeper(services.store.url, now=now, dry=request.dry_run),
        keep_failed=request.keep_failed,
        dry_run=request.dry_run,
    )
    removed, following = pruner.take(at)
    return {
        "before": at.before,
        "dry_run": request.dry_run,
        "removed": removed,
        "next_cursor": following.cursor if following else None,
    }


def _require_own_store(services: Services) -> None:
    """Refuse to sweep a store that another cluster has marked: none of what it holds is named in our rows."""
    try:
        ours = is_of_cluster(services.store, services.redis)
    except redis.RedisError as error:
        raise unavailable("Redis") from error
    if ours is False:
        detail = f"the artifact store {services.store.url} is another cluster's; nothing of it was removed"
        raise Problem(status=409, kind="foreign-store", detail=detail)


SCHEMAS = (PruneRequest,)
"""Models that only the `requestBody` above names, for the OpenAPI document."""
