"""Content that lies outside our store, under the address that its owner gave it: fetched as KFP's launcher does."""

from pathlib import Path
from typing import Final

import fsspec
from fsspec.core import url_to_fs

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
        files, path = url_to_fs(uri)
        if files.isdir(path):
            files.get(path, str(destination), recursive=True)
        else:
            files.get_file(path, str(destination))
    except FileNotFoundError as error:
        raise ArtifactMissing(uri) from error
    # Whatever the package of an object store raises: there is no common base.
    except Exception as error:
        raise StoreError(f"{uri[:300]} cannot be fetched: {type(error).__name__}: {error}") from error
