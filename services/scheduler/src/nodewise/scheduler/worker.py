"""The scheduler's process: a loop that wake-ups poke."""

from datetime import UTC, datetime
from random import Random

import redis

from nodewise.core import plugins
from nodewise.core.db.engine import create_database
from nodewise.core.messages import WAKE_SCHEDULER
from nodewise.core.messaging.loop import WakeLoop
from nodewise.core.messaging.wake import Listener, Waker
from nodewise.core.process import asked_to_end
from nodewise.core.settings import Settings, read_settings
from nodewise.core.telemetry import configure_logging, serve_metrics
from nodewise.scheduler.collecting import uncollected
from nodewise.scheduler.loading import Loader
from nodewise.scheduler.service import Scheduler


def create_scheduler(settings: Settings, client: "redis.Redis") -> Scheduler:
    """Wire the scheduler to the servers that the settings name; connects to none of them yet."""
    return Scheduler(
        engine=create_database(settings, pool_size=2, name="nodewise-scheduler"),
        waker=Waker(client),
        settings=settings,
        policies=plugins.policies(),
        planners=plugins.planners(),
        loader=Loader(redis=client, settings=settings, planners=plugins.planners().keys()),
        rng=Random(settings.seed),  # noqa: S311 - chance for a policy, not a secret
        clock=lambda: datetime.now(UTC),
    )


def main() -> None:
    """Run until SIGTERM."""
    ended = asked_to_end()
    settings = read_settings()
    configure_logging(settings, "scheduler")
    serve_metrics(settings)
    client = redis.Redis.from_url(settings.redis_url, socket_timeout=2, socket_connect_timeout=2)
    scheduler = create_scheduler(settings, client)

    def look() -> bool:
        with uncollected():
            return scheduler.look()

    loop = WakeLoop("scheduler", look, settings.tick)
    listener = Listener(settings, WAKE_SCHEDULER, loop.wake)
    loop.start()
    listener.start()
    try:
        ended.wait()
    finally:
        listener.stop()
        loop.stop(timeout=3.0)
        scheduler.engine.dispose()
