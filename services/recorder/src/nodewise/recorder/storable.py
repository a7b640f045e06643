"""What agents report, made fit for Postgres: one strange character must not stop the record of a whole node."""

import math
from typing import Final

_MESSAGE_LIMIT: Final = 4000
"""Characters of an error message that are kept; the log has the rest."""


def storable_text(text: str, limit: int = _MESSAGE_LIMIT) -> str:
    """The text without what Postgres refuses (NUL, lone surrogates), cut in the middle when it is too long."""
    clean = text.replace("\x00", "").encode("utf-8", "replace").decode("utf-8")
    if len(clean) <= limit:
        return clean
    half = (limit - 5) // 2
    return f"{clean[:half]} ... {clean[-half:]}"


def storable(value: object) -> object:
    """The JSON value without what `jsonb` refuses; a float that JSON does not know becomes its name (`"NaN"`)."""
    if isinstance(value, str):
        return storable_text(value, limit=len(value) + 5)
    if isinstance(value, float) and not math.isfinite(value):
        return {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}[str(value)]
    if isinstance(value, dict):
        return {str(storable(str(key))): storable(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [storable(item) for item in value]
    return value
