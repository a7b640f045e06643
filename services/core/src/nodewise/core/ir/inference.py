"""What can be said of an expression before its inputs are known: its value, or of which kinds that may be, or that it has none.

It says less than it could, never more: what is said to fail here fails in `evaluation`, whatever the inputs turn out to be.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final, TypeAlias

from nodewise.core.ir.evaluation import ExpressionFailed, kind_of, select
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
    WholeValue,
)

_BOOLEAN: Final = "boolean"
_ORDERED: Final = frozenset({"number", "text", _BOOLEAN})
_TAKEN: Final[Mapping[str, frozenset[str]]] = {
    "int": frozenset({"number", "text"}),
    "double": frozenset({"number", "text"}),
    "string": frozenset(),
    "parseJson": frozenset({"text"}),
}
"""The kinds that a function takes; none: all."""
_GIVEN: Final[Mapping[str, frozenset[str]]] = {
    "int": frozenset({"number"}),
    "double": frozenset({"number"}),
    "string": frozenset({"text"}),
    "parseJson": frozenset(),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Exactly:
    value: object


@dataclass(frozen=True, slots=True, kw_only=True)
class OneOf:
    """A value of one of these kinds, as `kind_of` names them; none: of any."""

    kinds: frozenset[str] = frozenset()


Guess: TypeAlias = Exactly | OneOf

ANYTHING: Final = OneOf()
_TRUTH: Final = OneOf(kinds=frozenset({_BOOLEAN}))


def verdict(condition: Expression, inputs: Mapping[str, Guess]) -> bool | None:
    """Whether a condition is met; None: that depends on what is not known yet.

    Args:
        condition: of a task.
        inputs: what is known of those that it may refer to; one that is not here has no value.

    Raises:
        ExpressionFailed: it can never be decided.
    """
    guess = _guess(condition, inputs)
    _require(guess, frozenset({_BOOLEAN}), "is neither true nor false")
    return bool(guess.value) if isinstance(guess, Exactly) else None


def _guess(node: Expression, inputs: Mapping[str, Guess]) -> Guess:
    if isinstance(node, Literal | WholeValue | Input):
        return _named(node, inputs)
    if isinstance(node, Both | Either):
        return _connected(node, inputs)
    if isinstance(node, Relation):
        return _related(node, _guess(node.left, inputs), _guess(node.right, inputs))
    if isinstance(node, Item):
        return _item(node, _guess(node.of, inputs), _guess(node.key, inputs))
    return _of_one(node, inputs)


def _named(node: Literal | WholeValue | Input, inputs: Mapping[str, Guess]) -> Guess:
    if isinstance(node, Literal):
        return Exactly(value=node.value)
    if isinstance(node, WholeValue):
        return ANYTHING
    if node.name not in inputs:
        raise ExpressionFailed(f"the input {node.name!r} has no value")
    return inputs[node.name]


def _connected(node: Both | Either, inputs: Mapping[str, Guess]) -> Guess:
    """One term that decides makes up for others that fail; so they fail for certain only where none of them can decide."""
    deciding = isinstance(node, Either)
    failure: ExpressionFailed | None = None
    open_terms = 0
    for term in node.terms:
        try:
            found = verdict(term, inputs)
        except ExpressionFailed as error:
            failure = failure or error
            continue
        if found is deciding:
            return Exactly(value=deciding)
        open_terms += found is None
    if open_terms:
        return _TRUTH
    if failure is not None:
        raise failure
    return Exactly(value=not deciding)


def _related(node: Relation, left: Guess, right: Guess) -> Guess:
    if isinstance(left, Exactly) and isinstance(right, Exactly):
        return _computed(replace(node, left=_literal(left), right=_literal(right)))
    if node.sign in ("==", "!="):
        return _TRUTH
    ones, others = _kinds(left) or _ORDERED, _kinds(right) or _ORDERED
    if not ones & others & _ORDERED:
        raise ExpressionFailed(f"cannot compare {_words(left)} {node.sign} {_words(right)}")
    return _TRUTH


def _item(node: Item, of: Guess, key: Guess) -> Guess:
    if isinstance(of, Exactly) and isinstance(key, Exactly):
        return _computed(replace(node, of=_literal(of), key=_literal(key)))
    _require(of, frozenset({"a list", "an object"}), "has no items")
    return ANYTHING


def _of_one(node: Not | Negative | Call, inputs: Mapping[str, Guess]) -> Guess:
    if isinstance(node, Call):
        argument = _guess(node.argument, inputs)
        if isinstance(argument, Exactly):
            return _computed(replace(node, argument=_literal(argument)))
        _require(argument, _TAKEN[node.function], f"is nothing for {node.function}()")
        return OneOf(kinds=_GIVEN[node.function])
    of = _guess(node.of, inputs)
    if isinstance(of, Exactly):
        return _computed(replace(node, of=_literal(of)))
    if isinstance(node, Not):
        _require(of, frozenset({_BOOLEAN}), "is neither true nor false")
        return _TRUTH
    _require(of, frozenset({"number"}), "has no negative")
    return OneOf(kinds=frozenset({"number"}))


def _computed(node: Expression) -> Exactly:
    return Exactly(value=select(node, None))


def _literal(guess: Exactly) -> Literal:
    return Literal(value=guess.value)


def _require(guess: Guess, wanted: frozenset[str], rule: str) -> None:
    kinds = _kinds(guess)
    if kinds and wanted and not kinds & wanted:
        raise ExpressionFailed(f"{_words(guess)} {rule}")


def _kinds(guess: Guess) -> frozenset[str]:
    return frozenset({kind_of(guess.value)}) if isinstance(guess, Exactly) else guess.kinds


def _words(guess: Guess) -> str:
    return " or ".join(sorted(_kinds(guess) - {"null"})) or "null"
