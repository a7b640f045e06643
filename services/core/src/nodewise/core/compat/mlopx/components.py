"""One component file: its function's signature and default values, read from the text."""

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

from nodewise.core.compat.mlopx.imports import Imports, Marker
from nodewise.core.compat.mlopx.literals import NotLiteral, literal
from nodewise.core.compat.mlopx.model import ArtifactKind, Component
from nodewise.core.compat.mlopx.surroundings import Surroundings, surroundings
from nodewise.core.compat.mlopx.texts import Part, Source, UnreadableScript, read_source
from nodewise.core.errors import InvalidPipeline
from nodewise.core.ir.guard import check_json
from nodewise.core.ir.parameters import coerce
from nodewise.core.model.component import Parameter, ValueKind

MAX_ARGUMENTS: Final = 100
MAX_NAME: Final = 100

_TYPES: Final[Mapping[str, ValueKind]] = MappingProxyType(
    {
        "str": ValueKind.STRING,
        "int": ValueKind.NUMBER_INTEGER,
        "float": ValueKind.NUMBER_DOUBLE,
        "bool": ValueKind.BOOLEAN,
        "list": ValueKind.LIST,
        "List": ValueKind.LIST,
        "dict": ValueKind.STRUCT,
        "Dict": ValueKind.STRUCT,
    }
)
_GENERIC: Final = frozenset({"list", "List", "dict", "Dict"})
_KNOWN: Final = "InputDataset, OutputDataset, InputModel, OutputModel, str, int, float, bool, list, dict"


def read_component(
    content: bytes | str, *, file: str, function: str | None = None, siblings: frozenset[str] = frozenset()
) -> Component:
    """Read a component from the text of its file. Nothing in it is executed.

    Args:
        content: of the file.
        file: its name, for refusals; by mlopx's rule the function is called like it.
        function: the function's name; None: the file's, without `.py`.
        siblings: names of the other component files of the pipeline.

    Raises:
        UnreadableScript: what is wrong, or beyond static reading, with its line.
    """
    name = function or file.removesuffix(".py")
    if not (name.isidentifier() and name.isascii() and len(name) <= MAX_NAME and name.strip("_")):
        raise UnreadableScript(
            Part.COMPONENTS, file[:200], "must be called like its function: letters, digits and _, then .py"
        )
    source = read_source(content, part=Part.COMPONENTS, file=file)
    found = _function(source, name)
    signature = _Signature(source, _imports(source))
    signature.read(found)
    around = surroundings(source, found, siblings=siblings - {name})
    return Component(
        function=name,
        file=source,
        line=found.lineno,
        parameters=signature.parameters,
        inputs=signature.inputs,
        outputs=signature.outputs,
        returns=signature.returned(found),
        source=around.source,
        texts=tuple(_texts(found, around)),
    )


def _function(source: Source, name: str) -> ast.FunctionDef:
    named = [
        node
        for node in source.tree.body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) and node.name == name
    ]
    if not named:
        raise UnreadableScript(Part.COMPONENTS, source.file, f"has no function {name!r} at its top level")
    if len(named) > 1:
        raise source.refused(named[1], f"{name!r} is defined twice")
    (found,) = named
    if not isinstance(found, ast.FunctionDef):
        raise source.refused(found, f"{name!r} must be a plain function")
    if found.decorator_list:
        raise source.refused(
            found.decorator_list[0], "a decorator on the component: what it does is only known when it runs"
        )
    for node in source.tree.body:
        if isinstance(node, ast.Assign | ast.AugAssign | ast.AnnAssign | ast.Delete) and _rebinds(node, name):
            raise source.refused(
                node, f"{name!r} is changed after its definition: that is known only when it runs"
            )
    return found


def _rebinds(statement: ast.stmt, name: str) -> bool:
    return any(
        isinstance(node, ast.Name) and node.id == name and not isinstance(node.ctx, ast.Load)
        for node in ast.walk(statement)
    )


def _imports(source: Source) -> Imports:
    imports = Imports()
    for node in source.tree.body:
        if isinstance(node, ast.ImportFrom) and node.module == "__future__":
            raise source.refused(node, "`from __future__` changes what annotations mean: leave it out")
        if isinstance(node, ast.Import | ast.ImportFrom):
            imports.add(node, source)
    return imports


