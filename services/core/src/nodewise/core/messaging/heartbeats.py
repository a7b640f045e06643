"""Heartbeats on their way to the recorder."""

import redis
import structlog
from celery import Celery
from kombu.exceptions import OperationalError

from nodewise.core.messages import HEARTBEAT, Heartbeat
from nodewise.core.sealing import Sealer, unsealed

_log = structlog.get_logger()


class HeartbeatSender:
    """Sends heartbeats, and says once when the broker goes and when it is back. Not for several threads at once."""

    def __init__(self, app: Celery, seal: Sealer = unsealed) -> None:
        self._app = app
        self._seal = seal
        self._answers = True

    @property
    def answers(self) -> bool:
        """Whether the broker did when it was last spoken to."""
        return self._answers

    def send(self, heartbeat: Heartbeat) -> bool:
        """Whether it was sent; the next one says again what this one says."""
        try:
            sealed = self._seal(HEARTBEAT, heartbeat.node.name, heartbeat)
            self._app.send_task(HEARTBEAT, args=[sealed], queue="recorder")
        except (redis.RedisError, OperationalError, OSError) as error:
            if self._answers:
                _log.warning("the broker does not answer; trying again", error=str(error))
            self._answers = False
            return False
        except Exception:
            _log.exception("a heartbeat could not be sent", node=heartbeat.node.name)
            return False
        if not self._answers:
            _log.info("the broker answers again")
        self._answers = True
        return True
