"""Runs in .venv-peers: tasks of the peer Celery, for `celery -A celery_app worker`. The broker is that of BROKER_URL."""

import os
import time

from celery import Celery

app = Celery("peer", broker=os.environ["BROKER_URL"], backend=os.environ["BROKER_URL"])
app.conf.broker_connection_retry_on_startup = True


@app.task
def now() -> float:
    """When it runs."""
    return time.time()


@app.task
def same(x: int) -> int:
    """A step of a chain that does nothing."""
    return x
