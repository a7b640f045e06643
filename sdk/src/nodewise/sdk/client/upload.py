"""A data set on its way to the store: measured, and read in blocks so that its size does not matter."""

import json
import tarfile
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from nodewise.core.model.task import DatasetFacts
from nodewise.sdk.client.errors import NoSuchFile
from nodewise.sdk.datasets import data_kind, measure

_BLOCK_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Upload:
    """`chunks()` starts from the beginning each time, so that a broken upload can be repeated."""

    params: Mapping[str, str]
    chunks: Callable[[], Iterator[bytes]]
    size_bytes: int


@contextmanager
def as_upload(
    path: Path, *, kind: str | None = None, classes: int | None = None, normalised: bool | None = None
) -> Iterator[Upload]:
    """Measure `path` and open it for sending; a folder is packed into a temporary tar first.

    What the caller says wins over what was measured.

    Raises:
        NoSuchFile: There is nothing at `path`.
        InvalidDataset: It cannot be read as what its name says.
    """
    if not path.exists():
        raise NoSuchFile(path)
    facts = measure(path, kind=None if kind is None else data_kind(kind))
    params = _params(facts, classes=classes, normalised=normalised)
    if path.is_file():
        yield _upload(path, params)
        return
    with tempfile.TemporaryDirectory(prefix="nodewise-") as folder:
        packed = Path(folder) / "dataset.tar"
        pack(path, packed)
        yield _upload(packed, params)


def pack(folder: Path, destination: Path) -> None:
    """Write the folder as a tar: sorted, without times and owners, so that the same files give the same bytes."""
    with tarfile.open(destination, "w", format=tarfile.PAX_FORMAT) as tar:
        for file in sorted(p for p in folder.rglob("*") if p.is_file()):
            tar.add(file, arcname=file.relative_to(folder).as_posix(), recursive=False, filter=_anonymous)


def _anonymous(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    entry.mtime, entry.uid, entry.gid, entry.uname, entry.gname = 0, 0, 0, "", ""
    entry.mode = 0o644
    return entry


def _upload(file: Path, params: Mapping[str, str]) -> Upload:
    return Upload(params=params, chunks=lambda: _blocks(file), size_bytes=file.stat().st_size)


def _blocks(file: Path) -> Iterator[bytes]:
    with file.open("rb") as stream:
        while block := stream.read(_BLOCK_BYTES):
            yield block


def _params(facts: DatasetFacts, *, classes: int | None, normalised: bool | None) -> dict[str, str]:
    counts = {
        "samples": facts.samples,
        "features": facts.features,
        "classes": classes if classes is not None else facts.classes,
    }
    params = {name: str(value) for name, value in counts.items() if value is not None}
    if facts.types:
        params["types"] = json.dumps(dict(facts.types), sort_keys=True)
    is_normalised = facts.normalised if normalised is None else normalised
    return params | {"kind": facts.kind.value, "normalised": "true" if is_normalised else "false"}
