"""Parameter values and their types."""

import json
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final, cast

from nodewise.core.model.component import ValueKind

_LARGEST_INTEGER: Final = 2**63 - 1


def _integer(value: object) -> object:
    whole = isinstance(value, int) or (isinstance(value, float) and value.is_integer())
    if isinstance(value, bool) or not whole:
        raise ValueError("must be a whole number")
    number = int(cast("int | float", value))
    if abs(number) > _LARGEST_INTEGER:
        raise ValueError("must be a whole number of at most 64 bits")
    return number


def _double(value: object) -> object:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError("must be a number")  # noqa: TRY004 (one error type for every broken rule)
    return float(value)


def _instance(kind: type, name: str) -> Callable[[object], object]:
    def check(value: object) -> object:
        if not isinstance(value, kind):
            raise ValueError(f"must be {name}")  # noqa: TRY004 (one error type for every broken rule)
        return value

    return check


_COERCE: Final[Mapping[ValueKind, Callable[[object], object]]] = MappingProxyType(
    {
        ValueKind.STRING: _instance(str, "text"),
        ValueKind.NUMBER_INTEGER: _integer,
        ValueKind.NUMBER_DOUBLE: _double,
        ValueKind.BOOLEAN: _instance(bool, "true or false"),
        ValueKind.LIST: _instance(list, "a list"),
        ValueKind.STRUCT: _instance(dict, "an object"),
        ValueKind.TASK_FINAL_STATUS: _instance(dict, "an object"),
        ValueKind.TASK_CONFIG: _instance(dict, "an object"),
    }
)


def coerce(value: object, kind: ValueKind) -> object:
    """The value as that type: 3.0 becomes 3 for an integer, 3 becomes 3.0 for a double. Nothing else is converted.

    Raises:
        ValueError: another type; the text is a rule ("must be a whole number").
    """
    return _COERCE[kind](value)


def whole_numbers(value: object) -> object:
    """Integral doubles inside a list or an object as ints, since protobuf has lost which ones were.

    KFP's back end writes 1 for 1.0 too, so a component sees the same there. The value has passed `check_json`.
    """
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, list):
        return [whole_numbers(item) for item in value]
    if isinstance(value, dict):
        return {key: whole_numbers(item) for key, item in value.items()}
    return value


def as_text(value: object) -> str:
    """A value as KFP passes it to a STRING input: text as it is, everything else as JSON."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
