"""Trees: a directory as a manifest of files, links and empty directories. Reading one checks every path in it."""

import hashlib
import json
import os
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from nodewise.core.errors import StoreError

_Digest = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]


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


def scan(root: Path) -> tuple[Sequence[str], Sequence[TreeLink], Sequence[str]]:
    """The files, links and empty directories under `root`, as sorted relative POSIX paths.

    Raises:
        StoreError: A link leaves the directory, or something is neither file, link nor directory.
    """
    files: list[str] = []
    links: list[TreeLink] = []
    empty: list[str] = []
    for path, names in _walk(root):
        relative = path.relative_to(root).as_posix()
        if path.is_symlink():
            links.append(_read_link(root, path))
        elif names is None:
            _require_regular(path)
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
    target = str(path.readlink())
    if target.startswith("/"):
        inside = os.path.relpath(target, path.parent) if Path(target).is_relative_to(root) else target
        target = PurePosixPath(inside).as_posix()
    check_link(relative, target)
    return TreeLink(path=relative, target=target)


def _require_regular(path: Path) -> None:
    if not stat.S_ISREG(path.lstat().st_mode):
        raise StoreError(f"only files, directories and links can be stored: {path}")


def digest_of(path: Path) -> tuple[str, int]:
    """The SHA-256 and the size of a local file."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        return digest, file.tell()