@dataclass(slots=True)
class _Signature:
    source: Source
    imports: Imports
    parameters: dict[str, Parameter] = field(default_factory=dict)
    inputs: dict[str, ArtifactKind] = field(default_factory=dict)
    outputs: dict[str, ArtifactKind] = field(default_factory=dict)

    def read(self, function: ast.FunctionDef) -> None:
        arguments = function.args
        star = arguments.vararg or arguments.kwarg
        if star is not None:
            raise self.source.refused(star, f"`*{star.arg}` takes what is only known when it runs")
        if arguments.posonlyargs:
            raise self.source.refused(
                arguments.posonlyargs[0],
                "arguments before `/` cannot be given by name, and KFP gives all by name",
            )
        if len(arguments.args) + len(arguments.kwonlyargs) > MAX_ARGUMENTS:
            raise self.source.refused(function, f"has more than {MAX_ARGUMENTS} arguments")
        for argument, default in _with_defaults(arguments):
            self._argument(argument, default)

    def returned(self, function: ast.FunctionDef) -> ValueKind | None:
        node = function.returns
        if node is None or (isinstance(node, ast.Constant) and node.value is None):
            return None
        kind = None if self._marker(node) else self._plain_type(node)
        if kind is None:
            rule = "can return str, int, float, bool, list or dict; for a file use an output artifact"
            raise self.source.refused(node, rule)
        return kind

    def _argument(self, argument: ast.arg, default: ast.expr | None) -> None:
        node = argument.annotation
        if node is None:
            raise self.source.refused(argument, f"the argument {argument.arg!r} has no type; known: {_KNOWN}")
        marker = self._marker(node)
        if marker is None:
            self.parameters[argument.arg] = self._parameter(argument.arg, node, default)
            return
        if default is not None:
            raise self.source.refused(default, f"the artifact {argument.arg!r} cannot have a default")
        (self.outputs if marker.is_output else self.inputs)[argument.arg] = marker.kind

    def _marker(self, node: ast.expr) -> Marker | None:
        return self.imports.marker(node.id) if isinstance(node, ast.Name) else None

    def _parameter(self, name: str, node: ast.expr, default: ast.expr | None) -> Parameter:
        inner = _without_none(node)
        kind = self._plain_type(inner)
        if kind is None:
            raise self.source.refused(node, f"the type of {name!r} is not one of {_KNOWN}")
        optional = inner is not node
        if default is None:
            return Parameter(kind=kind, optional=optional)
        value = self._default(name, default, kind)
        return Parameter(kind=kind, optional=True, default=value, has_default=value is not None)

    def _default(self, name: str, node: ast.expr, kind: ValueKind) -> object:
        try:
            value = literal(node, lambda _: None).value
        except NotLiteral as error:
            raise self.source.refused(node, f"the default of {name!r} must be a literal: {error}") from error
        if value is None:
            return None
        try:
            check_json(value, root=name)
            return coerce(value, kind)
        except InvalidPipeline as error:
            raise self.source.refused(node, f"the default of {error}") from error
        except ValueError as error:
            raise self.source.refused(node, f"the default of {name!r} {error}") from error

    def _plain_type(self, node: ast.expr) -> ValueKind | None:
        if isinstance(node, ast.Subscript) and isinstance(node.value, ast.Name):
            return _TYPES.get(node.value.id) if node.value.id in _GENERIC else None
        return _TYPES.get(node.id) if isinstance(node, ast.Name) else None


def _with_defaults(arguments: ast.arguments) -> Iterator[tuple[ast.arg, ast.expr | None]]:
    bare = len(arguments.args) - len(arguments.defaults)
    yield from zip(arguments.args, [*[None] * bare, *arguments.defaults], strict=True)
    yield from zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)


def _without_none(node: ast.expr) -> ast.expr:
    """X of `Optional[X]`, `X | None` and `None | X`; else the node itself."""
    if isinstance(node, ast.Subscript) and isinstance(node.value, ast.Name) and node.value.id == "Optional":
        return node.slice
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr):
        sides = [node.left, node.right]
        others = [side for side in sides if not (isinstance(side, ast.Constant) and side.value is None)]
        return others[0] if len(others) == 1 else node
    return node


def _texts(function: ast.FunctionDef, around: Surroundings) -> Iterator[tuple[int, str]]:
    """Literal texts with their lines, but for the defaults of the component's own arguments: those are values like others."""
    defaults = [*function.args.defaults, *(node for node in function.args.kw_defaults if node)]
    own = {id(inner) for node in defaults for inner in ast.walk(node)}
    for statement in around.statements:
        for node in ast.walk(statement):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in own:
                yield node.lineno, node.value
