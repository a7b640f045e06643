"""Puts the gateway together."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

from fastapi import Depends, FastAPI
from fastapi.openapi.utils import get_openapi
from starlette.types import Scope

from nodewise.api.access import check_complete
from nodewise.api.auth.guard import guard
from nodewise.api.edge import Edge
from nodewise.api.handlers import install_handlers
from nodewise.api.limits import BodyLimit
from nodewise.api.routes import (
    artifacts,
    audit,
    cluster,
    datasets,
    ended,
    explain,
    keys,
    mlopx,
    operations,
    plans,
    prune,
    quotas,
    reports,
    runs,
    schedules,
    submit,
)
from nodewise.api.routes.documented import as_problem_json, with_keys
from nodewise.api.routes.pages import add_pages
from nodewise.api.wiring import Services
from nodewise.core.messaging.loop import WakeLoop
from nodewise.core.settings import Settings

_VERSION = "0.1.0"
_ROUTERS = (
    submit.router,
    mlopx.router,
    plans.router,
    runs.router,
    ended.router,
    schedules.router,
    explain.router,
    artifacts.router,
    cluster.router,
    datasets.router,
    reports.router,
    audit.router,
    prune.router,
    quotas.router,
    keys.router,
    operations.router,
)


def create_api(
    settings: Settings, services: Services | None = None, *, loops: Sequence[WakeLoop] = ()
) -> FastAPI:
    """The gateway as an ASGI application.

    Args:
        settings: of this process.
        services: adapters to use instead of those that the settings name.
        loops: what is to run beside it, from its start to its end.

    Raises:
        LookupError: An endpoint has no entry in `access`.
    """
    wired = services or Services.connect(settings)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        for loop in loops:
            loop.start()
        yield
        for loop in loops:
            loop.stop()
        wired.close()

    app = FastAPI(
        title="Nodewise",
        version=_VERSION,
        summary="Decides when and where every task of an ML pipeline runs.",
        lifespan=lifespan,
        redirect_slashes=False,
        docs_url=None,
        redoc_url=None,
        dependencies=[Depends(guard)],
    )
    app.state.services = wired
    for router in _ROUTERS:
        app.include_router(router)
    add_pages(app)
    check_complete(app.routes)
    install_handlers(app)
    app.add_middleware(BodyLimit, limit_of=_limit_of(settings))
    app.add_middleware(Edge)
    app.openapi = _openapi(app)  # type: ignore[method-assign]
    return app


def _limit_of(settings: Settings) -> Callable[[Scope], int]:
    def limit(scope: Scope) -> int:
        is_dataset = scope["path"].startswith("/v1/datasets/")
        return (settings.max_dataset_mib if is_dataset else settings.max_body_mib) * 1024**2

    return limit


def _openapi(app: FastAPI) -> Callable[[], dict[str, Any]]:
    """FastAPI's document with problem+json on errors, keys, and the bodies that some endpoints read by themselves."""

    def document() -> dict[str, Any]:
        if app.openapi_schema is None:
            made = get_openapi(title=app.title, version=app.version, summary=app.summary, routes=app.routes)
            for model in (*submit.SCHEMAS, *schedules.SCHEMAS, *keys.SCHEMAS, *prune.SCHEMAS):
                schema = model.model_json_schema(ref_template="#/components/schemas/{model}")
                nested = schema.pop("$defs", {})
                made["components"]["schemas"].update({model.__name__: schema, **nested})
            app.openapi_schema = as_problem_json(with_keys(made))
        return app.openapi_schema

    return document
