"""JSON bodies, read strictly: what passes here can be stored in Postgres and written as JSON again."""

import json
import math

from fastapi import Request

from nodewise.api.problems import Problem, invalid
from nodewise.core.ir.guard import MAX_VALUES, parts, place

MAX_DEPTH = 64
"""Levels of nesting. KFP's IR stays under 20: its DAGs refer to components by name instead of nesting them."""

_TOO_MANY = f"the body must not have more than {MAX_VALUES} values"
_TOO_DEEP = f"must not be nested deeper than {MAX_DEPTH} levels"


async def json_bytes(request: Request) -> bytes:
    """The body of a request that says it is JSON.

    Raises:
        Problem: 415, another content type.
    """
    media_type = request.headers.get("content-type", "").split(";")[0].strip().lower()
    if media_type != "application/json":
        said = f"not {media_type!r}" if media_type else "and the request names none"
        raise Problem(
            status=415,
            kind="unsupported-media-type",
            detail=f"the content type must be application/json, {said}",
        )
    return await request.body()


def parse_object(raw: bytes) -> dict[str, object]:
    """The JSON object in a body.

    Raises:
        Problem: 400, not JSON (RFC 8259: no NaN, no Infinity). 422, not an object, nested too deep, a number beyond
            the range of doubles, or text that cannot be stored (NUL, a lone surrogate); names the place.
    """
    value = _parse(raw)
    for number, (part, trail, depth) in enumerate(parts(value)):
        rule = _TOO_MANY if number >= MAX_VALUES else _broken_rule(part, depth)
        if rule is not None:
            raise invalid(place("body", trail), rule)
    if not isinstance(value, dict):
        raise invalid("body", f"must be a JSON object, got {type(value).__name__}")
    return value


def _parse(raw: bytes) -> object:
    try:
        return json.loads(raw.decode("utf-8"), parse_constant=_no_constant, parse_float=_finite)
    except RecursionError as error:
        raise invalid("body", _TOO_DEEP) from error
    except ValueError as error:
        detail = f"the body is not JSON: {str(error)[:200]}"
        raise Problem(status=400, kind="malformed-json", detail=detail) from error


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is not a JSON number")


def _finite(digits: str) -> float:
    value = float(digits)
    if not math.isfinite(value):
        raise ValueError(f"the number {digits[:40]} is too large")
    return value


def _broken_rule(value: object, depth: int) -> str | None:
    if depth >= MAX_DEPTH and isinstance(value, dict | list):
        return _TOO_DEEP
    texts = value if isinstance(value, dict) else (value,)
    storable = all("\0" not in text and _encodable(text) for text in texts if isinstance(text, str))
    return None if storable else "text must not contain NUL characters or lone surrogates"


def _encodable(text: str) -> bool:
    if text.isascii():
        return True
    return not any("\ud800" <= character <= "\udfff" for character in text)
