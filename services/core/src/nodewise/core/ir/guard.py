"""What is checked before anything else looks at a document: that it is plain, finite JSON of a bounded size.

Everything after this may walk the document without fear: of recursion, of NaN, of text that Postgres cannot store.
"""

import math
from collections.abc import Iterator
from decimal import Decimal
from typing import Final

from nodewise.core.errors import InvalidPipeline

MAX_DEPTH: Final = 64
MAX_VALUES: Final = 500_000
_MAX_KEY_SHOWN: Final = 80
_LARGEST_INTEGER: Final = 2**63 - 1

Trail = tuple["Trail | None", str]
"""A path as a linked list: shared between siblings, made into text only for an error (`place`)."""


def at(path: str, key: str | int) -> str:
    """The path of a child: `a.b` for a name, `a[3]` for an index. A monstrous key is shortened."""
    if isinstance(key, int):
        return f"{path}[{key}]"
    shown = key if len(key) <= _MAX_KEY_SHOWN else f"{key[:_MAX_KEY_SHOWN]}..."
    shown = shown.encode("utf-8", "replace").decode() or "''"
    return f"{path}.{shown}" if path else shown


def check_json(document: object, *, root: str = "") -> None:
    """Refuse what is not plain JSON, or too deep, or too large. Iterative, O(values).

    Args:
        document: anything at all.
        root: the path of the document itself.

    Raises:
        InvalidPipeline: names the first offending place that is found.
    """
    seen = 0
    for value, trail, depth in parts(document):
        seen += 1 if not isinstance(value, dict | list) else 1 + len(value)
        rule = _broken_rule(value, depth, seen)
        if rule is not None:
            raise InvalidPipeline(place(root, trail) or "pipeline_spec", rule)


def parts(document: object) -> Iterator[tuple[object, Trail | None, int]]:
    """Every value in a document, however deep, with its way and its depth (0: the document itself).

    Whoever stops iterating at a value never gets what is in it: a document in itself has no end.
    """
    pending: list[tuple[object, Trail | None, int]] = [(document, None, 0)]
    while pending:
        value, trail, depth = pending.pop()
        yield value, trail, depth
        pending.extend((child, (trail, key), depth + 1) for key, child in _children(value))


def place(root: str, trail: Trail | None) -> str:
    """A way as text: a path that begins with `root`."""
    keys: list[str] = []
    while trail is not None:
        trail, key = trail
        keys.append(key)
    path = root
    for key in reversed(keys):
        path = f"{path}{key}" if key.startswith("[") else at(path, key)
    return path


def _children(value: object) -> Iterator[tuple[str, object]]:
    if isinstance(value, dict):
        yield from value.items()
    if isinstance(value, list):
        for index, child in enumerate(value):
            yield f"[{index}]", child


def _broken_rule(value: object, depth: int, seen: int) -> str | None:
    if depth > MAX_DEPTH:
        return f"is nested more than {MAX_DEPTH} levels deep"
    if seen > MAX_VALUES:
        return f"the document has more than {MAX_VALUES} values"
    if isinstance(value, dict):
        return next((rule for key in value if (rule := _broken_key(key))), None)
    return _broken_scalar(value)


def _broken_key(key: object) -> str | None:
    return _broken_text(key) if isinstance(key, str) else "has a key that is not text"


def _broken_scalar(value: object) -> str | None:
    if value is None or isinstance(value, bool | list):
        return None
    if isinstance(value, str):
        return _broken_text(value)
    if isinstance(value, int):
        return None if _is_storable(value) else "is an integer of more than 64 bits"
    if isinstance(value, float):
        return None if math.isfinite(value) else "is not a finite number"
    return f"is a {type(value).__name__}, which JSON does not have"


def _is_storable(value: int) -> bool:
    """At most 64 bits, or a whole double: Postgres gives 1e23 back as the digits 1, and 23 times 0, which no double is."""
    if abs(value) <= _LARGEST_INTEGER:
        return True
    try:
        double = float(value)
        return value in (int(double), int(Decimal(repr(double))))
    except OverflowError:
        return False


def _broken_text(text: str) -> str | None:
    if "\0" in text:
        return "has a NUL character"
    try:
        text.encode()
    except UnicodeEncodeError:
        return "has a lone surrogate, which is not Unicode text"
    return None
