"""The Celery application that every service builds for itself, and the names of the queues."""

import socket
from typing import Any, NoReturn

from celery import Celery
from celery.signals import setup_logging
from kombu import compression

from nodewise.core.settings import Settings


def agent_queue(node: str) -> str:
    """The queue of one node's agent."""
    return f"agent.{node}"


def create_app(name: str, settings: Settings) -> Celery:
    """A Celery app on the configured broker: JSON only, nothing compressed, no results, early acknowledgement (rule 6)."""
    _take_nothing_compressed()
    app = Celery(name, broker=settings.redis_url, set_as_current=False)
    app.conf.update(
        task_serializer="json",
        accept_content=["json"],
        task_ignore_result=True,
        task_acks_late=False,
        worker_prefetch_multiplier=4,
        worker_hijack_root_logger=False,
        worker_redirect_stdouts=False,
        worker_send_task_events=False,
        worker_enable_remote_control=False,
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        broker_transport_options={
            "socket_timeout": 5,
            "socket_connect_timeout": 2,
            "socket_keepalive": True,
            "max_retries": 1,
        },
        task_publish_retry=False,
    )
    return app


def _take_nothing_compressed() -> None:
    """In this process. Kombu unpacks a message before anybody can see who signed it, and a small one may become gigabytes."""
    for method in compression.encoders():
        # The stubs know one of the two that it gives.
        known: Any = compression.get_encoder(method)
        compression.register(known[0], _refuse, method)


def _refuse(_: bytes) -> NoReturn:
    raise ValueError("it is compressed, and no message of ours is")


def run_worker(app: Celery, queue: str, *, name: str, threads: int = 1) -> None:
    """Consume a queue until SIGTERM, with a pool of threads and without the chatter between workers.

    What `celery worker` does, but for its command line: that takes as long to import as all the rest.
    """
    # Who listens keeps Celery from setting the level of all logs to its own.
    setup_logging.connect(_leave_logging, weak=False)
    worker = app.Worker(
        hostname=f"{name}@{socket.gethostname()}", queues=[queue], pool_cls="threads", concurrency=threads,
        loglevel="WARNING", quiet=True, without_gossip=True, without_mingle=True, without_heartbeat=True,
    )  # fmt: skip
    worker.start()


def _leave_logging(**_: object) -> None:
    """Logs are as `configure_logging` made them."""
