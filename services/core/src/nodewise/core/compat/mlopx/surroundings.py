"""A component's function with what it needs around it: the imports, constants, functions and classes of its file that it uses.

Only these travel to a node. Whatever else stands at the top of the file is left out, so it runs nowhere.
"""

import ast
import symtable
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from nodewise.core.compat.mlopx.imports import MARKERS, bound_by, is_ours
from nodewise.core.compat.mlopx.texts import Part, Source, UnreadableScript, walk_outside_functions

HEADER: Final = "import kfp\nfrom kfp import dsl\nfrom kfp.dsl import *\nfrom typing import *\n"
"""Names that every lightweight component of KFP has; the seed's components rely on them."""
_NO_MLOPX: Final = "nodes have no mlopx; of it a component uses only the artifact types"

_Import = ast.Import | ast.ImportFrom


@dataclass(frozen=True, slots=True)
class Surroundings:
    """`source` is the module for a node, `statements` those of the file that it has."""

    source: str
    statements: tuple[ast.stmt, ...]


def surroundings(source: Source, function: ast.FunctionDef, *, siblings: frozenset[str]) -> Surroundings:
    """The module that runs on a node.

    Args:
        source: the component's file.
        function: its function, at the top level of the file.
        siblings: the names of the other component files, which do not travel along.

    Raises:
        UnreadableScript: it needs what is not on a node.
    """
    used = _Uses(source)
    binders: dict[str, list[ast.stmt]] = {}
    for statement in source.tree.body:
        for name in _bound(statement, source):
            binders.setdefault(name, []).append(statement)
    chosen = {id(function)}
    pending: list[ast.stmt] = [function]
    wanted: set[str] = set()
    while pending:
        for name in used.by(pending.pop()) - wanted:
            wanted.add(name)
            # Each name is followed once: whoever binds it is taken then.
            found = [statement for statement in binders.pop(name, []) if id(statement) not in chosen]
            chosen.update(map(id, found))
            pending += found
    statements = tuple(statement for statement in source.tree.body if id(statement) in chosen)
    texts = [_text(statement, source, wanted=wanted, siblings=siblings) for statement in statements]
    return Surroundings("\n".join([HEADER, *texts]) + "\n", statements)


def _text(statement: ast.stmt, source: Source, *, wanted: set[str], siblings: frozenset[str]) -> str:
    if not isinstance(statement, _Import):
        return source.segment(statement)
    modules = [a.name for a in statement.names] if isinstance(statement, ast.Import) else [statement.module]
    roots = {(module or "").partition(".")[0] for module in modules}
    if isinstance(statement, ast.ImportFrom) and is_ours(statement.module or ""):
        return _markers(statement, source, wanted)
    if roots & siblings:
        raise source.refused(statement, "another component's file: each component travels alone, as one file")
    if any(is_ours(module or "") for module in modules):
        raise source.refused(statement, _NO_MLOPX)
    return source.segment(statement)


def _markers(statement: ast.ImportFrom, source: Source, wanted: set[str]) -> str:
    lines = []
    for name, imported in bound_by(statement, source):
        marker = MARKERS.get(imported.name or "")
        if marker is not None and name in wanted:
            lines.append(f"{name} = {marker.words}")
        elif marker is None and name in wanted:
            raise source.refused(statement, _NO_MLOPX)
    return "\n".join(lines)


def _bound(statement: ast.stmt, source: Source) -> Iterator[str]:
    """The names that a statement binds at the top level."""
    if isinstance(statement, _Import):
        yield from (name for name, _ in bound_by(statement, source))
        return
    for node in walk_outside_functions(statement):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id
        elif isinstance(node, _Import):
            yield from (name for name, _ in bound_by(node, source))
        elif isinstance(node, ast.ExceptHandler) and node.name:
            yield node.name


@dataclass(slots=True)
class _Uses:
    """Which names of the file's top level each statement uses: where it stands, and later in its functions."""

    source: Source
    later: dict[int, set[str]] = field(default_factory=dict)
    """The names that functions and lambdas use, by the line where these begin."""

    def __post_init__(self) -> None:
        # The compiler's own table of names: it sorts names into local and global ones, and runs nothing.
        try:
            table = symtable.symtable(self.source.text, "component", "exec")
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            line = getattr(error, "lineno", None)
            raise UnreadableScript(
                Part.COMPONENTS, self.source.file, f"is not Python ({str(error)[:200]})", line=line
            ) from error
        for scope in table.get_children():
            self.later.setdefault(scope.get_lineno(), set()).update(_globals_of(scope))

    def by(self, statement: ast.stmt) -> frozenset[str]:
        here = {node.id for node in walk_outside_functions(statement) if isinstance(node, ast.Name)}
        last = statement.end_lineno or statement.lineno
        decorators = getattr(statement, "decorator_list", [])
        first = min([statement.lineno, *(item.lineno for item in decorators)])
        return frozenset(here.union(*(self.later.get(line, ()) for line in range(first, last + 1))))


def _globals_of(scope: symtable.SymbolTable) -> Iterator[str]:
    pending = [scope]
    while pending:
        current = pending.pop()
        yield from (symbol.get_name() for symbol in current.get_symbols() if symbol.is_global())
        pending.extend(current.get_children())
