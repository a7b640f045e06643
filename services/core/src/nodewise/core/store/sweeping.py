"""Removing content that nothing refers to, while others write (docs/decisions/0016).

The store says what it holds and how old that is; whoever sweeps says what is referred to. Memory is bounded by a group of
shards (the first two digits of a digest), whose size the caller chooses.
"""

import json
import uuid
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import structlog

from nodewise.core.errors import ArtifactMissing
from nodewise.core.store.addresses import Address, AddressKind
from nodewise.core.store.blobs import Blobs, Found
from nodewise.core.store.youth import GRACE

SHARDS: Final = tuple(f"{number:02x}" for number in range(256))
RUN_KEYS: Final = ("logs", "reports", "claims")
"""Keys that begin with one of these, then have the id of a run."""
_DRAFTS: Final = "tmp"
_TAKEN: Final = "swept-"
_log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class Freed:
    """What went: how many files, and their bytes."""

    files: int = 0
    size_bytes: int = 0

    def __add__(self, other: "Freed") -> "Freed":
        return Freed(files=self.files + other.files, size_bytes=self.size_bytes + other.size_bytes)


class Sweeper:
    """What may be removed of one store. `dry`: everything is looked at, and nothing is changed."""

    def __init__(self, url: str, *, now: datetime, dry: bool = False) -> None:
        self._blobs = Blobs(url)
        self._before = now - GRACE
        self._dry = dry

    def old(self, kind: AddressKind, first: int, *, most: int) -> tuple[dict[str, int], int | None]:
        """Content that is old enough, by digest, with its size, from shard `first` on, until there are `most` or more.

        Returns:
            It, and the shard to go on with; None: that was all.
        """
        found: dict[str, int] = {}
        for number in range(first, len(SHARDS)):
            if len(found) >= most:
                return found, number
            found |= {
                _digest(file): file.size
                for file in self._blobs.files(f"{kind}/{SHARDS[number]}")
                if file.modified < self._before
            }
        return found, None

    def trees(self) -> Iterator[str]:
        """The digests of all trees, however old."""
        for shard in SHARDS:
            yield from (_digest(file) for file in self._blobs.files(f"{AddressKind.TREE}/{shard}"))

    def files_of(self, tree: str) -> Iterator[str]:
        """The digests of a tree's files; none where it is gone, or cannot be read by anybody."""
        try:
            with self._blobs.reading(Address(kind=AddressKind.TREE, digest=tree).object_path) as file:
                manifest = json.load(file)
            yield from [str(entry["sha256"]) for entry in manifest["files"]]
        except ArtifactMissing:
            return
        except (ValueError, KeyError, TypeError) as error:
            _log.warning("a tree's manifest is not readable", tree=tree, error=str(error))

    def take(self, kind: AddressKind, digests: Iterable[str], sizes: dict[str, int]) -> Freed:
        """Remove content that nothing refers to, unless somebody has written or refreshed it since it was looked at."""
        paths = ((Address(kind=kind, digest=digest).object_path, digest) for digest in digests)
        gone = [sizes[digest] for path, digest in paths if self._dry or self._take(path)]
        return Freed(files=len(gone), size_bytes=sum(gone))

    def _take(self, path: str) -> bool:
        if not self._is_old(path):
            return False
        if not self._blobs.local:
            return self._blobs.remove(path)
        # Whoever refreshes it from here on finds nothing, and writes it anew; whoever did so before is seen below.
        aside = f"{_DRAFTS}/{_TAKEN}{path.replace('/', '-')}-{uuid.uuid4().hex}"
        return self._blobs.move(path, aside) and self._settle(aside, path)

    def _settle(self, aside: str, path: str) -> bool:
        """Remove what was put aside; or put it back, if it is young after all. Whether it was removed."""
        if self._is_old(aside):
            return self._blobs.remove(aside)
        self._blobs.move(aside, path)
        return False

    def _is_old(self, path: str) -> bool:
        found = self._blobs.look(path)
        return found is not None and found.modified < self._before

    def take_drafts(self) -> Freed:
        """Remove what writers that were killed have left, and end what a sweep that was killed has begun."""
        freed = Freed()
        for draft in list(self._blobs.files(_DRAFTS)):
            name = draft.path.removeprefix(f"{_DRAFTS}/")
            if name.startswith(_TAKEN):
                kind, shard, digest, _ = name.removeprefix(_TAKEN).split("-")
                gone = self._dry or self._settle(draft.path, f"{kind}/{shard}/{digest}")
            else:
                gone = draft.modified < self._before and (self._dry or self._blobs.remove(draft.path))
            freed += Freed(files=1, size_bytes=draft.size) if gone else Freed()
        return freed

    def runs_with_keys(self) -> Sequence[str]:
        """The ids of the runs that logs, reports or claims are there of, sorted."""
        names = {name for kind in RUN_KEYS for name in self._blobs.folders(f"keys/{kind}")}
        return sorted(name for name in names if _is_id(name))

    def take_keys(self, run_ids: Iterable[str]) -> Freed:
        """Remove the logs, reports and claims of these runs."""
        freed = Freed()
        for folder in (f"keys/{kind}/{run_id}" for run_id in run_ids for kind in RUN_KEYS):
            files = list(self._blobs.files_below(folder))
            if not self._dry:
                self._blobs.remove_folder(folder)
            freed += Freed(files=len(files), size_bytes=sum(file.size for file in files))
        return freed


def _digest(file: Found) -> str:
    return file.path.rpartition("/")[2]


def _is_id(name: str) -> bool:
    with suppress(ValueError):
        return str(uuid.UUID(name)) == name
    return False
