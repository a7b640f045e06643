"""Memory that a task needs, from its data set: measured where it is registered, else by the seed system's rule."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from nodewise.core.model.resources import Resources
from nodewise.core.model.task import DataKind, DatasetFacts, TaskSpec

_MIB: Final = 1024 * 1024

ITEM_BYTES: Final[Mapping[str, int]] = MappingProxyType(
    {
        "bool": 1, "int8": 1, "uint8": 1, "int16": 2, "uint16": 2, "float16": 2, "int32": 4, "uint32": 4, "float32": 4,
        "int": 8, "integer": 8, "int64": 8, "uint64": 8, "float": 8, "float64": 8, "complex64": 8, "datetime64": 8,
        "datetime": 8, "complex128": 16, "string": 64, "str": 64, "object": 64, "category": 4,
    }
)  # fmt: skip
"""Bytes of one item by type name (NumPy and pandas names). Text is counted as 64 bytes: a Python string of 15 letters."""

_DEFAULT_ITEM_BYTES: Final = 8
_NOT_NORMALISED_FACTOR: Final = 8
"""Image bytes become float64 when they are normalised: one byte per value on disk, eight in memory (the seed's rule)."""
_ROOM_FACTOR: Final = 2
"""Room for the data set twice: the original and what is made of it (the seed's rule)."""


def dataset_bytes(facts: DatasetFacts) -> int | None:
    """Bytes of the data set in memory; None when nothing is known.

    Tabular: samples x sum of item sizes over features, or the size on disk where counts are unknown.
    Images: size on disk, x 8 when not yet normalised.
    """
    if facts.kind is DataKind.IMAGES:
        if facts.size_bytes is None:
            return _tabular_bytes(facts)
        return facts.size_bytes * (1 if facts.normalised else _NOT_NORMALISED_FACTOR)
    tabular = _tabular_bytes(facts)
    if tabular is None or (facts.measured and facts.size_bytes is not None):
        known = [size for size in (tabular, facts.size_bytes) if size is not None]
        return max(known, default=None)
    return tabular


def _tabular_bytes(facts: DatasetFacts) -> int | None:
    if facts.samples is None:
        return None
    if facts.types:
        row = sum(count * ITEM_BYTES.get(name, _DEFAULT_ITEM_BYTES) for name, count in facts.types.items())
        return facts.samples * row
    if facts.features is None:
        return None
    return facts.samples * facts.features * _DEFAULT_ITEM_BYTES


def room_mib(facts: DatasetFacts) -> int:
    """The memory that a task needs for a data set: twice its size; 0 when nothing is known."""
    size = dataset_bytes(facts)
    return 0 if size is None else -(-_ROOM_FACTOR * size // _MIB)


def effective_resources(spec: TaskSpec) -> Resources:
    """What is booked for a task: its request, with memory raised to room for twice its data set."""
    room = room_mib(spec.dataset) if spec.dataset else 0
    return Resources(
        millicores=spec.resources.millicores,
        memory_mib=max(spec.resources.memory_mib, room),
        gpus=spec.resources.gpus,
    )
