"""Values that stand in a text as they are: literals, names of literals, and texts joined from both. Nothing else is worked out."""

import ast
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

MAX_WEIGHT: Final = 200_000
"""Characters and items of one value: names in names could double it on every line."""

Lookup = Callable[[str], "Literal | None"]


class NotLiteral(Exception):
    """An expression that would have to be run. `str()` says why; `node` is the part that is to blame."""

    def __init__(self, node: ast.AST, why: str) -> None:
        self.node = node
        super().__init__(why)


@dataclass(frozen=True, slots=True)
class Literal:
    """A plain value: None, bool, int, float, str, list or dict of them. `weight` bounds what it would take as JSON."""

    value: object
    weight: int


def literal(node: ast.expr, lookup: Lookup) -> Literal:
    """The value of an expression.

    Args:
        node: the expression, at most `MAX_DEPTH` deep.
        lookup: the literal that a name stands for; None: it stands for none.

    Raises:
        NotLiteral: it is computed, of a type that JSON does not have, or too large.
    """
    made = _literal(node, lookup)
    if made.weight > MAX_WEIGHT:
        raise NotLiteral(node, f"the value has more than {MAX_WEIGHT} characters or items")
    return made


def _literal(node: ast.expr, lookup: Lookup) -> Literal:
    if isinstance(node, ast.Name):
        return _named(node, lookup)
    if isinstance(node, ast.List | ast.Tuple):
        items = [literal(item, lookup) for item in node.elts]
        return Literal([item.value for item in items], _weight(items))
    if isinstance(node, ast.Dict):
        return _dict(node, lookup)
    if isinstance(node, ast.JoinedStr):
        return _joined(node, [_piece(part, lookup) for part in node.values])
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        return _joined(node, [literal(node.left, lookup), literal(node.right, lookup)])
    return _constant(node)


def _named(node: ast.Name, lookup: Lookup) -> Literal:
    found = lookup(node.id)
    if found is None:
        raise NotLiteral(node, f"{node.id!r} is not a literal value")
    return found


def _dict(node: ast.Dict, lookup: Lookup) -> Literal:
    items: dict[str, object] = {}
    weights: list[Literal] = []
    for key, value in zip(node.keys, node.values, strict=True):
        if key is None:
            raise NotLiteral(value, "`**` in a dict is computed")
        name, item = literal(key, lookup), literal(value, lookup)
        if not isinstance(name.value, str):
            raise NotLiteral(key, "a key must be text")
        items[name.value] = item.value
        weights += (name, item)
    return Literal(items, _weight(weights))


def _piece(part: ast.expr, lookup: Lookup) -> Literal:
    if not isinstance(part, ast.FormattedValue):
        return literal(part, lookup)
    if part.conversion != -1 or part.format_spec is not None:
        raise NotLiteral(part, "formatting in an f-string is computed")
    found = literal(part.value, lookup)
    if isinstance(found.value, bool) or not isinstance(found.value, str | int):
        raise NotLiteral(part, "only texts and whole numbers are put into an f-string")
    return Literal(str(found.value), found.weight) if abs(_number(found.value)) < 10**18 else found


def _number(value: str | int) -> int:
    return value if isinstance(value, int) else 0


def _joined(node: ast.expr, parts: Sequence[Literal]) -> Literal:
    texts = [part.value for part in parts if isinstance(part.value, str)]
    if len(texts) < len(parts):
        raise NotLiteral(node, "it is computed")
    weight = _weight(parts)
    if weight > MAX_WEIGHT:
        raise NotLiteral(node, f"the value has more than {MAX_WEIGHT} characters or items")
    return Literal("".join(texts), weight)


def _constant(node: ast.expr) -> Literal:
    try:
        value = ast.literal_eval(node)
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError) as error:
        raise NotLiteral(node, "it is computed") from error
    if isinstance(value, float) and not math.isfinite(value):
        raise NotLiteral(node, "the number is not finite")
    if value is not None and not isinstance(value, str | bool | int | float):
        raise NotLiteral(node, f"JSON has no {type(value).__name__}")
    return Literal(value, 1 + len(value) if isinstance(value, str) else 1)


def _weight(parts: Sequence[Literal]) -> int:
    return 1 + sum(part.weight for part in parts)
