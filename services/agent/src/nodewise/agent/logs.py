"""The logs of attempts on their way to the store: while they grow, and once at the end."""

import threading
import time
from pathlib import Path
from typing import Final

import structlog

from nodewise.core.errors import StoreError
from nodewise.core.store import ArtifactStore
from nodewise.core.store.trees import NotStorable, open_regular

_MIB: Final = 1 << 20
_EVERY_SECONDS: Final = 1.0
_log = structlog.get_logger()


def capped(path: Path, limit_bytes: int) -> bytes:
    """The file's content; of a larger one its head and its tail, with a note between them.

    Raises:
        NotStorable: The task put something else in its place (a pipe would make us wait, a link would lead us out).
    """
    size = path.lstat().st_size
    with open_regular(path) as file:
        if size <= limit_bytes:
            return file.read(limit_bytes)
        head = file.read(limit_bytes // 2)
        file.seek(size - limit_bytes // 2)
        tail = file.read(limit_bytes // 2)
    note = f"\n... {size - len(head) - len(tail)} bytes left out here (limit {limit_bytes} bytes) ...\n"
    return head + note.encode() + tail


class AttemptLog:
    """One attempt's log file and its copy in the store."""

    def __init__(self, store: ArtifactStore, path: Path, *, key: str, limit_mib: int) -> None:
        self.path = path
        self.key = key
        self._store = store
        self._limit_bytes = limit_mib * _MIB
        self._lock = threading.Lock()
        self._stored_size = 0
        self._next_at = 0.0

    def ship(self, now: float) -> None:
        """Store it if it has grown and its turn has come; a failure waits for the next turn. `now` is monotonic."""
        with self._lock:
            size = self._size()
            if now < self._next_at or size == self._stored_size:
                return
            # It is stored whole every time: the larger it is, the rarer.
            self._next_at = now + _EVERY_SECONDS * (1 + size / _MIB)
            try:
                self._store.write_key(self.key, capped(self.path, self._limit_bytes))
                self._stored_size = size
            except (StoreError, OSError) as error:
                _log.warning("a log could not be stored; trying again", key=self.key, error=str(error))

    def finish(self) -> str | None:
        """Store its final state, also when it is empty.

        Returns:
            Its key.

        Raises:
            StoreError: The store does not take it.
        """
        with self._lock:
            if not self.path.exists():
                return None
            if not self._stored_size or self._size() != self._stored_size:
                try:
                    content = capped(self.path, self._limit_bytes)
                except NotStorable as error:
                    _log.warning("the task replaced its log", key=self.key, error=str(error))
                    return self.key if self._stored_size else None
                self._store.write_key(self.key, content)
                self._stored_size = self._size()
            return self.key

    def _size(self) -> int:
        try:
            return self.path.lstat().st_size
        except OSError:
            return 0


class LogShipper:
    """Ships the logs of running attempts about every second, in a thread of its own: a slow store delays nothing else."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._logs: set[AttemptLog] = set()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="logs", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopped.set()

    def add(self, log: AttemptLog) -> None:
        with self._lock:
            self._logs.add(log)

    def remove(self, log: AttemptLog) -> None:
        with self._lock:
            self._logs.discard(log)

    def _run(self) -> None:
        while not self._stopped.wait(_EVERY_SECONDS / 4):
            with self._lock:
                logs = list(self._logs)
            for log in logs:
                log.ship(time.monotonic())
