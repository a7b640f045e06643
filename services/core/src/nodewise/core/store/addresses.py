"""Addresses in the store. Nothing from outside becomes a path before it went through here. Pure."""

import hashlib
from dataclasses import dataclass
from enum import StrEnum
from typing import Final
from urllib.parse import quote

from nodewise.core.errors import StoreError
from nodewise.core.model.artifact import ADDRESS
from nodewise.core.model.ids import AttemptKey

_LONGEST_SEGMENT: Final = 200
"""Bytes: common file systems allow 255, and the temporary names need some of them."""


class AddressKind(StrEnum):
    FILE = "file"
    TREE = "tree"


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """What a `store://` URI names: content by its SHA-256. A tree's digest is that of its manifest."""

    kind: AddressKind
    digest: str

    @property
    def uri(self) -> str:
        return f"store://{self.kind}/{self.digest}"

    @property
    def object_path(self) -> str:
        """Where it lies under the root of the store."""
        return f"{self.kind}/{self.digest[:2]}/{self.digest}"


def file_path(digest: str) -> str:
    """Where the file of that digest lies."""
    return Address(kind=AddressKind.FILE, digest=digest).object_path


def parse_uri(uri: str) -> Address:
    """The address that a URI names.

    Raises:
        StoreError: It is no `store://file/<sha256>` or `store://tree/<sha256>`.
    """
    match = ADDRESS.fullmatch(uri)
    if match is None:
        raise StoreError(f"not an address in the artifact store: {uri[:200]!r}")
    return Address(kind=AddressKind(match[1]), digest=match[2])


def is_address(uri: str) -> bool:
    """Whether it is one that `parse_uri` takes."""
    return ADDRESS.fullmatch(uri) is not None


def key_path(key: str) -> str:
    """Where a key lies under the root of the store: injective, and inside whatever the key says.

    Raises:
        StoreError: A segment is empty.
    """
    segments = key.split("/")
    if not all(segments):
        raise StoreError(f"a key must not have empty segments: {key[:200]!r}")
    return "/".join(["keys", *(safe_segment(segment) for segment in segments)])


def safe_segment(text: str) -> str:
    """A file name for any non-empty text: another one for every other text, never `.` or `..`."""
    encoded = quote(text, safe="", errors="surrogatepass")
    if encoded.startswith("."):
        encoded = f"%2E{encoded[1:]}"
    if len(encoded) <= _LONGEST_SEGMENT:
        return encoded
    # `%` is always followed by two hex digits in an encoded name, so `%_` marks a digest without doubt.
    return f"{encoded[:100]}%_{hashlib.sha256(encoded.encode()).hexdigest()}"


def log_key(key: AttemptKey) -> str:
    """The key of an attempt's log."""
    return f"logs/{_place(key)}.txt"


def report_key(key: AttemptKey) -> str:
    """The key of the report of an attempt's end, where the process that ran it cannot tell it itself."""
    return f"reports/{_place(key)}.json"


def claim_key(key: AttemptKey) -> str:
    """The key under which whoever begins an attempt says so, where more than one could."""
    return f"claims/{_place(key)}.txt"


def _place(key: AttemptKey) -> str:
    path = key.path.replace("%", "%25").replace("/", "%2F")
    return f"{key.run_id}/{path}/{key.attempt}"
