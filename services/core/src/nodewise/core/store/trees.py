"""Trees: a directory as a manifest of files, links and empty directories. Reading one checks every path in it."""

import errno
import hashlib
import json
import os
import stat
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO, Annotated, Final

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from nodewise.core.errors import StoreError
from nodewise.core.store.blobs import CHUNK_BYTES

_OWNERS_FAULT: Final = frozenset(
    {errno.EACCES, errno.EISDIR, errno.ELOOP, errno.ENAMETOOLONG, errno.ENOTDIR, errno.ENXIO, errno.EPERM}
)
"""What the system says when a path itself is at fault, not the machine."""
_Digest = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]


class NotStorable(StoreError):
    """What is to be stored is nothing that a store can hold: the fault of who made it, trying again is in vain."""


@contextmanager
def translated_source(path: Path) -> Iterator[None]:
    """Tell the faults of what is to be stored from those of the machine and the store.

    Raises:
        NotStorable: The path is at fault: a loop of links, a name that is too long, no leave to read it.
        OSError: Anything else.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in _OWNERS_FAULT:
            raise
        raise NotStorable(f"cannot be stored: {path}: {error.strerror}") from error
    except RecursionError as error:
        raise NotStorable(f"nested too deeply to be stored: {path}") from error


class TreeFile(BaseModel):
    """A regular file: where it is in the tree and what it holds."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    path: str
    sha256: _Digest
    size: int = Field(ge=0)
    mode: int = Field(ge=0, le=0o777)


class TreeLink(BaseModel):
    """A symbolic link to another place in the same tree, relative to its own directory."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    path: str
    target: str


class TreeManifest(BaseModel):
    """What a directory held. `directories` are only those that nothing else implies: the empty ones."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    files: tuple[TreeFile, ...] = ()
    links: tuple[TreeLink, ...] = ()
    directories: tuple[str, ...] = ()

    @property
    def size_bytes(self) -> int:
        return sum(file.size for file in self.files)

    def to_bytes(self) -> bytes:
        """Canonical JSON: equal trees give equal bytes."""
        text = json.dumps(self.model_dump(), sort_keys=True, separators=(",", ":"))
        return text.encode()

    @classmethod
    def from_bytes(cls, raw: bytes) -> "TreeManifest":
        """The manifest that `to_bytes` wrote, with every path in it checked.

        Raises:
            StoreError: It is none, or a path in it leads out of the tree.
        """
        try:
            manifest = cls.model_validate_json(raw)
        except ValidationError as error:
            raise StoreError(f"a tree's manifest is not readable: {error.errors()[0]['msg']}") from error
        _check_paths(manifest)
        return manifest


def _check_paths(manifest: TreeManifest) -> None:
    links = {link.path for link in manifest.links}
    files = [file.path for file in manifest.files]
    for path in (*files, *links, *manifest.directories):
        _check_relative(path)
        if any(str(parent) in links for parent in PurePosixPath(path).parents):
            raise StoreError(f"a tree's manifest writes through a link: {path!r}")
    for link in manifest.links:
        check_link(link.path, link.target)


def _check_relative(path: str) -> None:
    segments = path.split("/")
    if "\0" in path or any(segment in ("", ".", "..") for segment in segments):
        raise StoreError(f"a tree's manifest holds an illegal path: {path!r}")


def check_link(path: str, target: str) -> None:
    """Refuse a link that could lead out of its tree.

    Args:
        path: Of the link, relative to the tree's root; none of its parents is a link.
        target: As the link says it. `..` may stand only at its beginning: after a name that is itself a link,
            `..` would count from wherever that one leads.

    Raises:
        StoreError: It could.
    """
    segments = target.split("/")
    rising = 0
    while rising < len(segments) and segments[rising] == "..":
        rising += 1
    illegal = any(segment in ("", "..") for segment in segments[rising:]) or "\0" in target
    if illegal or rising > path.count("/"):
        raise StoreError(f"the link {path!r} leads out of its directory: {target!r}")


