"""A node's cache of artifacts: what was fetched once need not cross the network again."""

import os
import shutil
import threading
import weakref
from pathlib import Path
from typing import Final

import structlog

from nodewise.core.store import ArtifactStore, fetch_foreign, parse_uri, why_not_fetched

_MIB: Final = 1 << 20
_log = structlog.get_logger()


class ArtifactCache:
    """Artifacts by digest under one folder, least recently used first to go. Safe to use from several threads."""

    def __init__(self, store: ArtifactStore, folder: Path, *, limit_mib: int) -> None:
        self._store = store
        self._folder = folder
        self._limit_bytes = limit_mib * _MIB
        self._guard = threading.Lock()
        self._locks: weakref.WeakValueDictionary[str, _Lock] = weakref.WeakValueDictionary()
        folder.mkdir(parents=True, exist_ok=True)
        _remove_partials(folder)
        self._sizes = {path.name: _size(path) for path in folder.iterdir()}

    def stage(self, uri: str, destination: Path) -> None:
        """Put a copy of the artifact at `destination`: the task may write to it, others do not see that.

        Raises:
            StoreError: It is not in the cache, and the store does not give it.
            OSError: The disk does not take it.
        """
        address = parse_uri(uri)
        name = f"{address.kind}-{address.digest}"
        cached = self._folder / name
        with self._lock_of(name).held:
            if not cached.exists():
                self._store.fetch(uri, cached)
                self._sizes[name] = _size(cached)
            os.utime(cached)
            _copy(cached, destination)
        self._trim()

    def stage_foreign(self, uri: str, destination: Path) -> str | None:
        """The same of content that lies outside the store, which is never kept: it may change under its address.

        Returns:
            None, or why it is not fetched here; then nothing is at `destination`.

        Raises:
            StoreError: It cannot be had.
        """
        reason = why_not_fetched(uri)
        if reason is None:
            fetch_foreign(uri, destination)
        return reason

    def _lock_of(self, name: str) -> "_Lock":
        with self._guard:
            return self._locks.setdefault(name, _Lock())

    def _trim(self) -> None:
        """Remove what was used longest ago until the rest fits; what is in use right now stays."""
        if sum(list(self._sizes.values())) <= self._limit_bytes:
            return
        for name in sorted(self._sizes, key=lambda name: _used_at(self._folder / name)):
            self._remove(name)
            if sum(list(self._sizes.values())) <= self._limit_bytes:
                return

    def _remove(self, name: str) -> None:
        lock = self._lock_of(name)
        if not lock.held.acquire(blocking=False):
            return
        try:
            _delete(self._folder / name)
            self._sizes.pop(name, None)
        finally:
            lock.held.release()


class _Lock:
    """A lock that a weak dictionary can hold."""

    def __init__(self) -> None:
        self.held = threading.Lock()


def _copy(source: Path, destination: Path) -> None:
    destination.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        shutil.copytree(source, destination, symlinks=True, copy_function=shutil.copy)
    else:
        shutil.copyfile(source, destination)


def _delete(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _size(path: Path) -> int:
    if not path.is_dir():
        return path.stat().st_size
    return sum(file.lstat().st_size for file in path.rglob("*"))


def _used_at(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


def _remove_partials(folder: Path) -> None:
    for path in folder.glob(".*"):
        _log.info("removing an unfinished download", path=str(path))
        _delete(path)
