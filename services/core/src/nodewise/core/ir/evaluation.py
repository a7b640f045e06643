"""What an expression comes to, given the task's inputs. Types are kept apart as in CEL: `true` is not 1, '1' is not 1."""

import json
import math
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final, cast

from nodewise.core.ir.expressions import (
    Both,
    Call,
    Either,
    Expression,
    Input,
    Item,
    Literal,
    Negative,
    Not,
    Relation,
)
from nodewise.core.ir.parameters import as_text

_NUMBER: Final = (int, float)
_KINDS: Final[tuple[tuple[type | tuple[type, ...], str], ...]] = (
    (bool, "boolean"),
    (_NUMBER, "number"),
    (str, "text"),
    (list, "a list"),
    (dict, "an object"),
)
"""In this order: to Python, true and false are numbers too."""
_ORDERED: Final[Mapping[str, Callable[[float, float], bool]]] = MappingProxyType(
    {
        "<": lambda left, right: left < right,
        "<=": lambda left, right: left <= right,
        ">": lambda left, right: left > right,
        ">=": lambda left, right: left >= right,
    }
)


class ExpressionFailed(ValueError):
    """The expression has no value for these inputs; the text says why."""


def holds(condition: Expression, inputs: Mapping[str, object]) -> bool:
    """Whether a condition is met.

    Raises:
        ExpressionFailed: it has no value, or one that is not true or false.
    """
    return _truth(_value(condition, inputs, None))


def select(selector: Expression, value: object) -> object:
    """The part of a value that a selector takes.

    Raises:
        ExpressionFailed: the value has no such part.
    """
    return _value(selector, {}, value)


def _value(node: Expression, inputs: Mapping[str, object], whole: object) -> object:
    if isinstance(node, Literal):
        return node.value
    if isinstance(node, Input):
        if node.name not in inputs:
            raise ExpressionFailed(f"the input {node.name!r} has no value")
        return inputs[node.name]
    if isinstance(node, Both | Either):
        return _connected(node, inputs, whole)
    if isinstance(node, Relation):
        return _related(node.sign, _value(node.left, inputs, whole), _value(node.right, inputs, whole))
    return _derived(node, inputs, whole)


def _derived(node: Expression, inputs: Mapping[str, object], whole: object) -> object:
    if isinstance(node, Not):
        return not _truth(_value(node.of, inputs, whole))
    if isinstance(node, Negative):
        return -_number(_value(node.of, inputs, whole))
    if isinstance(node, Item):
        return _item(_value(node.of, inputs, whole), _value(node.key, inputs, whole))
    if isinstance(node, Call):
        return _FUNCTIONS[node.function](_value(node.argument, inputs, whole))
    return _Text(whole)


class _Text:
    """`string_value`: text only where text is asked for, since parsing it again would give the value."""

    def __init__(self, value: object) -> None:
        self.value = value


def _connected(node: Both | Either, inputs: Mapping[str, object], whole: object) -> bool:
    """As in CEL, one term that decides makes up for others that fail."""
    deciding = isinstance(node, Either)
    failure: ExpressionFailed | None = None
    for term in node.terms:
        try:
            if _truth(_value(term, inputs, whole)) is deciding:
                return deciding
        except ExpressionFailed as error:
            failure = failure or error
    if failure is not None:
        raise failure
    return not deciding


def _related(sign: str, left: object, right: object) -> bool:
    left, right = _plain(left), _plain(right)
    if sign in ("==", "!="):
        return _same(left, right) is (sign == "==")
    if kind_of(left) != kind_of(right) or kind_of(left) not in ("number", "text", "boolean"):
        raise ExpressionFailed(f"cannot compare {kind_of(left)} {sign} {kind_of(right)}")
    return _ORDERED[sign](cast("float", left), cast("float", right))


def _same(left: object, right: object) -> bool:
    if kind_of(left) != kind_of(right):
        return False
    if isinstance(left, list | dict):
        return json.dumps(left, sort_keys=True) == json.dumps(right, sort_keys=True)
    return left == right


def _item(of: object, key: object) -> object:
    of, key = _plain(of), _plain(key)
    if isinstance(of, dict) and isinstance(key, str):
        if key not in of:
            raise ExpressionFailed(f"there is no field {key[:80]!r}")
        return of[key]
    if isinstance(of, list) and isinstance(key, int) and not isinstance(key, bool):
        if not 0 <= key < len(of):
            raise ExpressionFailed(f"there is no item {key}; there are {len(of)}")
        return of[key]
    raise ExpressionFailed(f"{kind_of(of)} has no item {str(key)[:80]!r}")


def _int(value: object) -> int:
    value = _plain(value)
    try:
        if isinstance(value, str) or (isinstance(value, _NUMBER) and not isinstance(value, bool)):
            return int(value)
    except (ValueError, OverflowError) as error:
        raise ExpressionFailed(f"int() of {as_text(value)[:80]!r} is no whole number") from error
    raise ExpressionFailed(f"int() of {kind_of(value)} is no whole number")


def _double(value: object) -> float:
    value = _plain(value)
    try:
        if isinstance(value, str) or (isinstance(value, _NUMBER) and not isinstance(value, bool)):
            number = float(value)
            if math.isnan(number):
                raise ExpressionFailed("double() is no number")
            return number
    except (ValueError, OverflowError) as error:
        raise ExpressionFailed(f"double() of {as_text(value)[:80]!r} is no number") from error
    raise ExpressionFailed(f"double() of {kind_of(value)} is no number")


def _parsed(value: object) -> object:
    if isinstance(value, _Text):
        value = value.value
        if not isinstance(value, str):
            return value
    if not isinstance(value, str):
        raise ExpressionFailed(f"parseJson() of {kind_of(value)}")
    try:
        return json.loads(value)
    except (ValueError, RecursionError) as error:
        raise ExpressionFailed(f"{value[:80]!r} is not JSON") from error


_FUNCTIONS: Final[Mapping[str, Callable[[object], object]]] = MappingProxyType(
    {
        "int": _int,
        "double": _double,
        "string": lambda value: as_text(_plain(value)),
        "parseJson": _parsed,
    }
)


def _truth(value: object) -> bool:
    if not isinstance(value, bool):
        raise ExpressionFailed(f"{kind_of(_plain(value))} is neither true nor false")
    return value


def _number(value: object) -> int | float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ExpressionFailed(f"{kind_of(_plain(value))} has no negative")
    return value


def _plain(value: object) -> object:
    return as_text(value.value) if isinstance(value, _Text) else value


def kind_of(value: object) -> str:
    """What kind of value that is, in a word: only those of one kind can be compared."""
    if value is None:
        return "null"
    for kinds, name in _KINDS:
        if isinstance(value, kinds):
            return name
    return "an unknown value"
