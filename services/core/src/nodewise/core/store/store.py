"""`ArtifactStore`: what every service uses of the store."""

import hashlib
import shutil
import stat
import uuid
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

from nodewise.core.errors import ArtifactMissing, ArtifactTooLarge, StoreError
from nodewise.core.store.addresses import Address, AddressKind, file_path, key_path, parse_uri
from nodewise.core.store.blobs import CHUNK_BYTES, Blobs, Draft, translated
from nodewise.core.store.streams import ArtifactStream, file_stream, tree_stream
from nodewise.core.store.trees import (
    TreeFile,
    TreeManifest,
    chunks_of,
    digest_of,
    go_on,
    open_regular,
    scan,
    translated_source,
)
from nodewise.core.store.youth import REFRESH_AFTER


class ArtifactStore:
    """Content-addressed artifacts and a few mutable keys, in any directory that fsspec can reach.

    The same content is stored once; a digest is verified whenever content is read. Writes are atomic: a reader finds
    the whole or nothing. Safe to use from several threads and processes.
    """

    def __init__(self, url: str) -> None:
        """Take the store at `url` (`file:///...`, `memory://...`, `s3://...`); nothing is written yet."""
        self.url = url
        self._blobs = Blobs(url)

    def put_bytes(self, data: bytes) -> str:
        """Store these bytes.

        Returns:
            Their URI.

        Raises:
            StoreFull: No space is left.
            StoreError: The store cannot be written.
        """
        address = Address(kind=AddressKind.FILE, digest=hashlib.sha256(data).hexdigest())
        self._put(address, data)
        return address.uri

    def put_path(self, path: Path, *, checkpoint: Callable[[], None] = go_on) -> tuple[str, int]:
        """Store a local file, or a directory as a tree. A link is not followed.

        Args:
            path: What to store.
            checkpoint: Called between files and between their pieces; what it raises ends the work.

        Returns:
            Its URI and its size in bytes.

        Raises:
            NotStorable: It is neither file nor directory, or holds what cannot be stored, such as a link that
                leads out of it.
            StoreError: The store failed.
        """
        with translated(str(path)), translated_source(path):
            directory = stat.S_ISDIR(path.lstat().st_mode)
        if not directory:
            digest, size = self._put_file(path, checkpoint)
            return Address(kind=AddressKind.FILE, digest=digest).uri, size
        manifest = self._put_files_of(path, checkpoint)
        raw = manifest.to_bytes()
        address = Address(kind=AddressKind.TREE, digest=hashlib.sha256(raw).hexdigest())
        self._put(address, raw)
        return address.uri, manifest.size_bytes

    def put_stream(self, source: IO[bytes], *, limit_bytes: int) -> tuple[str, int]:
        """Store what can be read from `source`.

        Returns:
            Its URI and its size in bytes.

        Raises:
            ArtifactTooLarge: There is more than `limit_bytes`; nothing is kept.
            StoreError: The store failed.
        """
        with self._blobs.writing() as draft:
            while chunk := source.read(CHUNK_BYTES):
                draft.write(chunk)
                if draft.size > limit_bytes:
                    raise ArtifactTooLarge(limit_bytes)
            return self._keep(draft).uri, draft.size

    def get_bytes(self, uri: str) -> bytes:
        """The content of a file (of a tree: its manifest).

        Raises:
            ArtifactMissing: Nothing is stored there.
            StoreError: It cannot be read, or is not what was stored.
        """
        return self._get(parse_uri(uri))

    def fetch(self, uri: str, destination: Path) -> None:
        """Bring a file or a tree to `destination`, which must not exist yet; it appears whole or not at all.

        Raises:
            ArtifactMissing: Nothing is stored there.
            StoreError: It cannot be read, or is not what was stored.
        """
        address = parse_uri(uri)
        partial = destination.with_name(f".{uuid.uuid4().hex}.partial")
        try:
            with translated(str(destination)):
                destination.parent.mkdir(parents=True, exist_ok=True)
                self._fetch_to(address, partial)
                partial.rename(destination)
        finally:
            _discard(partial)

    def stream(self, uri: str) -> ArtifactStream:
        """A file, or a tree as a tar, to be read block by block: nothing is held as a whole.

        Raises:
            ArtifactMissing: Nothing is stored there, or not all of the tree.
            StoreError: It cannot be read, or is not what was stored (a file tells that while it is read).
        """
        address = parse_uri(uri)
        if address.kind is AddressKind.TREE:
            return tree_stream(self._blobs, TreeManifest.from_bytes(self._get(address)))
        return file_stream(self._blobs, address)

    def write_key(self, key: str, data: bytes) -> None:
        """Set a mutable key (`logs/<run>/<path>/<attempt>.txt`); the last writer wins."""
        self._blobs.write(key_path(key), data)

    def read_key(self, key: str) -> bytes | None:
        """What the key holds; None when it was never written."""
        try:
            with self._blobs.reading(key_path(key)) as file:
                return file.read()
        except ArtifactMissing:
            return None

    def check(self) -> None:
        """Write and remove a probe.

        Raises:
            StoreError: The store cannot be written; says why.
        """
        probe = f"tmp/probe-{uuid.uuid4().hex}"
        self._blobs.write(probe, b"probe")
        self._blobs.remove(probe)

    def keep_young(self, uri: str) -> None:
        """See to it that a sweep leaves this for as long as if it were written now, though nothing may refer to it any more.

        Raises:
            StoreError: The store failed. That there is nothing is no error.
        """
        address = parse_uri(uri)
        paths = [address.object_path]
        with suppress(ArtifactMissing):
            if address.kind is AddressKind.TREE:
                manifest = TreeManifest.from_bytes(self._get(address))
                paths = [*(file_path(file.sha256) for file in manifest.files), *paths]
            for path in paths:
                if not self._blobs.refresh(path):
                    self._blobs.rewrite(path)

    def _put(self, address: Address, data: bytes) -> None:
        if not self._holds(address, len(data)):
            self._blobs.write(address.object_path, data)

    def _holds(self, address: Address, size: int) -> bool:
        """Whether it need not be written: it is there, and young enough to be left by a sweep until somebody refers to it."""
        found = self._blobs.look(address.object_path)
        if found is None or found.size != size:
            return False
        return datetime.now(UTC) - found.modified < REFRESH_AFTER or self._blobs.refresh(address.object_path)

    def _put_file(self, path: Path, checkpoint: Callable[[], None]) -> tuple[str, int]:
        with translated(str(path)):
            digest, size = digest_of(path, checkpoint)
        address = Address(kind=AddressKind.FILE, digest=digest)
        if self._holds(address, size):
            return digest, size
        with self._blobs.writing() as draft, open_regular(path) as source:
            for chunk in chunks_of(source, checkpoint):
                draft.write(chunk)
            # Named by what was copied: the file may have changed since it was first read.
            return self._keep(draft).digest, draft.size

    def _keep(self, draft: Draft) -> Address:
        address = Address(kind=AddressKind.FILE, digest=draft.digest)
        if not self._holds(address, draft.size):
            self._blobs.publish(draft, address.object_path)
        return address

    def _put_files_of(self, root: Path, checkpoint: Callable[[], None]) -> TreeManifest:
        with translated(str(root)), translated_source(root):
            paths, links, directories = scan(root, checkpoint)
        files = []
        for path in paths:
            digest, size = self._put_file(root / path, checkpoint)
            with translated(str(root / path)):
                mode = (root / path).lstat().st_mode & 0o777
            files.append(TreeFile(path=path, sha256=digest, size=size, mode=mode))
        return TreeManifest(files=tuple(files), links=tuple(links), directories=tuple(directories))

    def _get(self, address: Address) -> bytes:
        try:
            with self._blobs.reading(address.object_path) as file:
                data = file.read()
        except ArtifactMissing as error:
            raise ArtifactMissing(address.uri) from error
        _verify(address, hashlib.sha256(data).hexdigest())
        return data

    def _fetch_to(self, address: Address, destination: Path) -> None:
        if address.kind is AddressKind.TREE:
            self._fetch_tree(TreeManifest.from_bytes(self._get(address)), destination)
        else:
            self._fetch_file(address, destination)

    def _fetch_file(self, address: Address, destination: Path) -> None:
        digest = hashlib.sha256()
        try:
            with self._blobs.reading(address.object_path) as source, destination.open("xb") as target:
                while chunk := source.read(CHUNK_BYTES):
                    digest.update(chunk)
                    target.write(chunk)
        except ArtifactMissing as error:
            raise ArtifactMissing(address.uri) from error
        _verify(address, digest.hexdigest())

    def _fetch_tree(self, manifest: TreeManifest, root: Path) -> None:
        root.mkdir()
        for directory in manifest.directories:
            (root / directory).mkdir(parents=True, exist_ok=True)
        for file in manifest.files:
            target = root / file.path
            target.parent.mkdir(parents=True, exist_ok=True)
            self._fetch_file(Address(kind=AddressKind.FILE, digest=file.sha256), target)
            target.chmod(file.mode)
        for link in manifest.links:
            (root / link.path).parent.mkdir(parents=True, exist_ok=True)
            (root / link.path).symlink_to(link.target)


def _verify(address: Address, digest: str) -> None:
    if digest != address.digest:
        raise StoreError(f"the content of {address.uri} is not what was stored: its digest is {digest}")


def _discard(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
