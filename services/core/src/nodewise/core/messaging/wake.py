"""Wake-ups: coalesced on the sending side, optional everywhere. Rows are the truth (rule 1)."""

import redis
import structlog
from celery import Celery
from kombu.exceptions import OperationalError
from prometheus_client import Counter

from nodewise.core.messages import WAKE_PLACER, WAKE_RECORDER, WAKE_SCHEDULER

_QUEUES = {WAKE_SCHEDULER: "scheduler", WAKE_PLACER: "placer", WAKE_RECORDER: "recorder"}
_FLAG_SECONDS = 2
"""How long one unread wake-up suppresses the next: bounds the delay if its reader died with the message."""

_WAKES = Counter("nodewise_wakes_total", "Wake-ups asked for, by target and fate.", ["target", "fate"])
_log = structlog.get_logger()


def flag(message: str) -> str:
    """The Redis key that says that a wake-up is already on its way."""
    return f"nodewise:pending:{message}"


class Waker:
    """Sends wake-ups. Never raises: who is not woken looks at the rows at its next tick anyway."""

    def __init__(self, app: Celery, client: "redis.Redis") -> None:
        self._app = app
        self._redis = client

    def wake(self, message: str) -> None:
        """Ask the consumer of `message` to look at the rows now."""
        try:
            if not self._redis.set(flag(message), "1", nx=True, ex=_FLAG_SECONDS):
                _WAKES.labels(message, "coalesced").inc()
                return
            self._app.send_task(message, queue=_QUEUES[message])
            _WAKES.labels(message, "sent").inc()
        except (redis.RedisError, OperationalError, OSError) as error:
            _WAKES.labels(message, "failed").inc()
            _log.warning("wake-up not sent", message=message, error=str(error))
