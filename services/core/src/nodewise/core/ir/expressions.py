"""The expressions of KFP's IR: conditions of tasks, and selectors that take a part of a value.

KFP writes them in CEL. What its compiler emits, and a little more, is read here by recursive descent into a frozen tree; nothing
is ever handed to an interpreter of Python. In order of binding:

    either   := both ("||" both)*
    both     := relation ("&&" relation)*
    relation := unary (("==" | "!=" | "<" | "<=" | ">" | ">=") unary)?
    unary    := ("!" | "-") unary | member
    member   := primary ("[" either "]" | "." name)*
    primary  := number | text | true | false | null | "(" either ")" | string_value
              | inputs.parameter_values[text] | (int | double | string | parseJson) "(" either ")"
"""

import math
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final, TypeAlias

from nodewise.core.errors import InvalidPipeline, UnsupportedFeature
from nodewise.core.ir.advice import on_expression

_LONGEST: Final = 20_000
_DEEPEST: Final = 60
_RELATIONS: Final = frozenset({"==", "!=", "<", "<=", ">", ">="})
_FUNCTIONS: Final = frozenset({"int", "double", "string", "parseJson"})
_CONSTANTS: Final = {"true": True, "false": False, "null": None}
_ESCAPES: Final = {"n": "\n", "t": "\t", "r": "\r", "\\": "\\", "'": "'", '"': '"', "`": "`", "?": "?"}
_TOKEN: Final = re.compile(
    r"""\s*(?:
      (?P<number>(?:\d+\.\d*|\.\d+|\d+)(?:[eE][+-]?\d+)?)
    | (?P<text>'(?:[^'\\\n]|\\.)*'|"(?:[^"\\\n]|\\.)*")
    | (?P<name>[A-Za-z_][A-Za-z0-9_]*)
    | (?P<sign>&&|\|\||==|!=|<=|>=|[<>!()\[\].,-])
    )""",
    re.VERBOSE | re.ASCII,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Literal:
    value: object


@dataclass(frozen=True, slots=True, kw_only=True)
class Input:
    """An input parameter of the task."""

    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WholeValue:
    """`string_value` in a selector: the value itself, as text."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One item of a list or an object."""

    of: "Expression"
    key: "Expression"


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """`int`, `double`, `string` or `parseJson` of a value."""

    function: str
    argument: "Expression"


@dataclass(frozen=True, slots=True, kw_only=True)
class Not:
    of: "Expression"


@dataclass(frozen=True, slots=True, kw_only=True)
class Negative:
    of: "Expression"


@dataclass(frozen=True, slots=True, kw_only=True)
class Relation:
    sign: str
    left: "Expression"
    right: "Expression"


@dataclass(frozen=True, slots=True, kw_only=True)
class Both:
    """All of them are true."""

    terms: tuple["Expression", ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Either:
    """At least one of them is true."""

    terms: tuple["Expression", ...]


Expression: TypeAlias = Literal | Input | WholeValue | Item | Call | Not | Negative | Relation | Both | Either


def parse_expression(text: str, *, path: str) -> Expression:
    """Read a condition or a selector.

    Args:
        text: the CEL text.
        path: where it stands in the IR.

    Raises:
        InvalidPipeline: it is no expression; says what to do where KFP's compiler is known to write such a thing.
        UnsupportedFeature: a name or function of CEL that is not known here.
    """
    if len(text) > _LONGEST:
        raise InvalidPipeline(path, f"an expression has at most {_LONGEST} characters")
    try:
        return _parsed(text, path)
    except UnsupportedFeature:
        raise
    except InvalidPipeline as error:
        raise InvalidPipeline(path, f"{error.rule}{on_expression(text)}") from error


def _parsed(text: str, path: str) -> Expression:
    parser = _Parser(text, path)
    expression = parser.either()
    parser.end()
    return expression


def inputs_of(expression: Expression) -> frozenset[str]:
    """The names of the task's inputs that it refers to."""
    return frozenset(node.name for node in _nodes(expression) if isinstance(node, Input))


def _nodes(expression: Expression) -> Iterator[Expression]:
    pending = [expression]
    while pending:
        node = pending.pop()
        yield node
        pending.extend(_children(node))


def _children(node: Expression) -> tuple[Expression, ...]:
    if isinstance(node, Both | Either):
        return node.terms
    if isinstance(node, Relation):
        return (node.left, node.right)
    if isinstance(node, Item):
        return (node.of, node.key)
    if isinstance(node, Not | Negative):
        return (node.of,)
    return (node.argument,) if isinstance(node, Call) else ()


class _Parser:
    """One pass over the tokens; every method consumes what it names."""

    def __init__(self, text: str, path: str) -> None:
        self._path = path
        self._tokens = self._split(text)
        self._next = 0
        self._depth = 0

    def either(self) -> Expression:
        self._deeper()
        terms = self._terms("||", self._both)
        self._depth -= 1
        return terms[0] if len(terms) == 1 else Either(terms=tuple(terms))

    def end(self) -> None:
        if self._next < len(self._tokens):
            raise self._refusal("the end")

    def _both(self) -> Expression:
        terms = self._terms("&&", self._relation)
        return terms[0] if len(terms) == 1 else Both(terms=tuple(terms))

    def _terms(self, sign: str, part: Callable[[], Expression]) -> list[Expression]:
        terms = [part()]
        while self._accept(sign):
            terms.append(part())
        return terms

    def _relation(self) -> Expression:
        left = self._unary()
        sign = self._peek()[1]
        if self._peek()[0] != "sign" or sign not in _RELATIONS:
            return left
        self._next += 1
        return Relation(sign=sign, left=left, right=self._unary())

    def _unary(self) -> Expression:
        self._deeper()
        if self._accept("!"):
            expression: Expression = Not(of=self._unary())
        elif self._accept("-"):
            expression = Negative(of=self._unary())
        else:
            expression = self._member()
        self._depth -= 1
        return expression

    def _member(self) -> Expression:
        expression, steps = self._primary(), 0
        while True:
            if self._accept("["):
                expression = Item(of=expression, key=self.either())
                self._expect("]")
            elif self._accept("."):
                expression = Item(of=expression, key=Literal(value=self._name()))
            else:
                return expression
            steps += 1
            if steps > _DEEPEST:
                raise InvalidPipeline(self._path, "the expression is nested too deeply")

    def _primary(self) -> Expression:
        if self._peek() == ("sign", "("):
            return self._group()
        kind, token = self._peek()
        if kind not in ("number", "text", "name"):
            raise self._refusal("a value")
        self._next += 1
        if kind == "number":
            return Literal(value=self._number(token))
        if kind == "text":
            return Literal(value=self._unquoted(token))
        return self._named(token)

    def _group(self) -> Expression:
        self._expect("(")
        expression = self.either()
        self._expect(")")
        return expression

    def _named(self, name: str) -> Expression:
        if name in _CONSTANTS:
            return Literal(value=_CONSTANTS[name])
        if name == "string_value":
            return WholeValue()
        if name == "inputs":
            return self._input()
        if name in _FUNCTIONS and self._peek()[1] == "(":
            return Call(function=name, argument=self._group())
        raise UnsupportedFeature(
            self._path, f"{name[:40]!r} in an expression", "compare inputs, constants, int() and double()"
        )

    def _input(self) -> Expression:
        self._expect(".")
        if self._name() != "parameter_values":
            raise UnsupportedFeature(
                self._path, "an input that is not a parameter in an expression", "compare parameters"
            )
        self._expect("[")
        kind, token = self._peek()
        if kind != "text":
            raise self._refusal("the name of an input in quotes")
        self._next += 1
        self._expect("]")
        return Input(name=self._unquoted(token))

    def _name(self) -> str:
        kind, token = self._peek()
        if kind != "name":
            raise self._refusal("a name")
        self._next += 1
        return token

    def _number(self, token: str) -> int | float:
        try:
            number = int(token) if token.isdigit() else float(token)
        except ValueError as error:
            raise InvalidPipeline(self._path, "has a number of too many digits") from error
        if math.isinf(number) if isinstance(number, float) else number >= 2**64:
            raise InvalidPipeline(
                self._path, "has a number that is out of range; use one of 64 bits, or a double"
            )
        return number

    def _unquoted(self, token: str) -> str:
        def plain(match: re.Match[str]) -> str:
            if match.group(1) not in _ESCAPES:
                raise InvalidPipeline(self._path, f"has the unknown escape \\{match.group(1)}")
            return _ESCAPES[match.group(1)]

        return re.sub(r"\\(.)", plain, token[1:-1])

    def _peek(self) -> tuple[str, str]:
        return self._tokens[self._next] if self._next < len(self._tokens) else ("end", "")

    def _accept(self, sign: str) -> bool:
        if self._peek() != ("sign", sign):
            return False
        self._next += 1
        return True

    def _expect(self, sign: str) -> None:
        if not self._accept(sign):
            raise self._refusal(repr(sign))

    def _deeper(self) -> None:
        self._depth += 1
        if self._depth > _DEEPEST:
            raise InvalidPipeline(self._path, "the expression is nested too deeply")

    def _refusal(self, wanted: str) -> InvalidPipeline:
        found = self._peek()[1][:40] or "the end"
        return InvalidPipeline(self._path, f"is no expression: {wanted} was expected, found {found!r}")

    def _split(self, text: str) -> list[tuple[str, str]]:
        tokens, position, end = [], 0, len(text.rstrip())
        while position < end:
            match = _TOKEN.match(text, position)
            if match is None:
                rest = text[position:].strip()[:40]
                raise InvalidPipeline(self._path, f"is no expression: cannot read {rest!r}")
            tokens.append((match.lastgroup or "", match.group(match.lastgroup or 0)))
            position = match.end()
        return tokens
