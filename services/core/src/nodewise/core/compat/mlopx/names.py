"""What the names of a script stand for, as far as its text says, and what may happen to them out of sight."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass, field

from nodewise.core.compat.mlopx.imports import CLASSES, Imported, is_ours
from nodewise.core.compat.mlopx.literals import Literal
from nodewise.core.compat.mlopx.model import Volume
from nodewise.core.compat.mlopx.texts import Source

_Binder = (
    ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.ExceptHandler | ast.MatchAs | ast.MatchStar
)


@dataclass(slots=True)
class MadeComponent:
    """`Component(...)` as far as the script has come."""

    function: str
    image: str
    arguments: dict[str, object]
    node: ast.Call
    volumes: list[Volume] = field(default_factory=list)


@dataclass(slots=True)
class MadePipeline:
    """`Pipeline(...)` as far as the script has come."""

    name: str
    node: ast.Call
    components: list[MadeComponent] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Group:
    """A list of components."""

    components: tuple[MadeComponent, ...]


@dataclass(frozen=True, slots=True)
class Unknown:
    """A value that only running the script would show."""

    why: str


Value = MadeComponent | MadePipeline | Group | Imported | Literal | Unknown


@dataclass(slots=True)
class Names:
    """The names of a script while it is read. `given` are those of dicts that components took their arguments from."""

    source: Source
    values: dict[str, Value] = field(default_factory=dict)
    given: set[str] = field(default_factory=set)

    def value(self, name: str) -> Value:
        return self.values.get(name) or Unknown(f"nothing above gives {name!r} a value")

    def literal(self, name: str) -> Literal | None:
        value = self.values.get(name)
        return value if isinstance(value, Literal) else None

    def is_component(self, node: ast.AST) -> bool:
        return isinstance(node, ast.Name) and isinstance(self.values.get(node.id), MadeComponent)

    def class_of(self, node: ast.expr) -> str | None:
        """`Component` or `Pipeline`, if the callee is one of mlopx's classes."""
        path = dotted(node)
        found = self.values.get(path[0]) if path else None
        if not isinstance(found, Imported) or not is_ours(found.module):
            return None
        last = found.name if len(path) == 1 else path[-1]
        return last if last in CLASSES else None

    def untouched(self, node: ast.AST, reason: str) -> None:
        """Refuse a part of the script that nobody follows, if it names what the pipeline is made of.

        Plain lists and dicts that it names may be changed there: they are not known any more.

        Raises:
            UnreadableScript: with the line of the name.
        """
        named = [inner for inner in ast.walk(node) if isinstance(inner, ast.Name)]
        for inner in named:
            if self._matters(inner.id):
                raise self.source.refused(inner, reason)
        if any(self._is_mutable(inner.id) for inner in named):
            self._forget_mutable(node)

    def forget(self, node: ast.AST, why: str) -> None:
        """What is bound in there is not known any more."""
        for name in stored(node):
            self.values[name] = Unknown(why)

    def _matters(self, name: str) -> bool:
        value = self.values.get(name)
        if name in self.given and self._is_mutable(name):
            return True
        if isinstance(value, Imported):
            return is_ours(value.module) and (value.name is None or value.name in CLASSES)
        return isinstance(value, MadeComponent | MadePipeline | Group)

    def _is_mutable(self, name: str) -> bool:
        found = self.literal(name)
        return found is not None and isinstance(found.value, dict | list)

    def _forget_mutable(self, node: ast.AST) -> None:
        """All lists and dicts, since names may share them; those that components have already cannot be taken back.

        Raises:
            UnreadableScript: a component has one of them.
        """
        line = getattr(node, "lineno", 0)
        mutable = [name for name in self.values if self._is_mutable(name)]
        if self.given.intersection(mutable):
            raise self.source.refused(
                node,
                "a list or dict that may be shared with a component's args is used in a way that only running shows",
            )
        for name in mutable:
            self.values[name] = Unknown(f"line {line} may change it")


def stored(node: ast.AST) -> Iterator[str]:
    """The names that are bound anywhere in there."""
    for inner in ast.walk(node):
        if isinstance(inner, ast.Name) and not isinstance(inner.ctx, ast.Load):
            yield inner.id
        elif isinstance(inner, ast.Import | ast.ImportFrom):
            yield from ((alias.asname or alias.name).partition(".")[0] for alias in inner.names)
        elif isinstance(inner, _Binder) and inner.name:
            yield inner.name


def dotted(node: ast.expr) -> tuple[str, ...]:
    """The names of `a.b.c`; empty for anything else."""
    names: list[str] = []
    while isinstance(node, ast.Attribute):
        names.append(node.attr)
        node = node.value
    return (node.id, *reversed(names)) if isinstance(node, ast.Name) else ()
