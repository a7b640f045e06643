"""Placeholders inside constants: what KFP's compiler makes of an f-string over parameters and outputs.

`{{$.inputs.parameters['x']}}` refers to another input of the same task. A value is put in once and never looked at
again, so text that comes from a user or a task is not expanded.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Final

_INPUT: Final = re.compile(r"\{\{\$\.inputs\.parameters\[(?:'([^'\]]*)'|\"([^\"\]]*)\")\]\}\}")
_ANY: Final = "{{$"


def references(constant: object) -> set[str]:
    """The names of the task's own inputs that a constant refers to."""
    return {m.group(1) or m.group(2) or "" for text in _texts(constant) for m in _INPUT.finditer(text)}


def has_other_placeholder(constant: object) -> bool:
    """Whether it holds a placeholder that is not a reference to an input parameter."""
    return any(_ANY in _INPUT.sub("", text) for text in _texts(constant))


def expand(constant: object, values: Mapping[str, object]) -> object:
    """The constant with every reference replaced.

    In the midst of text a value becomes text as KFP writes it (JSON for what is not a string). An element of a list
    or an object that is nothing but a reference becomes the value itself, with its type.
    """
    if isinstance(constant, str):
        return _expand_text(constant, values)
    return _map_texts(constant, lambda text: _expand_element(text, values))


def as_text(value: object) -> str:
    """A value as KFP passes it to a STRING input: text as it is, everything else as JSON."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _expand_element(text: str, values: Mapping[str, object]) -> object:
    whole = _INPUT.fullmatch(text)
    return values.get(_name(whole)) if whole else _expand_text(text, values)


def _expand_text(text: str, values: Mapping[str, object]) -> str:
    return _INPUT.sub(lambda match: as_text(values.get(_name(match))), text)


def _name(match: re.Match[str]) -> str:
    return match.group(1) or match.group(2) or ""


def _map_texts(value: object, change: Callable[[str], object]) -> object:
    if isinstance(value, str):
        return change(value)
    if isinstance(value, list):
        return [_map_texts(item, change) for item in value]
    if isinstance(value, dict):
        return {key: _map_texts(item, change) for key, item in value.items()}
    return value


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    if isinstance(value, list):
        for item in value:
            yield from _texts(item)
    if isinstance(value, dict):
        for item in value.values():
            yield from _texts(item)
