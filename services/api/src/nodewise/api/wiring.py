"""What the endpoints work with, made once per process."""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Annotated

import redis
from anyio import CapacityLimiter
from fastapi import Depends, Request
from sqlalchemy import Engine

from nodewise.api.auth.guard import Guard
from nodewise.api.beliefs import SharedBeliefs
from nodewise.api.intake import Intake
from nodewise.api.stream import Streams
from nodewise.api.unfit import NodesSeen
from nodewise.core.db.engine import create_database
from nodewise.core.messaging.wake import Waker
from nodewise.core.settings import Settings
from nodewise.core.store import ArtifactStore

_REDIS_SECONDS = 1.0
"""An answer waits for Redis so long at most: it is never needed, only useful."""


_PLANS_AT_ONCE = 2
"""Forecasts that are made at a time; more would only slow each other, and everything else."""


def system_clock() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """The adapters and the clock. `stopping` is set when the process is about to end, so that streams end.

    `planning` bounds how many forecasts are made at once.
    """

    settings: Settings
    engine: Engine
    redis: "redis.Redis"
    waker: Waker
    store: ArtifactStore
    guard: Guard
    intake: Intake
    clock: Callable[[], datetime] = system_clock
    stopping: threading.Event = field(default_factory=threading.Event)
    beliefs: SharedBeliefs = field(default_factory=SharedBeliefs)
    streams: Streams = field(default_factory=Streams)
    nodes: NodesSeen = field(default_factory=NodesSeen)
    planning: CapacityLimiter = field(default_factory=lambda: CapacityLimiter(_PLANS_AT_ONCE))

    @classmethod
    def connect(cls, settings: Settings) -> "Services":
        """Adapters for these settings. Nothing is contacted yet, so the servers may come later.

        Raises:
            ValueError: The file with the admin key is none.
        """
        client = redis.Redis.from_url(
            settings.redis_url, socket_timeout=_REDIS_SECONDS, socket_connect_timeout=_REDIS_SECONDS
        )
        engine, waker = create_database(settings, pool_size=10, name="nodewise-api"), Waker(client)
        return cls(
            settings=settings,
            engine=engine,
            redis=client,
            waker=waker,
            store=ArtifactStore(settings.store_url),
            guard=Guard(settings),
            intake=Intake(engine, waker),
        )

    def close(self) -> None:
        self.stopping.set()
        self.engine.dispose()
        self.redis.close()


async def _services(request: Request) -> Services:
    services = request.app.state.services
    assert isinstance(services, Services)  # noqa: S101 - create_api always sets it
    return services


Wired = Annotated[Services, Depends(_services)]
"""The type of an endpoint's parameter that takes the services."""
