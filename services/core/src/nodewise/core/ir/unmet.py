"""Why a condition is not met, for a person: what it says, and what its inputs are. `flip.Output == "heads", but flip.Output is "tails"`."""

import json
import math
from collections.abc import Mapping
from typing import Final

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
    inputs_of,
)
from nodewise.core.ir.tree import FinalStatus, FromInput, FromStep, Step
from nodewise.core.model.artifact import Values

NOT_MET: Final = "its condition is not met"

_CHANNEL: Final = "pipelinechannel--"
"""KFP's compiler begins with it the names of inputs that it makes for what comes from elsewhere."""
_LONGEST_VALUE: Final = 60
_LONGEST: Final = 500
_CUT: Final = " ..."


def why_not_met(step: Step, values: Values) -> str:
    """The sentence for a step whose condition is not met, with the values that it was decided on; at most some 600 characters."""
    if step.condition is None:
        return NOT_MET
    named = {name: _called(step, name) for name in inputs_of(step.condition)}
    found = [
        f"{called} is {_value(values.parameters[name])}"
        for name, called in sorted(named.items(), key=lambda pair: pair[1])
        if name in values.parameters
    ]
    but = f", but {' and '.join(found)}" if found else ""
    return f"{NOT_MET}: {_cut(_told(step.condition, named) + but, _LONGEST)}"


def _called(step: Step, name: str) -> str:
    """An input by where its value comes from: the task and its output, or the parameter around it."""
    binding = step.parameters.get(name)
    source = binding.source if binding is not None and binding.selector is None else None
    if isinstance(source, FromStep):
        return f"{source.step}.{source.output}"
    if isinstance(source, FinalStatus):
        return f"the status of {source.step}"
    if isinstance(source, FromInput):
        return source.name.removeprefix(_CHANNEL)
    return name.removeprefix(_CHANNEL)


def _told(expression: Expression, named: Mapping[str, str]) -> str:
    match expression:
        case Literal(value=value):
            return _value(value)
        case Input(name=name):
            return named[name]
        case Relation(sign=sign, left=left, right=right):
            return f"{_told(left, named)} {sign} {_told(right, named)}"
        case Both(terms=terms):
            return " and ".join(_in_brackets(term, named) for term in terms)
        case Either(terms=terms):
            return " or ".join(_in_brackets(term, named) for term in terms)
        case _:
            return _told_around(expression, named)


def _told_around(expression: Expression, named: Mapping[str, str]) -> str:
    match expression:
        case Not(of=inner):
            return f"not ({_told(inner, named)})"
        case Negative(of=inner):
            return f"-{_told(inner, named)}"
        case Item(of=inner, key=key):
            return f"{_told(inner, named)}[{_told(key, named)}]"
        case Call(function="int" | "double", argument=argument):
            # KFP writes it around numbers: it changes nothing that a reader wants to know.
            return _told(argument, named)
        case Call(function=function, argument=argument):
            return f"{function}({_told(argument, named)})"
        case _:
            return "the value"


def _in_brackets(term: Expression, named: Mapping[str, str]) -> str:
    told = _told(term, named)
    return f"({told})" if isinstance(term, Both | Either) else told


def _value(value: object) -> str:
    """As JSON, which also writes out what no table stores; cut where it is long."""
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    try:
        text = json.dumps(value, ensure_ascii=False)
    except (TypeError, ValueError, RecursionError):
        return f"a value of type {type(value).__name__}"
    return _cut(text.encode("utf-8", "replace").decode("utf-8"), _LONGEST_VALUE)


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - len(_CUT)] + _CUT
