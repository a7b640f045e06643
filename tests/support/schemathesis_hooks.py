"""Loaded by schemathesis, in its own environment."""

import uuid
from typing import Any

import schemathesis

_KEY = "Idempotency-Key"


@schemathesis.hook
def before_call(context: Any, case: Any, kwargs: dict[str, Any]) -> None:
    """Give each request a valid key of its own: two that share one make one resource, and deleting it twice is no fault of ours."""
    key = (case.headers or {}).get(_KEY)
    if (
        isinstance(key, str)
        and 0 < len(key) <= 200
        and key.isascii()
        and key.isprintable()
        and " " not in key
    ):
        case.headers[_KEY] = uuid.uuid4().hex
