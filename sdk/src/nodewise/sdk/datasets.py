"""Measures data sets, so that a task's memory need rests on fact: samples, features, types, classes, bytes.

Files are streamed or read by their headers; nothing is unpickled and nothing is held in memory as a whole.
"""

import csv
import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from itertools import chain
from pathlib import Path
from typing import Any, Final

from nodewise.core.errors import NodewiseError
from nodewise.core.model.task import DataKind, DatasetFacts

IMAGE_SUFFIXES: Final = frozenset(
    {".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".ppm", ".pgm"}
)
_LABELS: Final = ("y", "label", "labels", "target", "targets", "y_train", "class", "classes")
_IMAGE_DIMENSIONS: Final = 3
"""Samples x height x width, at least."""


class InvalidDataset(NodewiseError):
    """The file is not what its name says, or holds what may not be read (pickled objects)."""

    def __init__(self, path: Path, rule: str) -> None:
        self.path = path
        self.rule = rule
        super().__init__(f"{path}: {rule}")


def data_kind(name: str) -> DataKind:
    """The kind of that name.

    Raises:
        ValueError: There is none; names those there are.
    """
    try:
        return DataKind(name)
    except ValueError as error:
        known = ", ".join(kind.value for kind in DataKind)
        raise ValueError(f"no kind of data is called {name!r}; known: {known}") from error


def measure(path: Path, *, kind: DataKind | None = None) -> DatasetFacts:
    """What can be known of a file or folder by looking.

    CSV, TSV, `.npy`, `.npz`, Parquet, JSON lines and folders of images are looked into; of anything else, which needs a
    `kind`, and of NumPy and Parquet files where those packages are not installed, only the size is measured.

    Args:
        path: A file, or a folder.
        kind: What it is; by default what it looks like.

    Raises:
        InvalidDataset: It is not what its name says, of no known type, or empty.
    """
    if path.is_dir():
        return _facts(path, _folder(path), kind)
    reader = _READERS.get(path.suffix.lower())
    if reader is None and kind is None:
        raise InvalidDataset(
            path,
            f"is of no known type ({', '.join(sorted(_READERS))}, a folder); say --kind to register it as it is",
        )
    try:
        found = reader(path) if reader else {}
    except ImportError:
        found = {}
    except (ValueError, csv.Error, OSError, EOFError) as error:
        raise InvalidDataset(path, f"cannot be read as {path.suffix[1:]}: {error}") from error
    if found.get("samples") == 0:
        raise InvalidDataset(path, "holds no samples")
    return _facts(path, found, kind)


def _facts(path: Path, found: Mapping[str, Any], kind: DataKind | None) -> DatasetFacts:
    looks_like = {"kind": DataKind.TABULAR, **found}
    if kind is not None:
        looks_like["kind"] = kind
    return DatasetFacts(size_bytes=size_of(path), measured=True, **looks_like)


def size_of(path: Path) -> int:
    """Bytes of a file, or of all files below a folder."""
    if path.is_file():
        return path.stat().st_size
    return sum(file.stat().st_size for file in path.rglob("*") if file.is_file())


def _delimited(path: Path, delimiter: str) -> dict[str, Any]:
    with path.open(newline="", encoding="utf-8-sig", errors="replace") as stream:
        rows = (row for row in csv.reader(stream, delimiter=delimiter) if row)
        first = next(rows, None)
        if first is None:
            return {"samples": 0, "features": 0}
        # A first line without a single number is a header; data sets without a header have numbers in every line.
        has_header = all(_type_of(cell) in {"string", ""} for cell in first)
        return _columns(rows if has_header else chain([first], rows), width=len(first))


def _columns(rows: Iterable[list[str]], *, width: int) -> dict[str, Any]:
    types = [""] * width
    samples = 0
    for row in rows:
        samples += 1
        types = [
            _wider(known, _type_of(cell)) for known, cell in zip(types, _padded(row, width), strict=True)
        ]
    return {"samples": samples, "features": width, "types": dict(Counter(t or "string" for t in types))}


def _padded(row: list[str], width: int) -> list[str]:
    return (row + [""] * width)[:width]


_ORDER: Final = ("", "bool", "int64", "float64", "string")
_TRUTHS: Final = frozenset({"true", "false"})


def _type_of(cell: str) -> str:
    text = cell.strip()
    if not text:
        return ""
    if text.lower() in _TRUTHS:
        return "bool"
    for name, parse in (("int64", int), ("float64", float)):
        with suppress(ValueError):
            parse(text)
            return name
    return "string"


def _wider(one: str, other: str) -> str:
    """The type that holds both; truth values and numbers together are text."""
    if "bool" in (one, other) and one and other and one != other:
        return "string"
    return max(one, other, key=_ORDER.index)


def _json_lines(path: Path) -> dict[str, Any]:
    types: dict[str, str] = {}
    samples = 0
    with path.open(encoding="utf-8") as stream:
        for line in filter(str.strip, stream):
            samples += 1
            row = json.loads(line)
            for key, value in _cells(row):
                types[str(key)] = _wider(types.get(str(key), ""), _json_type(value))
    counts = Counter(name or "string" for name in types.values())
    return {"samples": samples, "features": len(types), "types": dict(counts)}


def _cells(row: Any) -> Iterable[tuple[object, object]]:
    if isinstance(row, dict):
        return row.items()
    return enumerate(row if isinstance(row, list) else [row])


def _json_type(value: object) -> str:
    if value is None:
        return ""
    return {bool: "bool", int: "int64", float: "float64"}.get(type(value), "string")


def _npy(path: Path) -> dict[str, Any]:
    import numpy as np  # noqa: PLC0415 (optional)

    array = np.load(path, mmap_mode="r", allow_pickle=False)
    return _array(array.shape, str(array.dtype))


def _npz(path: Path) -> dict[str, Any]:
    import numpy as np  # noqa: PLC0415 (optional)

    with np.load(path, allow_pickle=False) as arrays:
        shapes = {name: (arrays[name].shape, str(arrays[name].dtype)) for name in arrays.files}
        if not shapes:
            return {}
        # The samples are the array with the most values; the classes are the different labels, where one is named so.
        shape, dtype = max(shapes.values(), key=lambda entry: _product(entry[0]))
        labels = next((name for name in _LABELS if name in shapes), None)
        found = _array(shape, dtype)
        if labels is not None and len(shapes) > 1:
            found["classes"] = len(np.unique(arrays[labels]))
        return found


def _array(shape: tuple[int, ...], dtype: str) -> dict[str, Any]:
    samples, features = (shape[0] if shape else 1), _product(shape[1:])
    found: dict[str, Any] = {"samples": samples, "features": features, "types": {dtype: features}}
    if len(shape) >= _IMAGE_DIMENSIONS:
        found |= {"kind": DataKind.IMAGES, "normalised": dtype.startswith("float")}
    return found


def _product(values: tuple[int, ...]) -> int:
    product = 1
    for value in values:
        product *= value
    return product


def _parquet(path: Path) -> dict[str, Any]:
    from pyarrow import ArrowInvalid, parquet  # noqa: PLC0415 (optional)

    try:
        file = parquet.ParquetFile(path)
    except ArrowInvalid as error:
        raise ValueError(str(error)) from error
    with file:
        schema = file.schema_arrow
        types = Counter(_ARROW_NAMES.get(str(field.type), str(field.type)) for field in schema)
        return {"samples": file.metadata.num_rows, "features": len(schema), "types": dict(types)}


_ARROW_NAMES: Final = {
    "double": "float64", "float": "float32", "halffloat": "float16", "large_string": "string"
}  # fmt: skip


def _folder(path: Path) -> dict[str, Any]:
    images = [file for file in path.rglob("*") if file.suffix.lower() in IMAGE_SUFFIXES and file.is_file()]
    if not images:
        return {}
    # One folder per class is the custom; images beside the folders mean that the folders are something else.
    parents = {file.relative_to(path).parts[0] for file in images if file.parent != path}
    in_folders = all(file.parent != path for file in images)
    return {
        "kind": DataKind.IMAGES,
        "samples": len(images),
        "classes": len(parents) if in_folders else None,
        "normalised": False,
    }


_READERS: Final[Mapping[str, Callable[[Path], dict[str, Any]]]] = {
    ".csv": lambda path: _delimited(path, ","),
    ".tsv": lambda path: _delimited(path, "\t"),
    ".jsonl": _json_lines,
    ".ndjson": _json_lines,
    ".npy": _npy,
    ".npz": _npz,
    ".parquet": _parquet,
}
