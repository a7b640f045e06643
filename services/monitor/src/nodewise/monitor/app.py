"""The monitor's HTTP side: what it sees, and how it is."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta

from fastapi import FastAPI
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from pydantic import BaseModel
from starlette.responses import Response

from nodewise.core import liveness
from nodewise.core.messaging.loop import WakeLoop
from nodewise.core.model.node import Figure, Observation
from nodewise.monitor.wiring import Monitor


class FigureBody(BaseModel):
    value: float
    measured_at: datetime
    age_seconds: float
    fresh: bool


class NodeBody(BaseModel):
    """Null: unknown, never zero."""

    name: str
    available_memory_mib: FigureBody | None
    cpu_utilisation: FigureBody | None
    load1: FigureBody | None


class ClusterBody(BaseModel):
    """The view of the cluster. `looked_at` is null before the first look."""

    source: str
    looked_at: datetime | None
    staleness_seconds: float
    nodes: list[NodeBody]


class Health(BaseModel):
    """`detail` says what is wrong, where something is."""

    status: str
    detail: str | None = None


def create_monitor(monitor: Monitor) -> FastAPI:
    """The monitor as an ASGI application; it looks at the nodes while it runs, and closes `monitor` at the end."""
    loop = WakeLoop("monitor", monitor.watch.look, timedelta(seconds=monitor.settings.monitor_seconds))

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        loop.start()
        yield
        loop.stop()
        monitor.close()

    app = FastAPI(title="Nodewise monitor", lifespan=lifespan, redirect_slashes=False)

    @app.get("/v1/cluster")
    def cluster() -> ClusterBody:
        """The latest figures of every node, each with its age."""
        return cluster_body(monitor)

    @app.get("/healthz", response_model_exclude_none=True)
    def healthz() -> Health:
        """Whether this process is alive; it asks nothing else."""
        return Health(status="ok")

    @app.get("/readyz", response_model_exclude_none=True)
    def readyz(response: Response) -> Health:
        """Whether it looks at the nodes, and how the last look went."""
        trouble = liveness.unready({loop.name: liveness.last_looks()[loop.name]}, now=time.time())
        if trouble is None:
            return Health(status="ok")
        response.status_code = 503
        return Health(status="failing", detail=trouble)

    @app.get("/metrics", include_in_schema=False)
    def metrics() -> Response:
        """This process's own metrics for Prometheus."""
        return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)

    return app


def cluster_body(monitor: Monitor) -> ClusterBody:
    """What the monitor sees at this moment."""
    seen, now = monitor.watch.seen, monitor.clock()
    limit = monitor.settings.staleness
    return ClusterBody(
        source=monitor.source.name,
        looked_at=seen.looked_at,
        staleness_seconds=limit.total_seconds(),
        nodes=[_node(name, seen.nodes[name], now=now, limit=limit) for name in sorted(seen.nodes)],
    )


def _node(name: str, observed: Observation, *, now: datetime, limit: timedelta) -> NodeBody:
    return NodeBody(
        name=name,
        available_memory_mib=_figure(observed.available_memory_mib, now, limit),
        cpu_utilisation=_figure(observed.cpu_utilisation, now, limit),
        load1=_figure(observed.load1, now, limit),
    )


def _figure(figure: Figure | None, now: datetime, limit: timedelta) -> FigureBody | None:
    if figure is None:
        return None
    age = figure.age(now)
    return FigureBody(
        value=figure.value,
        measured_at=figure.measured_at,
        age_seconds=max(0.0, age.total_seconds()),
        fresh=age <= limit,
    )
