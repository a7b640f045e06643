"""Wake-ups: coalesced, optional everywhere. Rows are the truth (rule 1).

A wake-up is one element of a Redis list that never holds a second one, taken out by whoever waits for it first. It
carries nothing, is lost without harm, and each step of a pipeline waits for two of them in a row: so it does not take
the longer way of the messages that Celery carries (ADR 0014, `python -m bench waking`).
"""

import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Final
from uuid import uuid4

import redis
import structlog
from prometheus_client import Counter

from nodewise.core.settings import Settings

_WAIT_SECONDS: Final = 3
"""One wait for a wake-up; then the next begins, so that a connection that died unnoticed is found out."""
_LONGEST_SILENCE: Final = 5.0
"""Seconds without an answer after which a connection is given up: more than one wait."""
_FAREWELL_SECONDS: Final = 10
"""What a listener writes to itself when it is stopped, so that it waits no longer, is kept so long."""
_PAUSE_SECONDS: Final = 0.5
"""Between two attempts to reach Redis."""

_WAKES = Counter("nodewise_wakes_total", "Wake-ups asked for, by target and fate.", ["target", "fate"])
_log = structlog.get_logger()


class Waker:
    """Sends wake-ups. Never raises: who is not woken looks at the rows at its next tick anyway."""

    def __init__(self, client: "redis.Redis") -> None:
        self._redis = client

    def wake(self, message: str) -> None:
        """Ask one consumer of `message` to look at the rows now. One that nobody has read yet makes it needless."""
        try:
            with self._redis.pipeline() as pipe:
                pipe.rpush(message, "1")
                pipe.ltrim(message, 0, 0)
                waiting, _ = pipe.execute()
        except (redis.RedisError, OSError) as error:
            _WAKES.labels(message, "failed").inc()
            _log.warning("wake-up not sent", message=message, error=str(error))
        else:
            _WAKES.labels(message, "sent" if waiting == 1 else "coalesced").inc()


class Listener:
    """Waits for wake-ups of one kind in a thread of its own, and hands each to `heard`, which returns at once.

    Among several listeners for the same kind, in whichever process, each wake-up reaches one. Redis may come later, and go.
    """

    def __init__(self, settings: Settings, message: str, heard: Callable[[], None]) -> None:
        self._message = message
        self._heard = heard
        self._stopped = threading.Event()
        self._farewell = f"{message}.end.{uuid4().hex}"
        self._redis = redis.Redis.from_url(
            settings.redis_url,
            socket_timeout=_LONGEST_SILENCE,
            socket_connect_timeout=_LONGEST_SILENCE,
            client_name=message,
        )
        self._thread = threading.Thread(target=self._run, name=f"listens-{message}", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self, timeout: float = 3.0) -> None:
        """End, without waiting for the next wake-up."""
        self._stopped.set()
        with suppress(redis.RedisError, OSError), self._redis.pipeline() as pipe:
            pipe.rpush(self._farewell, "1")
            pipe.expire(self._farewell, _FAREWELL_SECONDS)
            pipe.execute()
        if self._thread.is_alive():
            self._thread.join(timeout)
        self._redis.close()

    def _run(self) -> None:
        away = False
        while not self._stopped.is_set():
            try:
                woken = self._redis.blpop([self._farewell, self._message], timeout=_WAIT_SECONDS)
            except (redis.RedisError, OSError) as error:
                if not away and not self._stopped.is_set():
                    _log.warning("waiting for a server", server="Redis", error=str(error))
                away = True
                self._stopped.wait(_PAUSE_SECONDS)
                continue
            if away:
                _log.info("Redis answers again", message=self._message)
                away = False
            if woken and woken[0] == self._message.encode():
                self._heard()
