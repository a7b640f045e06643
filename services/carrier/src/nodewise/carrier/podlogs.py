"""The logs of components with their own image: Kubernetes has them for as long as the pod is there, the store for good."""

import threading
import time
from collections.abc import Mapping
from typing import Final

import structlog

from nodewise.carrier import names
from nodewise.carrier.api import KubernetesApi
from nodewise.carrier.sightings import Sighting
from nodewise.core.errors import NodewiseError, StoreError
from nodewise.core.model.ids import AttemptKey
from nodewise.core.store import ArtifactStore, log_key

_MIB: Final = 1 << 20
_EVERY_SECONDS: Final = 2.0
_LOOK_SECONDS: Final = 0.5
_TAIL_LINES: Final = 2000
_log = structlog.get_logger()


class PodLogs:
    """Copies logs while their tasks run, from a thread of its own, and once more at the end. Thread-safe."""

    def __init__(self, api: KubernetesApi, store: ArtifactStore, *, limit_mib: int) -> None:
        self._api = api
        self._store = store
        self._limit_bytes = limit_mib * _MIB
        self._lock = threading.Lock()
        self._running: dict[AttemptKey, str] = {}
        self._sizes: dict[AttemptKey, int] = {}
        self._next_at: dict[AttemptKey, float] = {}
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="podlogs", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopped.set()

    def follow(self, running: Mapping[AttemptKey, str]) -> None:
        """From now on copy the logs of these pods."""
        with self._lock:
            self._running = dict(running)

    def finish(self, key: AttemptKey, seen: Sighting) -> str | None:
        """The key of the whole log, which is stored now; None: there is none.

        Raises:
            StoreError: The store does not take it.
        """
        if names.TASK_STEP not in seen.steps:
            return log_key(key) if names.MAIN in seen.steps else None
        if seen.pod is not None:
            try:
                self._copy(key, seen.pod)
            except StoreError:
                raise
            except NodewiseError as error:
                _log.warning("the last of a log cannot be had", attempt=str(key), error=str(error))
        with self._lock:
            stored = key in self._sizes
            self._sizes.pop(key, None)
            self._next_at.pop(key, None)
        return log_key(key) if stored else None

    def _run(self) -> None:
        while not self._stopped.wait(_LOOK_SECONDS):
            with self._lock:
                running = dict(self._running)
            for key, pod in running.items():
                if time.monotonic() >= self._next_at.get(key, 0.0):
                    self._try_copy(key, pod)

    def _try_copy(self, key: AttemptKey, pod: str) -> None:
        try:
            size = self._copy(key, pod)
        except NodewiseError as error:
            size = 0
            _log.warning("a log could not be copied; trying again", attempt=str(key), error=str(error))
        # It is copied whole every time: the larger it is, the rarer.
        self._next_at[key] = time.monotonic() + _EVERY_SECONDS * (1 + size / _MIB)

    def _copy(self, key: AttemptKey, pod: str) -> int:
        """Store what it has said so far; an answer that is shorter than the last one (the pod is gone) changes nothing."""
        text = self._read(pod)
        with self._lock:
            known = self._sizes.get(key)
            if known is not None and len(text) <= known:
                return known
            self._store.write_key(log_key(key), text)
            self._sizes[key] = len(text)
        return len(text)

    def _read(self, pod: str) -> bytes:
        text = self._api.log(pod, names.TASK_STEP, limit_bytes=self._limit_bytes)
        if len(text) < self._limit_bytes:
            return text
        half = self._limit_bytes // 2
        tail = self._api.log(pod, names.TASK_STEP, limit_bytes=self._limit_bytes, tail_lines=_TAIL_LINES)
        note = f"\n... left out here (limit {self._limit_bytes} bytes) ...\n"
        return text[:half] + note.encode() + tail[-half:]