def go_on() -> None:
    """The checkpoint of who is never stopped."""


def scan(
    root: Path, checkpoint: Callable[[], None] = go_on
) -> tuple[Sequence[str], Sequence[TreeLink], Sequence[str]]:
    """The files, links and empty directories under `root`, as sorted relative POSIX paths.

    `checkpoint` is called at every one of them and may raise.

    Raises:
        NotStorable: A link leaves the directory or leads in a circle, something is neither file, link nor
            directory, or has a name that is no text.
    """
    files: list[str] = []
    links: list[TreeLink] = []
    empty: list[str] = []
    for path, names in _walk(root):
        checkpoint()
        relative = _text(path.relative_to(root).as_posix())
        if path.is_symlink():
            links.append(_read_link(root, path))
        elif names is None:
            _require_regular(path, path.lstat().st_mode)
            files.append(relative)
        elif not names and path != root:
            empty.append(relative)
    return sorted(files), sorted(links, key=lambda link: link.path), sorted(empty)


def _walk(root: Path) -> Iterator[tuple[Path, list[str] | None]]:
    """Every path with the names in it (None when it is no directory); links are not followed."""
    for folder, names, files in os.walk(root, onerror=_raise):
        here = Path(folder)
        yield here, [*names, *files]
        linked = [name for name in names if (here / name).is_symlink()]
        for name in (*files, *linked):
            yield here / name, None


def _raise(error: OSError) -> None:
    raise error


def _read_link(root: Path, path: Path) -> TreeLink:
    relative = path.relative_to(root).as_posix()
    target = _text(str(path.readlink()))
    _require_end(path)
    if target.startswith("/"):
        inside = os.path.relpath(target, path.parent) if Path(target).is_relative_to(root) else target
        target = PurePosixPath(inside).as_posix()
    try:
        check_link(relative, target)
    except StoreError as error:
        raise NotStorable(str(error)) from error
    return TreeLink(path=relative, target=target)


def _require_end(link: Path) -> None:
    """Refuse links that lead in a circle; one that leads to nothing is kept as it is."""
    try:
        link.stat()
    except FileNotFoundError:
        return


def _text(name: str) -> str:
    """The name, if it is one that a manifest can hold: file names are bytes, and need not be UTF-8."""
    try:
        name.encode()
    except UnicodeEncodeError as error:
        raise NotStorable(f"a file's name is not UTF-8: {name!r}") from error
    return name


def _require_regular(path: Path, mode: int) -> None:
    if not stat.S_ISREG(mode):
        raise NotStorable(f"only files, directories and links can be stored: {path}")


def open_regular(path: Path) -> IO[bytes]:
    """Open a regular file to read it. Anything else is refused without waiting, as a pipe would make us wait.

    Raises:
        NotStorable: It is something else (a link, too), or may not be read.
        OSError: Nothing is there, or the system fails.
    """
    with translated_source(path):
        # Devices may act when they are opened; the second look is for what changed in between.
        _require_regular(path, path.lstat().st_mode)
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        _require_regular(path, os.fstat(descriptor).st_mode)
        return os.fdopen(descriptor, "rb")
    except BaseException:
        os.close(descriptor)
        raise


def chunks_of(file: IO[bytes], checkpoint: Callable[[], None] = go_on) -> Iterator[bytes]:
    """The file's content piece by piece; `checkpoint` is called before each and may raise."""
    checkpoint()
    while chunk := file.read(CHUNK_BYTES):
        yield chunk
        checkpoint()


def digest_of(path: Path, checkpoint: Callable[[], None] = go_on) -> tuple[str, int]:
    """The SHA-256 and the size of a local file."""
    digest = hashlib.sha256()
    with open_regular(path) as file:
        for chunk in chunks_of(file, checkpoint):
            digest.update(chunk)
        return digest.hexdigest(), file.tell()
