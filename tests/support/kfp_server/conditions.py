"""The conditions that KFP's compiler writes, read by a small grammar: `int(inputs.parameter_values['x']) > 2 && !(...)`."""

import re
from collections.abc import Callable, Mapping
from typing import Any

_TOKEN = re.compile(
    r"\s*(?:(?P<number>-?\d+(?:\.\d+)?)|(?P<text>'[^']*'|\"[^\"]*\")|"
    r"(?P<word>inputs\.parameter_values|[a-z]+)|(?P<mark>&&|\|\||[=!<>]=|[<>!()\[\]]))"
)
_COMPARE: Mapping[str, Callable[[Any, Any], bool]] = {
    "==": lambda a, b: a == b,
    "!=": lambda a, b: a != b,
    "<": lambda a, b: a < b,
    "<=": lambda a, b: a <= b,
    ">": lambda a, b: a > b,
    ">=": lambda a, b: a >= b,
}


def holds(text: str, values: Mapping[str, Any]) -> bool:
    """Whether the condition holds; ValueError for what is not in the grammar."""
    reader = _Reader(text, values)
    found = reader.either()
    if reader.left:
        raise ValueError(f"cannot read {text!r} from {reader.left[0]!r}")
    return bool(found)


class _Reader:
    def __init__(self, text: str, values: Mapping[str, Any]) -> None:
        self.left: list[str] = []
        self._values = values
        position = 0
        while text[position:].strip():
            match = _TOKEN.match(text, position)
            if match is None:
                raise ValueError(f"cannot read {text[position:]!r}")
            self.left.append(match.group().strip())
            position = match.end()

    def either(self) -> Any:
        found = self._both()
        while self._next("||"):
            other = self._both()
            found = bool(found) or bool(other)
        return found

    def _both(self) -> Any:
        found = self._not()
        while self._next("&&"):
            other = self._not()
            found = bool(found) and bool(other)
        return found

    def _not(self) -> Any:
        return not self._not() if self._next("!") else self._comparison()

    def _comparison(self) -> Any:
        found = self._value()
        if self.left and self.left[0] in _COMPARE:
            return _COMPARE[self.left.pop(0)](found, self._value())
        return found

    def _value(self) -> Any:
        token = self.left.pop(0)
        if token == "(":
            return self._closed(self.either())
        if token in {"int", "double", "string"}:
            assert self._next("(")
            cast = {"int": int, "double": float, "string": str}[token]
            return self._closed(cast(self.either()))
        if token == "inputs.parameter_values":
            assert self._next("[")
            name = self.left.pop(0)[1:-1]
            assert self._next("]")
            return self._values[name]
        if token in {"true", "false"}:
            return token == "true"
        return token[1:-1] if token[0] in "'\"" else float(token)

    def _closed(self, value: Any) -> Any:
        if not self._next(")"):
            raise ValueError("a bracket is not closed")
        return value

    def _next(self, mark: str) -> bool:
        if self.left and self.left[0] == mark:
            del self.left[0]
            return True
        return False
