"""A strict reader of free JSON objects: every field is taken by name and type, and what is left over is refused."""

from collections.abc import Mapping
from typing import Any

from nodewise.core.errors import InvalidPipeline
from nodewise.core.ir.guard import at
from nodewise.core.ir.parameters import whole_numbers

_LARGEST_COUNT = 2**53


class Fields:
    """One JSON object under a path. Take what is known, then call `done`.

    Each method returns None (or the empty value) for a field that is absent or null, and raises `InvalidPipeline`
    with the field's path for one of another type.
    """

    def __init__(self, value: object, path: str) -> None:
        if not isinstance(value, dict):
            raise InvalidPipeline(path, "must be an object")
        self.path = path
        self._left: dict[str, Any] = dict(value)
        self._taken: list[str] = []

    def __bool__(self) -> bool:
        return bool(self._left)

    def names(self) -> tuple[str, ...]:
        """What nobody has taken yet."""
        return tuple(self._left)

    def take(self, name: str) -> Any:
        self._taken.append(name)
        return self._left.pop(name, None)

    def text(self, name: str, *, longest: int = 200) -> str | None:
        value = self.take(name)
        if value is not None and (not isinstance(value, str) or not 0 < len(value) <= longest):
            raise InvalidPipeline(at(self.path, name), f"must be text of 1 to {longest} characters")
        return value

    def flag(self, name: str) -> bool | None:
        value = self.take(name)
        if value is not None and not isinstance(value, bool):
            raise InvalidPipeline(at(self.path, name), "must be true or false")
        return value

    def count(self, name: str, *, least: int = 0, most: int = _LARGEST_COUNT) -> int | None:
        value = whole_numbers(self.take(name))
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            raise InvalidPipeline(at(self.path, name), f"must be a whole number from {least} to {most}")
        return value

    def seconds(self, name: str, *, most: float) -> float | None:
        value = self.take(name)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= most:
            raise InvalidPipeline(at(self.path, name), f"must be a number of seconds, up to {most:.0f}")
        return float(value)

    def texts(self, name: str) -> tuple[str, ...]:
        value = self.take(name)
        if value is None:
            return ()
        if not isinstance(value, list) or not all(isinstance(item, str) and item for item in value):
            raise InvalidPipeline(at(self.path, name), "must be a list of texts")
        return tuple(value)

    def labels(self, name: str) -> Mapping[str, str]:
        value = self.take(name) or {}
        if not isinstance(value, dict) or not all(isinstance(item, str) for item in value.values()):
            raise InvalidPipeline(at(self.path, name), "must be an object of texts")
        return value

    def group(self, name: str) -> "Fields":
        """The object under that name; an empty one where there is none."""
        value = self.take(name)
        return Fields({} if value is None else value, at(self.path, name))

    def done(self) -> None:
        """Refuse any field that nobody took."""
        for name in self._left:
            known = ", ".join(sorted(self._taken))
            raise InvalidPipeline(at(self.path, name), f"unknown field; known: {known}")
