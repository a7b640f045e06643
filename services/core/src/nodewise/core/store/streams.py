"""Stored content as a stream of blocks whose length is known beforehand: a file as it is, a tree as a tar."""

import hashlib
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from nodewise.core.errors import ArtifactMissing, StoreError
from nodewise.core.store.addresses import Address, AddressKind
from nodewise.core.store.blobs import CHUNK_BYTES, Blobs
from nodewise.core.store.trees import TreeFile, TreeManifest

_END: Final = bytes(2 * tarfile.BLOCKSIZE)


@dataclass(frozen=True, slots=True, kw_only=True)
class ArtifactStream:
    """Something stored, about to be read. `blocks` may be gone through once.

    It raises a `StoreError` before its last block where the content is not what was stored.
    """

    is_tree: bool
    size_bytes: int
    blocks: Iterator[bytes]


def file_stream(blobs: Blobs, address: Address) -> ArtifactStream:
    """One file.

    Raises:
        ArtifactMissing: Nothing is stored there.
    """
    size = _size(blobs, address)
    return ArtifactStream(is_tree=False, size_bytes=size, blocks=_verified(blobs, address))


def tree_stream(blobs: Blobs, manifest: TreeManifest) -> ArtifactStream:
    """A directory as a tar: the same tree gives the same bytes.

    Raises:
        ArtifactMissing: One of its files is not stored.
    """
    files = [(file, Address(kind=AddressKind.FILE, digest=file.sha256)) for file in manifest.files]
    for file, address in files:
        if _size(blobs, address) != file.size:
            raise StoreError(f"the content of {address.uri} is not what was stored")
    others = _links_and_directories(manifest)
    headers = sum(len(_header(file)) + _padded(file.size) for file in manifest.files)
    return ArtifactStream(
        is_tree=True,
        size_bytes=headers + sum(map(len, others)) + len(_END),
        blocks=_tar(blobs, files, others),
    )


def _tar(blobs: Blobs, files: list[tuple[TreeFile, Address]], others: list[bytes]) -> Iterator[bytes]:
    for file, address in files:
        yield _header(file)
        yield from _verified(blobs, address)
        yield bytes(_padded(file.size) - file.size)
    yield from others
    yield _END


def _links_and_directories(manifest: TreeManifest) -> list[bytes]:
    entries = []
    for link in manifest.links:
        entry = tarfile.TarInfo(link.path)
        entry.type, entry.linkname = tarfile.SYMTYPE, link.target
        entries.append(entry.tobuf(tarfile.PAX_FORMAT))
    for directory in manifest.directories:
        entry = tarfile.TarInfo(directory)
        entry.type, entry.mode = tarfile.DIRTYPE, 0o755
        entries.append(entry.tobuf(tarfile.PAX_FORMAT))
    return entries


def _header(file: TreeFile) -> bytes:
    entry = tarfile.TarInfo(file.path)
    entry.size, entry.mode = file.size, file.mode
    return entry.tobuf(tarfile.PAX_FORMAT)


def _padded(size: int) -> int:
    return -(-size // tarfile.BLOCKSIZE) * tarfile.BLOCKSIZE


def _size(blobs: Blobs, address: Address) -> int:
    size = blobs.size(address.object_path)
    if size is None:
        raise ArtifactMissing(address.uri)
    return size


def _verified(blobs: Blobs, address: Address) -> Iterator[bytes]:
    """The blocks of a file; the last one only when all of them together are what was stored."""
    digest = hashlib.sha256()
    held = b""
    with blobs.reading(address.object_path) as file:
        while block := file.read(CHUNK_BYTES):
            yield held
            digest.update(block)
            held = block
    if digest.hexdigest() != address.digest:
        raise StoreError(
            f"the content of {address.uri} is not what was stored: its digest is {digest.hexdigest()}"
        )
    yield held
