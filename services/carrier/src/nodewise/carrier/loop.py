"""The carrier's own thread: it looks again and again, at once when something happened."""

import threading
from typing import Final

import structlog

from nodewise.carrier import metrics, names
from nodewise.carrier.api import KubernetesApi, Refused
from nodewise.carrier.carrier import Carrier
from nodewise.carrier.events import Inbox
from nodewise.core import liveness
from nodewise.core.errors import StoreError, Unavailable

_LOOP: Final = "carrier"
_LEAST_SECONDS: Final = 0.1
"""Between two looks: pods say much at once."""
_PAUSE_SECONDS: Final = 1.0
_log = structlog.get_logger()


class Loop:
    """Looks in a thread of its own."""

    def __init__(self, carrier: Carrier, inbox: Inbox, *, every_seconds: float) -> None:
        self._carrier = carrier
        self._inbox = inbox
        self._every = every_seconds
        self._silent = False
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="carrier", daemon=True)

    def start(self) -> None:
        liveness.expect_looks(_LOOP)
        self._thread.start()

    def stop(self, seconds: float = 3.0) -> None:
        """End after the look that is under way."""
        self._stopped.set()
        self._inbox.wake()
        self._thread.join(seconds)

    def _run(self) -> None:
        while not self._stopped.is_set():
            well = self._look()
            metrics.LOOKS.labels("well" if well else "failed").inc()
            liveness.note_look(_LOOP, well=well)
            self._stopped.wait(_LEAST_SECONDS)
            self._inbox.wait(self._every)

    def _look(self) -> bool:
        try:
            self._carrier.look()
        except (Unavailable, Refused, StoreError) as error:
            if not self._silent:
                _log.warning("the cluster cannot be looked after; trying again", error=str(error))
            self._silent = True
            return False
        except Exception:
            _log.exception("a look failed")
            return False
        if self._silent:
            _log.info("the cluster answers again")
        self._silent = False
        return True


class Watcher:
    """Wakes the loop when something happens to our pods. What happened is read from lists, so nothing is lost with a watch."""

    def __init__(self, api: KubernetesApi, inbox: Inbox, *, cluster: str) -> None:
        self._api = api
        self._inbox = inbox
        self._selector = names.selector(cluster)
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watcher", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopped.set()

    def _run(self) -> None:
        while not self._stopped.is_set():
            try:
                for _ in self._api.changes(self._selector):
                    self._inbox.wake()
            except (Unavailable, Refused) as error:
                _log.debug("no watch; the next look comes by itself", error=str(error))
            except Exception:
                _log.exception("a watch failed")
            self._stopped.wait(_PAUSE_SECONDS)
