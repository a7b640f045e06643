"""The recorder's process: a Celery worker that hears the agents, and a loop that looks after the rest."""

import signal
import sys
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from types import FrameType
from typing import Final

import redis
import structlog
from celery import Celery
from pydantic import ValidationError
from sqlalchemy import Engine
from sqlalchemy.exc import OperationalError

from nodewise.core.db.engine import create_database, transaction
from nodewise.core.engine.agents import AgentsEngine
from nodewise.core.messages import HEARTBEAT, WAKE_RECORDER, WAKE_SCHEDULER
from nodewise.core.messaging.app import create_app, run_worker
from nodewise.core.messaging.loop import WakeLoop
from nodewise.core.messaging.trust import Trust, trust_of_services
from nodewise.core.messaging.wake import Listener, Waker
from nodewise.core.nodekeys import BadKey
from nodewise.core.settings import Settings, read_settings
from nodewise.core.store import ArtifactStore
from nodewise.core.telemetry import configure_logging, serve_metrics
from nodewise.recorder import metrics
from nodewise.recorder.admission import Admission
from nodewise.recorder.kubeflow.wiring import KubeflowLoops, create_loops
from nodewise.recorder.service import Recorder

_THREADS: Final = 2
"""Heartbeats at a time: while one waits for Postgres, the next is read. Those of one run wait for each other anyway."""
_log = structlog.get_logger()


def create_recorder(
    settings: Settings, app: Celery, client: "redis.Redis", *, database: Engine, trust: Trust
) -> Recorder:
    """A recorder on the servers that the settings name; connects to none of them yet (but opens the store)."""
    waker = Waker(client)

    def listening() -> bool:
        try:
            return bool(client.ping())
        except redis.RedisError:
            return False

    return Recorder(
        database,
        AgentsEngine(app, ArtifactStore(settings.store_url), trust.seal),
        wake=lambda: waker.wake(WAKE_SCHEDULER),
        listening=listening,
        clock=lambda: datetime.now(UTC),
        settings=settings,
    )


def receive(recorder: Recorder, admission: Admission, payload: object) -> None:
    """Body of the heartbeat task. A heartbeat that cannot be recorded now is dropped: the next one says it again."""
    try:
        taken = admission.take(payload)
    except ValidationError as error:
        metrics.HEARTBEATS.labels("invalid").inc()
        _log.warning("a heartbeat does not parse", error=str(error))
        return
    if taken is None:
        metrics.HEARTBEATS.labels("refused").inc()
        return
    heartbeat, fresh = taken
    try:
        with metrics.APPLY.time():
            recorder.on_heartbeat(heartbeat, fresh=fresh)
    except OperationalError as error:
        metrics.HEARTBEATS.labels("dropped").inc()
        _log.warning("a heartbeat could not be recorded now", node=heartbeat.node.name, error=str(error.orig))


def register(app: Celery, recorder: Recorder, admission: Admission) -> None:
    """The task that this worker consumes."""

    @app.task(name=HEARTBEAT)
    def heartbeat(payload: object) -> None:
        receive(recorder, admission, payload)


def main() -> None:
    """Run until SIGTERM."""
    settings = read_settings()
    configure_logging(settings, "recorder")
    trust = _trust(settings)
    serve_metrics(settings)
    app = create_app("recorder", settings)
    client = redis.Redis.from_url(settings.redis_url, socket_timeout=2, socket_connect_timeout=2)
    database = create_database(settings, name="nodewise-recorder")
    if not _wait_for(database, client):
        sys.exit(0)
    recorder = create_recorder(settings, app, client, database=database, trust=trust)
    loop = WakeLoop("recorder", recorder.tick, settings.tick)
    waker = Waker(client)
    kubeflow = create_loops(settings, database, lambda: waker.wake(WAKE_SCHEDULER))
    register(app, recorder, Admission(trust.opens, recorder.complaints))
    listener = Listener(settings, WAKE_RECORDER, lambda: _wake(loop, kubeflow))
    loop.start()
    if kubeflow is not None:
        kubeflow.start()
    listener.start()
    try:
        run_worker(app, "recorder", name="recorder", threads=_THREADS)
    finally:
        listener.stop()
        loop.stop(timeout=3.0)
        if kubeflow is not None:
            kubeflow.stop(timeout=3.0)
        database.dispose()


def _trust(settings: Settings) -> Trust:
    try:
        return trust_of_services(settings)
    except BadKey as error:
        _log.error("agents cannot be believed", error=str(error))
        sys.exit(2)


def _wake(loop: WakeLoop, kubeflow: KubeflowLoops | None) -> None:
    loop.wake()
    if kubeflow is not None:
        kubeflow.wake()


def _wait_for(database: Engine, client: "redis.Redis") -> bool:
    """Wait until both servers answer, saying once which one does not; False when SIGTERM came first."""
    stopped = threading.Event()

    def stop(number: int, frame: FrameType | None) -> None:  # noqa: ARG001 - a signal handler
        stopped.set()

    before = signal.signal(signal.SIGTERM, stop)
    try:
        return all(
            _wait_until(name, answers, stopped)
            for name, answers in (
                ("Postgres", lambda: _connects(database)),
                ("Redis", lambda: bool(client.ping())),
            )
        )
    finally:
        signal.signal(signal.SIGTERM, before)


def _wait_until(server: str, answers: Callable[[], bool], stopped: threading.Event) -> bool:
    pause = 0.1
    while not stopped.is_set():
        try:
            return answers()
        except (OperationalError, redis.RedisError) as error:
            if pause == 0.1:
                _log.warning("waiting for a server", server=server, error=str(error).splitlines()[0])
        stopped.wait(pause)
        pause = min(2 * pause, 2.0)
    return False


def _connects(database: Engine) -> bool:
    with transaction(database):
        return True
