"""Bytes at paths of any fsspec file system: written whole or not at all, errors translated."""

import errno
import hashlib
import posixpath
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import IO, Any

from fsspec.core import url_to_fs

from nodewise.core.errors import ArtifactMissing, StoreError, StoreFull

CHUNK_BYTES = 1 << 20
_NO_SPACE = frozenset({errno.ENOSPC, errno.EDQUOT})


class Blobs:
    """A directory of some file system. Paths are relative to it and already checked."""

    def __init__(self, url: str) -> None:
        self.url = url
        # The cached instances of fsspec are shared and safe to use from several threads.
        self._fs, self._root = url_to_fs(url, **({"auto_mkdir": True} if _is_local(url) else {}))

    def size(self, path: str) -> int | None:
        """Bytes at `path`; None when nothing is there."""
        with translated(path):
            try:
                return int(self._fs.info(self._full(path))["size"])
            except FileNotFoundError:
                return None

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

    def remove(self, path: str) -> None:
        with translated(path):
            self._fs.rm_file(self._full(path))

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


def _is_local(url: str) -> bool:
    return "://" not in url or url.startswith(("file://", "local://"))
