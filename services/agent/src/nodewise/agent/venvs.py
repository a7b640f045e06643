"""Virtual environments for tasks, one for each set of packages: made once, kept between runs, shared by agents.

<folder>/<digest>/build.lock   held while the set is looked at, built or removed
<folder>/<digest>/use.lock     held, by as many as like, while tasks run in it
<folder>/<digest>/ready.json   which of the folders beside it is whole; its time is that of the last use
<folder>/<digest>/failed.json  how the last try to build it failed
<folder>/<digest>/<build>/     one try to build it; never moved, since scripts in it name their interpreter's path

The locks are the system's, so whoever dies lets go of them.
"""

import fcntl
import hashlib
import json
import os
import shutil
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

import structlog
from pydantic import BaseModel, ConfigDict, ValidationError

from nodewise.core.errors import NodewiseError

_MIB: Final = 1 << 20
_READY: Final = "ready.json"
_FAILED: Final = "failed.json"
_log = structlog.get_logger()


class NotBuilt(NodewiseError):
    """The packages cannot be installed. `output` is all that was said on the way; `elsewhere`: to another attempt."""

    def __init__(self, text: str, output: str = "", *, elsewhere: bool = False) -> None:
        self.output = output
        self.elsewhere = elsewhere
        super().__init__(text)


@dataclass(frozen=True, slots=True, kw_only=True)
class PackageSet:
    """What makes two environments the same: pip's requirements, options and settings, and the interpreter with what it brings."""

    packages: tuple[str, ...]
    options: tuple[str, ...] = ()
    settings: tuple[tuple[str, str], ...] = ()
    interpreter: tuple[str, ...] = (sys.version, sys.prefix)

    @property
    def digest(self) -> str:
        text = json.dumps([sorted(self.packages), self.options, self.settings, self.interpreter])
        return hashlib.sha256(text.encode()).hexdigest()[:32]


@dataclass(frozen=True, slots=True, kw_only=True)
class Builder:
    """How an environment comes to be.

    `build` makes it whole in the folder that it is given, or raises. `pause` is called between two looks at a lock that another
    holds, and may raise to give up.
    """

    build: Callable[[Path], None]
    pause: Callable[[], None]


class _Ready(BaseModel):
    model_config = ConfigDict(frozen=True)
    build: str
    size_bytes: int


class _Failed(BaseModel):
    model_config = ConfigDict(frozen=True)
    text: str
    output: str


class Venvs:
    """The environments under one folder, least recently used first to go. Threads and processes may share it."""

    def __init__(self, folder: Path, *, limit_mib: int) -> None:
        self._folder = folder
        self._limit_bytes = limit_mib * _MIB
        folder.mkdir(parents=True, exist_ok=True)

    @contextmanager
    def using(self, wanted: PackageSet, builder: Builder) -> Iterator[Path]:
        """The root of a whole environment, which stays while the block lasts.

        Whoever waits for somebody else's build that fails gets that failure, rather than trying the same once more.

        Raises:
            NotBuilt: It cannot be built.
            OSError: The disk does not take it.
        """
        entry = _Entry(self._folder / wanted.digest)
        since = time.time()
        with (entry.root / "use.lock").open("a") as use:
            with entry.building(builder.pause):
                root = entry.whole() or entry.build(builder.build, waiting_since=since)
                # Nobody takes it away meanwhile: that needs the other lock, too.
                fcntl.flock(use, fcntl.LOCK_SH)
                entry.touch()
            self.trim()
            yield root

    def trim(self) -> None:
        """Remove what nobody finished, and what was used longest ago until the rest fits; what is in use stays."""
        entries = [_Entry(path) for path in self._folder.iterdir() if path.is_dir()]
        for entry in entries:
            entry.drop_unfinished()
        sizes = {entry: entry.size_bytes() for entry in entries}
        for entry in sorted(entries, key=_Entry.used_at):
            if sum(sizes.values()) <= self._limit_bytes:
                return
            if sizes[entry] and entry.remove():
                _log.info("environment removed for room", digest=entry.root.name, size_bytes=sizes[entry])
                sizes[entry] = 0


class _Entry:
    """One set of packages on disk."""

    def __init__(self, root: Path) -> None:
        self.root = root
        root.mkdir(parents=True, exist_ok=True)

    @contextmanager
    def building(self, pause: Callable[[], None]) -> Iterator[None]:
        """Be the only one who may change it; `pause` is called while another is."""
        with (self.root / "build.lock").open("a") as lock:
            while not _locked(lock):
                pause()
            yield

    def whole(self) -> Path | None:
        """Where the environment is, if there is one that works."""
        ready = self._ready()
        if ready is None or not (self.root / ready.build / "bin" / "python").exists():
            return None
        return self.root / ready.build

    def build(self, build: Callable[[Path], None], *, waiting_since: float) -> Path:
        self._raise_failure_after(waiting_since)
        self._drop_builds(but=None)
        root = self.root / uuid.uuid4().hex[:12]
        try:
            build(root)
        except NotBuilt as error:
            shutil.rmtree(root, ignore_errors=True)
            _write(self.root / _FAILED, _Failed(text=str(error), output=error.output))
            raise
        except BaseException:
            shutil.rmtree(root, ignore_errors=True)
            raise
        _write(self.root / _READY, _Ready(build=root.name, size_bytes=_size(root)))
        return root

    def _raise_failure_after(self, since: float) -> None:
        path = self.root / _FAILED
        with suppress(OSError, ValidationError):
            if path.stat().st_mtime >= since:
                failed = _Failed.model_validate_json(path.read_bytes())
                raise NotBuilt(failed.text, failed.output, elsewhere=True)

    def _ready(self) -> _Ready | None:
        try:
            return _Ready.model_validate_json((self.root / _READY).read_bytes())
        except (OSError, ValidationError):
            return None

    def touch(self) -> None:
        os.utime(self.root / _READY)

    def used_at(self) -> float:
        try:
            return (self.root / _READY).stat().st_mtime
        except OSError:
            return 0.0

    def size_bytes(self) -> int:
        ready = self._ready()
        return ready.size_bytes if ready else 0

    def drop_unfinished(self) -> None:
        """Remove the builds that nobody finished, unless one is going on."""
        ready = self._ready()
        if len(self._builds()) <= (ready is not None):
            return
        with (self.root / "build.lock").open("a") as lock:
            if _locked(lock):
                ready = self._ready()
                self._drop_builds(but=ready.build if ready else None)

    def remove(self) -> bool:
        """Remove the environment, unless it is being built or used; False: it is."""
        with (self.root / "build.lock").open("a") as build, (self.root / "use.lock").open("a") as use:
            if not (_locked(build) and _locked(use)):
                return False
            (self.root / _READY).unlink(missing_ok=True)
            self._drop_builds(but=None)
            return True

    def _builds(self) -> list[Path]:
        return [path for path in self.root.iterdir() if path.is_dir()]

    def _drop_builds(self, *, but: str | None) -> None:
        if but is None:
            (self.root / _READY).unlink(missing_ok=True)
        for path in self._builds():
            if path.name != but:
                shutil.rmtree(path, ignore_errors=True)


def _locked(file: IO[str]) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _write(path: Path, content: BaseModel) -> None:
    partial = path.with_name(f"{path.name}.{uuid.uuid4().hex}")
    partial.write_text(content.model_dump_json())
    partial.replace(path)


def _size(root: Path) -> int:
    return sum(path.lstat().st_size for path in root.rglob("*"))
