"""Values to JSON and back, through pydantic: for rows, messages and files."""

from collections.abc import Hashable
from functools import cache
from typing import Any, TypeVar, cast

from pydantic import TypeAdapter

T = TypeVar("T")


@cache
def _adapter(kind: Hashable) -> TypeAdapter[Any]:
    return TypeAdapter(cast("Any", kind))


def encode(value: object) -> Any:
    """The value as plain JSON types (enums as text, durations as ISO 8601, times as RFC 3339)."""
    return _adapter(cast("Hashable", type(value))).dump_python(value, mode="json")


def decode(kind: type[T], raw: object) -> T:
    """The value that `encode` wrote.

    Raises:
        pydantic.ValidationError: `raw` does not describe a `kind`.
    """
    return cast("T", _adapter(cast("Hashable", kind)).validate_python(raw))


def encode_json(value: object) -> bytes:
    """What `encode` gives, as JSON text on one line. The same value gives the same text: fields stand in their order."""
    return _adapter(cast("Hashable", type(value))).dump_json(value)


def decode_json(kind: type[T], raw: bytes) -> T:
    """The value that `encode_json` wrote.

    Raises:
        pydantic.ValidationError: `raw` is no JSON, or does not describe a `kind`.
    """
    return cast("T", _adapter(cast("Hashable", kind)).validate_json(raw))
