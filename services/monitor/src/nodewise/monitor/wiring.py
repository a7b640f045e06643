"""What the monitor works with, made once per process."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import redis
from sqlalchemy import Engine

from nodewise.core.cluster import load_observations, save_observations
from nodewise.core.db.engine import create_database, reading
from nodewise.core.db.queries.nodes_read import metrics_urls
from nodewise.core.settings import Settings
from nodewise.monitor.prometheus import PrometheusSource
from nodewise.monitor.scrape import ScrapeSource
from nodewise.monitor.source import MetricsSource, Target
from nodewise.monitor.watch import Observations, Surroundings, Watch

_REDIS_SECONDS = 1.0


def system_clock() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Monitor:
    """The adapters, the clock, and the watch that uses them."""

    settings: Settings
    engine: Engine
    redis: "redis.Redis"
    source: MetricsSource
    watch: Watch
    clock: Callable[[], datetime]

    @classmethod
    def connect(cls, settings: Settings, clock: Callable[[], datetime] = system_clock) -> "Monitor":
        """Adapters for these settings. Any server may be away; figures that an earlier monitor left are taken over."""
        engine = create_database(settings, pool_size=1, name="nodewise-monitor")
        client = redis.Redis.from_url(
            settings.redis_url, socket_timeout=_REDIS_SECONDS, socket_connect_timeout=_REDIS_SECONDS
        )

        def publish(observations: Observations, now: datetime) -> None:
            save_observations(client, observations, now=now)

        around = Surroundings(
            source=source_for(settings, clock), targets=_targets_in(engine), publish=publish, clock=clock
        )
        watch = Watch(around, known=load_observations(client))
        return cls(
            settings=settings, engine=engine, redis=client, source=around.source, watch=watch, clock=clock
        )

    def close(self) -> None:
        self.source.close()
        self.engine.dispose()
        self.redis.close()


def source_for(settings: Settings, clock: Callable[[], datetime]) -> MetricsSource:
    """Prometheus where one is configured, else the nodes themselves."""
    if settings.prometheus_url:
        return PrometheusSource(settings.prometheus_url)
    return ScrapeSource(clock)


def _targets_in(engine: Engine) -> Callable[[], Sequence[Target]]:
    def targets() -> Sequence[Target]:
        with reading(engine) as connection:
            return [Target(name=name, metrics_url=url) for name, url in metrics_urls(connection)]

    return targets
