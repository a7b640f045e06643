"""Bytes at paths of any fsspec file system: written whole or not at all, errors translated."""

import errno
import hashlib
import os
import posixpath
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

from fsspec.core import url_to_fs

from nodewise.core.errors import ArtifactMissing, StoreError, StoreFull

CHUNK_BYTES = 1 << 20
_NO_SPACE = frozenset({errno.ENOSPC, errno.EDQUOT})


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A file that is there: where, how large, and when it was last written or refreshed."""

    path: str
    size: int
    modified: datetime


class Blobs:
    """A directory of some file system. Paths are relative to it and already checked."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.local = _is_local(url)
        # The cached instances of fsspec are shared and safe to use from several threads.
        self._fs, self._root = url_to_fs(url, **({"auto_mkdir": True} if self.local else {}))

    def size(self, path: str) -> int | None:
        """Bytes at `path`; None when nothing is there."""
        with translated(path):
            try:
                return int(self._fs.info(self._full(path))["size"])
            except FileNotFoundError:
                return None

    def look(self, path: str) -> Found | None:
        """What is at `path`; None when nothing is."""
        with translated(path):
            try:
                return self._found(self._fs.info(self._full(path)))
            except FileNotFoundError:
                return None

    def refresh(self, path: str) -> bool:
        """Make the file as young as one that is written now. False: it is gone, or that takes writing it again."""
        if not self.local:
            return False
        with translated(path):
            try:
                os.utime(self._full(path))
            except FileNotFoundError:
                return False
            return True

    def rewrite(self, path: str) -> None:
        """Write what is there once more.

        Raises:
            ArtifactMissing: Nothing is there.
        """
        with self.reading(path) as file, self.writing() as draft:
            while chunk := file.read(CHUNK_BYTES):
                draft.write(chunk)
            self.publish(draft, path)

    def folders(self, path: str) -> Sequence[str]:
        """The names of the folders right below `path`, sorted; none where nothing is there."""
        return sorted(_name(info) for info in self._listed(path) if info["type"] == "directory")

    def files(self, path: str) -> Iterator[Found]:
        """The files right below `path`, in no order."""
        yield from (self._found(info) for info in self._listed(path) if info["type"] == "file")

    def files_below(self, path: str) -> Iterator[Found]:
        """The files below `path`, however deep."""
        with translated(path):
            for info in self._fs.find(self._full(path), detail=True).values():
                yield self._found(info)

    def move(self, path: str, to: str) -> bool:
        """Give a file of a local file system another name, at once. False: it is gone."""
        with translated(path):
            try:
                Path(self._full(path)).replace(self._full(to))
            except FileNotFoundError:
                return False
            return True

    def remove_folder(self, path: str) -> None:
        """Remove a folder with all that is in it; what somebody else removes meanwhile is fine."""
        with translated(path), suppress(FileNotFoundError):
            self._fs.rm(self._full(path), recursive=True)

    def _listed(self, path: str) -> Sequence[Mapping[str, Any]]:
        with translated(path):
            try:
                # Listings that a file system may keep are of no use: other processes write, too.
                self._fs.invalidate_cache(self._full(path))
                listed: Sequence[Mapping[str, Any]] = self._fs.ls(self._full(path), detail=True)
            except FileNotFoundError:
                return ()
            return listed

    def _found(self, info: Mapping[str, Any]) -> Found:
        path = posixpath.relpath(info["name"].rstrip("/"), self._root)
        return Found(path=path, size=int(info["size"]), modified=self._modified(info))

    def _modified(self, info: Mapping[str, Any]) -> datetime:
        told = info.get("LastModified", info.get("mtime"))
        if isinstance(told, datetime):
            return told
        if told is not None:
            return datetime.fromtimestamp(float(told), UTC)
        moment: datetime = self._fs.modified(info["name"])
        return moment

    @contextmanager
    def reading(self, path: str) -> Iterator[IO[bytes]]:
        """The open file.

        Raises:
            ArtifactMissing: Nothing is there.
            StoreError: It cannot be read.
        """
        with translated(path), self._fs.open(self._full(path), "rb") as file:
            yield file

    @contextmanager
    def writing(self) -> Iterator["Draft"]:
        """A draft that is nowhere to be found until it is published; dropped if it never is."""
        path = self._full(f"tmp/{uuid.uuid4().hex}")
        with translated(path):
            draft = Draft(self._fs, path)
            try:
                yield draft
            finally:
                draft.drop()

    def publish(self, draft: "Draft", path: str) -> None:
        """Give a finished draft its name, replacing what had it. Readers see the old or the new whole."""
        draft.publish(self._full(path))

    def write(self, path: str, data: bytes) -> None:
        with self.writing() as draft:
            draft.write(data)
            self.publish(draft, path)

    def remove(self, path: str) -> bool:
        """Remove a file. False: it is gone already."""
        with translated(path):
            try:
                self._fs.rm_file(self._full(path))
            except (FileNotFoundError, KeyError):
                # The file system in memory knows its files by key.
                return False
            return True

    def _full(self, path: str) -> str:
        return posixpath.join(self._root, path)


class Draft:
    """A file under a temporary name, and the digest of what was written to it so far."""

    def __init__(self, filesystem: Any, path: str) -> None:
        self.path = path
        self.size = 0
        self._fs = filesystem
        self._file = filesystem.open(path, "wb")
        self._hash = hashlib.sha256()
        self._published = False

    @property
    def digest(self) -> str:
        return self._hash.hexdigest()

    def write(self, data: bytes) -> None:
        self._file.write(data)
        self._hash.update(data)
        self.size += len(data)

    def publish(self, path: str) -> None:
        self._file.close()
        self._fs.mv(self.path, path)
        self._published = True

    def drop(self) -> None:
        """Remove it unless it was published."""
        if self._published:
            return
        with suppress(OSError):
            self._file.close()
        with suppress(OSError):
            self._fs.rm_file(self.path)


@contextmanager
def translated(what: str) -> Iterator[None]:
    """Turn the operating system's errors into the store's.

    Raises:
        ArtifactMissing: Nothing is at `what`.
        StoreFull: No space is left.
        StoreError: Anything else that the file system refuses.
    """
    try:
        yield
    except FileNotFoundError as error:
        raise ArtifactMissing(what) from error
    except OSError as error:
        if error.errno in _NO_SPACE:
            raise StoreFull(f"the artifact store is full: {error.strerror}") from error
        raise StoreError(f"the artifact store failed at {what}: {error}") from error


def _name(info: Mapping[str, Any]) -> str:
    return posixpath.basename(str(info["name"]).rstrip("/"))


def _is_local(url: str) -> bool:
    return "://" not in url or url.startswith(("file://", "local://"))
