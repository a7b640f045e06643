"""Typed reading of JSON values: every refusal names the place and the rule. Places are built only when needed."""

from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import Any, Final

from nodewise.simulator.errors import InvalidProblem

LARGEST: Final = 1e12
"""No number of a problem may be larger."""

LONGEST: Final = 1e9
"""No time may be: 31 years. A thousand times as much has no date."""

SLOWEST: Final = 1e-6
"""MiB per second: no link may be slower."""


def mapping(value: Any, place: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise InvalidProblem(place, f"must be an object, is {shown(value)}")
    return value


def sequence(value: Any, place: str) -> Sequence[Any]:
    if not isinstance(value, list):
        raise InvalidProblem(place, f"must be a list, is {shown(value)}")
    return value


def known_keys(value: Mapping[str, Any], known: frozenset[str], place: str) -> None:
    """Refuse a key that looks like a known one misspelt; other unknown keys are nobody's business."""
    if value.keys() <= known:
        return
    for key in sorted(value.keys() - known):
        if close := get_close_matches(key, known - value.keys(), n=1, cutoff=0.75):
            raise InvalidProblem(place, f"unknown key {key!r}, is {close[0]!r} meant?")


def required(value: Mapping[str, Any], key: str, place: str) -> Any:
    try:
        return value[key]
    except KeyError:
        raise InvalidProblem(place, f"key {key!r} is missing") from None


def text(value: Any, place: str) -> str:
    if not isinstance(value, str) or not value:
        raise InvalidProblem(place, f"must be a text that is not empty, is {shown(value)}")
    if not value.isascii() and any("\ud800" <= character <= "\udfff" for character in value):
        raise InvalidProblem(place, f"must be valid Unicode: {shown(value)} has a lone surrogate")
    return value


def number(value: Any, place: str, *, least: float = 0, most: float = LARGEST) -> float:
    """Finite, not negative."""
    if type(value) not in (int, float) or not least <= value <= most:
        raise InvalidProblem(place, f"must be a number from {least:g} to {most:g}, is {shown(value)}")
    return float(value)


def seconds(value: Any, place: str) -> float:
    """A time or a duration."""
    return number(value, place, most=LONGEST)


def rate(value: Any, place: str) -> float:
    """MiB per second."""
    return number(value, place, least=SLOWEST)


def optional_seconds(value: Any, place: str) -> float | None:
    return None if value is None else seconds(value, place)


def count(value: Any, place: str) -> int:
    """A whole number, not negative; 4.0 is one."""
    found = number(value, place)
    if found != int(found):
        raise InvalidProblem(place, f"must be a whole number, is {shown(value)}")
    return int(found)


def whole(value: Any, place: str) -> int:
    """A whole number of either sign."""
    if type(value) is not int or not -LARGEST <= value <= LARGEST:
        raise InvalidProblem(place, f"must be a whole number, is {shown(value)}")
    return value


def shown(value: Any) -> str:
    """A value for a message: short, on one line."""
    kinds = {dict: "an object", list: "a list", type(None): "null", bool: str(value).lower()}
    return kinds.get(type(value)) or (repr(value[:40]) if isinstance(value, str) else str(value)[:24])
