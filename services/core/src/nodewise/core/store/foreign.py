"""Content that lies outside our store, under the address that its owner gave it: fetched as KFP's launcher does."""

from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any, Final

import fsspec

from nodewise.core.errors import ArtifactMissing, StoreError

PACKAGES: Final = {"s3": "s3fs", "gs": "gcsfs", "abfs": "adlfs", "az": "adlfs"}
"""Object stores whose content is fetched, and what has to be installed for it. Nothing else: an address is its user's word, and
others would let it read the files of who fetches."""


def why_not_fetched(uri: str) -> str | None:
    """Why the content at this address is not fetched here; None: it is."""
    scheme, separator, _ = uri.partition("://")
    if not separator or scheme not in PACKAGES:
        return "addresses of this kind are handed on as they are"
    try:
        fsspec.get_filesystem_class(scheme)
    except (ImportError, ValueError):
        return f"{PACKAGES[scheme]} is not installed on this node"
    return None


def fetch_foreign(uri: str, destination: Path) -> None:
    """Put a copy of the object, or of all below it, at `destination`, with the credentials of this process.

    Raises:
        ArtifactMissing: Nothing is there.
        StoreError: It cannot be had.
    """
    destination.parent.mkdir(parents=True, exist_ok=True)
    try:
        # Not `url_to_fs`: what stands behind a `::` in an address would choose another file system.
        files = fsspec.filesystem(uri.partition("://")[0])
        if not files.isdir(uri):
            files.get_file(uri, str(destination))
            return
        for name, place in _below(files, uri, destination):
            place.parent.mkdir(parents=True, exist_ok=True)
            files.get_file(name, str(place))
    except StoreError:
        raise
    except FileNotFoundError as error:
        raise ArtifactMissing(uri) from error
    # Whatever the package of an object store raises: there is no common base.
    except Exception as error:
        raise StoreError(f"{uri[:300]} cannot be fetched: {type(error).__name__}: {error}") from error


def _below(files: Any, uri: str, destination: Path) -> Iterator[tuple[str, Path]]:
    """Every object below a prefix, and where it goes.

    Raises:
        StoreError: A name would lead out of `destination`: whoever fills a bucket chooses the names in it.
    """
    root = PurePosixPath(files._strip_protocol(uri))
    for name in files.find(uri):
        relative = PurePosixPath(name).relative_to(root)
        if ".." in relative.parts:
            raise StoreError(f"{uri[:300]} has an object whose name leads out of it: {name[-100:]!r}")
        yield name, destination / relative
