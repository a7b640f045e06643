"""A placer's process: a loop that wake-ups poke."""

import argparse
import socket
import sys
from datetime import UTC, datetime
from random import Random

import redis
import structlog
from celery import Celery

from nodewise.core import plugins
from nodewise.core.db.engine import create_database
from nodewise.core.engine.agents import AgentsEngine
from nodewise.core.errors import InvalidOptions
from nodewise.core.messages import WAKE_PLACER
from nodewise.core.messaging.app import create_app
from nodewise.core.messaging.loop import WakeLoop
from nodewise.core.messaging.trust import trust_of_services
from nodewise.core.messaging.wake import Listener, Waker
from nodewise.core.nodekeys import BadKey
from nodewise.core.process import asked_to_end
from nodewise.core.settings import Settings, read_settings
from nodewise.core.store import ArtifactStore, mark_cluster_soon
from nodewise.core.telemetry import configure_logging, serve_metrics
from nodewise.placer.dispatch import Dispatcher
from nodewise.placer.jobs import JobBuilder
from nodewise.placer.kubeflow.wiring import create_loops
from nodewise.placer.options import load_options
from nodewise.placer.service import Placer


def create_placer(name: str, settings: Settings, app: Celery, client: "redis.Redis") -> Placer:
    """Wire a placer to the servers that the settings name; connects to none of them yet.

    Raises:
        InvalidOptions: The file of strategy options is not what it should be.
        BadKey: Nodes have keys, and the secret behind them cannot be used.
    """
    strategies = plugins.strategies()
    options = load_options(settings.strategy_options, strategies)
    engine = create_database(settings, pool_size=4, name=f"nodewise-{name}")
    jobs = JobBuilder(max_tasks=settings.max_tasks_per_run)
    carrier = AgentsEngine(app, ArtifactStore(settings.store_url), trust_of_services(settings).seal)
    return Placer(
        name=name,
        engine=engine,
        redis=client,
        waker=Waker(client),
        settings=settings,
        strategies=strategies,
        options=options,
        jobs=jobs,
        dispatcher=Dispatcher(engine=engine, jobs=jobs, carrier=carrier),
        rng=Random(settings.seed),  # noqa: S311 - chance for a strategy, not a secret
        clock=lambda: datetime.now(UTC),
    )


def main() -> None:
    """Run until SIGTERM."""
    parser = argparse.ArgumentParser(prog="python -m nodewise.placer", description="Places admitted tasks.")
    parser.add_argument(
        "--name", default=f"placer-{socket.gethostname()}", help="recorded with every placement; unique"
    )
    name = parser.parse_args().name
    ended = asked_to_end()
    settings = read_settings()
    configure_logging(settings, name)
    app = create_app("placer", settings)
    client = redis.Redis.from_url(settings.redis_url, socket_timeout=2, socket_connect_timeout=2)
    try:
        placer = create_placer(name, settings, app, client)
    except (InvalidOptions, BadKey) as error:
        structlog.get_logger().error("its settings are refused", error=str(error))
        sys.exit(2)
    serve_metrics(settings)
    mark_cluster_soon(ArtifactStore(settings.store_url), client)
    loop = WakeLoop("placer", placer.look, settings.tick)
    kubeflow = create_loops(placer)

    def woken() -> None:
        loop.wake()
        if kubeflow is not None:
            kubeflow.wake()

    listener = Listener(settings, WAKE_PLACER, woken)
    loop.start()
    if kubeflow is not None:
        kubeflow.start()
    listener.start()
    try:
        ended.wait()
    finally:
        listener.stop()
        loop.stop(timeout=3.0)
        if kubeflow is not None:
            kubeflow.stop(timeout=3.0)
        placer.engine.dispose()
