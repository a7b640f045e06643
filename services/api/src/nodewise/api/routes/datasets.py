"""The registry of named data sets."""

import re
import tempfile
from dataclasses import replace
from typing import IO, Annotated, Any

from fastapi import APIRouter, Path, Query, Request
from fastapi.concurrency import run_in_threadpool

from nodewise.api.account import other_team
from nodewise.api.auth.caller import Called, Caller
from nodewise.api.problems import invalid
from nodewise.api.requests import DATASET_PATTERN, DATASET_RULE, DatasetForm
from nodewise.api.routes.documented import problems
from nodewise.api.schemas import Dataset, DatasetList
from nodewise.api.views import dataset_view
from nodewise.api.wiring import Services, Wired
from nodewise.core.db.engine import transaction
from nodewise.core.db.queries.datasets import all_datasets, datasets_named, put_dataset
from nodewise.core.model.task import DatasetFacts

router = APIRouter(tags=["datasets"], prefix="/v1/datasets")

_SPOOL_BYTES = 1024 * 1024
"""Smaller bodies stay in memory."""


@router.put(
    "/{name}",
    response_model=Dataset,
    responses=problems(413, 422, 503, 507),
    openapi_extra={"requestBody": {"required": True, "content": {"application/octet-stream": {}}}},
)
async def put(
    *,
    name: Annotated[
        str, Path(json_schema_extra={"pattern": DATASET_PATTERN}, description=f"It {DATASET_RULE}.")
    ],
    form: Annotated[DatasetForm, Query()],
    request: Request,
    services: Wired,
    caller: Called,
) -> Any:
    """Register the body under this name, or replace what stood there. The size is measured, the rest is believed.

    All teams may use it; only the one that registered it first may replace it.
    """
    if not re.fullmatch(DATASET_PATTERN, name):
        raise invalid("path.name", DATASET_RULE)
    facts = _facts(name, form)
    with tempfile.SpooledTemporaryFile(max_size=_SPOOL_BYTES) as spool:
        async for chunk in request.stream():
            await run_in_threadpool(spool.write, chunk)
        return await run_in_threadpool(_register, services, facts, spool, caller)


@router.get("", response_model=DatasetList, responses=problems(503))
def list_all(services: Wired) -> Any:
    """Every registered data set, by name."""
    with transaction(services.engine) as connection:
        return {"items": [dataset_view(row) for row in all_datasets(connection)]}


def _facts(name: str, form: DatasetForm) -> DatasetFacts:
    return DatasetFacts(
        name=name,
        kind=form.kind,
        samples=form.samples,
        features=form.features,
        classes=form.classes,
        types=form.type_counts(),
        normalised=form.normalised,
    )


def _register(services: Services, facts: DatasetFacts, spool: IO[bytes], caller: Caller) -> dict[str, object]:
    spool.seek(0)
    limit = services.settings.max_dataset_mib * 1024**2
    uri, size = services.store.put_stream(spool, limit_bytes=limit)
    if size == 0:
        raise invalid("body", "the data set is empty")
    measured = replace(facts, size_bytes=size, measured=True)
    _keep_for_tasks_under_way(services, facts.name or "")
    with transaction(services.engine) as connection:
        everywhere = caller.only_team is None
        row = put_dataset(
            connection, measured, uri=uri, now=services.clock(), team=caller.team, any_team=everywhere
        )
    if row is None:
        raise other_team(
            "path.name", f"the data set {facts.name!r} is another team's, which alone may replace it"
        )
    return dataset_view(row)


def _keep_for_tasks_under_way(services: Services, name: str) -> None:
    """Whoever was placed before goes on to fetch what stood there: no row names it from now on, so it must be young."""
    with transaction(services.engine) as connection:
        before = datasets_named(connection, [name]).get(name)
    if before is not None:
        services.store.keep_young(before.uri)
