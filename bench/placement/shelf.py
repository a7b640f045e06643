"""Results that a later run need not find again: a measurement of hours may be interrupted (`--resume`).

They lie under a digest of the code that they come from, so that a change of that code starts anew.
"""

import hashlib
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

_Found = TypeVar("_Found")

ROOT = Path(__file__).parents[2]
SOURCES = (
    "bench/placement/**/*.py",
    "bench/listing.py",
    "bench/measure.py",
    "services/planning/src/**/*.py",
    "services/scheduler/src/**/*.py",
    "services/placer/src/**/*.py",
    "services/simulator/src/**/*.py",
    "services/core/src/nodewise/core/*.py",
    "services/core/src/nodewise/core/model/**/*.py",
    "services/core/src/nodewise/core/estimates/**/*.py",
    "requirements/lock.txt",
    "requirements/bench.txt",
)
"""What results depend on: all that decides, and the versions of all packages, the peers' too."""


class Shelf:
    """A folder of results, by what was asked for."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder / digest()
        self._folder.mkdir(parents=True, exist_ok=True)

    def has(self, what: str) -> bool:
        return self._file(what).exists()

    def take(self, what: str) -> object:
        """What was put there; it is read as Python objects, so the folder must be our own."""
        return pickle.loads(self._file(what).read_bytes())  # noqa: S301 - we wrote it

    def put(self, what: str, found: object) -> None:
        partial = self._file(what).with_suffix(".partial")
        partial.write_bytes(pickle.dumps(found))
        partial.replace(self._file(what))

    def _file(self, what: str) -> Path:
        return self._folder / f"{hashlib.sha256(what.encode()).hexdigest()[:24]}.pickle"


_shelf: Shelf | None = None


def resume_from(folder: Path) -> None:
    """From now on, take what is there, and keep what is found."""
    global _shelf  # noqa: PLW0603 - one run of the command, one shelf
    _shelf = Shelf(folder)


def shelf() -> Shelf | None:
    return _shelf


def kept(what: str, find: Callable[[], _Found]) -> _Found:
    """What `find` finds, or found in an earlier run."""
    if _shelf is None:
        return find()
    if not _shelf.has(what):
        _shelf.put(what, find())
    return _shelf.take(what)  # type: ignore[return-value]


def sources() -> list[Path]:
    """The files that results depend on."""
    return sorted(file for pattern in SOURCES for file in ROOT.glob(pattern))


def digest() -> str:
    """Of all code that results depend on."""
    total = hashlib.sha256()
    for file in sources():
        total.update(f"{file.relative_to(ROOT)}\n".encode())
        total.update(file.read_bytes())
    return total.hexdigest()[:16]
