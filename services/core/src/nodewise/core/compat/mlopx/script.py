"""The pipeline's script, read top to bottom as text: which components it makes, and how it puts them together.

It is followed as far as its effect is certain: imports, literals, `Component(...)`, `Pipeline(...)` and their methods. What has
nothing to do with these is skipped and noted; what would change them in a way that only running shows is refused with its line.
"""

import ast
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from nodewise.core.compat.mlopx.calls import Arguments
from nodewise.core.compat.mlopx.imports import Imported, Imports, is_ours
from nodewise.core.compat.mlopx.literals import Literal, NotLiteral, literal
from nodewise.core.compat.mlopx.model import Volume
from nodewise.core.compat.mlopx.names import (
    Group,
    MadeComponent,
    MadePipeline,
    Names,
    Unknown,
    Value,
    dotted,
)
from nodewise.core.compat.mlopx.texts import Part, Source, UnreadableScript, read_source

MAX_COMPONENTS: Final = 64
_HARMLESS: Final = frozenset({"print", "len", "repr", "str", "type", "isinstance"})
"""Functions of Python's own that leave what they are given as it is."""
_SENDS: Final = frozenset({"submit", "build"})


@dataclass(frozen=True, slots=True)
class Script:
    """What a script says. `skipped` are the lines that have nothing to do with the pipeline and were not run."""

    source: Source
    pipeline: MadePipeline
    skipped: tuple[int, ...]


def read_script(content: bytes | str, *, file: str = "pipeline.py") -> Script:
    """Read a pipeline's script from its text. Nothing in it is executed.

    Raises:
        UnreadableScript: what is wrong, or beyond static reading, with its line.
    """
    source = read_source(content, part=Part.PIPELINE, file=file)
    reading = _Reading(source, Names(source))
    reading.body(source.tree.body)
    return Script(source, reading.result(), tuple(sorted(set(reading.skipped))))


@dataclass(slots=True)
class _Reading:
    source: Source
    names: Names
    pipelines: list[MadePipeline] = field(default_factory=list)
    sent: list[MadePipeline] = field(default_factory=list)
    made: int = 0
    skipped: list[int] = field(default_factory=list)
    later: list[ast.stmt] = field(default_factory=list)

    def body(self, statements: Iterable[ast.stmt]) -> None:
        for statement in statements:
            self._statement(statement)

    def result(self) -> MadePipeline:
        """The pipeline that the script sends.

        Raises:
            UnreadableScript: there is none, or several; or a function or class of the script touches it.
        """
        self._check_definitions()
        chosen = self.sent or self.pipelines
        if not chosen:
            reason = "makes no Pipeline(...) at its top level, outside loops and functions"
            raise UnreadableScript(Part.PIPELINE, self.source.file, reason)
        if any(other is not chosen[0] for other in chosen):
            raise self.source.refused(chosen[1].node, "a second pipeline: one script sends one pipeline")
        if not chosen[0].components:
            raise self.source.refused(chosen[0].node, "the pipeline has no components: add([...]) is missing")
        return chosen[0]

    def _check_definitions(self) -> None:
        for statement in self.later:
            self.names.untouched(statement, "a function or class that works on the pipeline's components")

    def _statement(self, node: ast.stmt) -> None:
        if isinstance(node, ast.Import | ast.ImportFrom):
            imports = Imports()
            imports.add(node, self.source)
            self.names.values.update(imports.names)
        elif isinstance(node, ast.Assign):
            self._assign(node.targets, node.value)
        elif isinstance(node, ast.AnnAssign) and node.value is not None:
            self._assign([node.target], node.value)
        elif isinstance(node, ast.Expr):
            self._expression(node)
        elif isinstance(node, ast.If) and _is_main(node.test) and not node.orelse:
            self.body(node.body)
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            self._definition(node)
        elif not isinstance(node, ast.Pass):
            self._opaque(node)

    def _assign(self, targets: Sequence[ast.expr], expression: ast.expr) -> None:
        value = self._value(expression)
        for target in targets:
            if isinstance(target, ast.Name):
                self.names.values[target.id] = value
                continue
            self.names.untouched(target, "components are changed in a way that only running shows")
            self.names.forget(target, "it is assigned together with others")

    def _expression(self, node: ast.Expr) -> None:
        if isinstance(node.value, ast.Constant):
            return
        value = self._value(node.value)
        if isinstance(value, Unknown) and not _is_of_mlopx(node.value):
            self.skipped.append(node.lineno)

    def _definition(self, node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) -> None:
        for inner in ast.walk(node):
            if isinstance(inner, ast.Global):
                raise self.source.refused(inner, "`global` changes names in a way that only running shows")
        self.later.append(node)
        self.names.values[node.name] = Unknown("it is defined in the script itself")

    def _opaque(self, node: ast.stmt) -> None:
        word = type(node).__name__.lower()
        self.names.untouched(
            node, f"`{word}` around or upon components: what comes of it is only known when it runs"
        )
        self.names.forget(node, f"it is set by `{word}`")
        self.skipped.append(node.lineno)

    def _value(self, node: ast.expr) -> Value:
        """What an expression stands for, with the effect of its calls upon components."""
        if isinstance(node, ast.Name):
            return self.names.value(node.id)
        if isinstance(node, ast.Call):
            return self._call(node)
        if isinstance(node, ast.List | ast.Tuple) and node.elts:
            group = self._group(node)
            if group is not None:
                return group
        try:
            return literal(node, self.names.literal)
        except NotLiteral as error:
            self._unfollowed(node)
            return Unknown(str(error))

    def _unfollowed(self, node: ast.expr) -> None:
        """Refuse components and changes to them inside an expression that nobody follows: a comprehension, a lambda."""
        for inner in ast.walk(node):
            if isinstance(inner, ast.Call) and not _is_harmless(inner):
                self.names.untouched(
                    inner, "inside an expression: write the call as a statement of its own, with plain values"
                )
        self.names.forget(node, "it is set inside an expression")

    def _group(self, node: ast.List | ast.Tuple) -> Group | None:
        if not any(isinstance(item, ast.Call) or self.names.is_component(item) for item in node.elts):
            return None
        values = [self._value(item) for item in node.elts]
        found = tuple(value for value in values if isinstance(value, MadeComponent))
        return Group(found) if len(found) == len(values) else None

    def _call(self, node: ast.Call) -> Value:
        kind = self.names.class_of(node.func)
        if kind == "Component":
            return self._component(node)
        if kind == "Pipeline":
            return self._pipeline(node)
        if isinstance(node.func, ast.Attribute):
            subject = self._subject(node.func.value)
            if isinstance(subject, MadeComponent | MadePipeline | Group):
                return self._method(node, node.func.attr, subject)
        if _is_harmless(node):
            for argument in node.args:
                self._value(argument)
        else:
            self.names.untouched(
                node, "a call with components: what it does to them is only known when it runs"
            )
        return Unknown("it is what a call returns")

    def _subject(self, node: ast.expr) -> Value | None:
        if isinstance(node, ast.Name):
            return self.names.value(node.id)
        return self._value(node) if isinstance(node, ast.Call) else None

    def _component(self, node: ast.Call) -> MadeComponent:
        self.made += 1
        if self.made > MAX_COMPONENTS:
            raise self.source.refused(node, f"more than {MAX_COMPONENTS} components")
        call = Arguments.of(node, ("image", "func", "args"), self.source)
        args = call.optional("args")
        made = MadeComponent(
            function=self._function(call.required("func")),
            image=self._text(call.required("image"), "the image"),
            arguments=self._arguments(args),
            node=node,
        )
        if args is not None:
            self.names.given.update(inner.id for inner in ast.walk(args) if isinstance(inner, ast.Name))
        return made

    def _function(self, node: ast.expr) -> str:
        path = dotted(node)
        found = self.names.values.get(path[0]) if path else None
        if isinstance(found, Imported) and not is_ours(found.module):
            names = (*([found.name] if found.name else []), *path[1:])
            if len(names) == 1:
                return self._of_its_file(node, found.module, names[0])
        raise self.source.refused(
            node, "func must be the name of a function that is imported from its component file"
        )

    def _of_its_file(self, node: ast.expr, module: str, function: str) -> str:
        if module.rpartition(".")[2] != function:
            raise self.source.refused(
                node, f"the function {function!r} must come from a file of its name, {function}.py"
            )
        return function

    def _arguments(self, node: ast.expr | None) -> dict[str, object]:
        value = None if node is None else self._known(node, "args")
        if node is None or value is None:
            return {}
        if not isinstance(value, dict):
            raise self.source.refused(node, "args must be a dict of arguments by name")
        return dict(value)

    def _pipeline(self, node: ast.Call) -> MadePipeline:
        call = Arguments.of(node, ("name", "metadata_file"), self.source)
        made = MadePipeline(self._text(call.required("name"), "the pipeline's name"), node)
        self.pipelines.append(made)
        return made

    def _method(self, node: ast.Call, name: str, subject: MadeComponent | MadePipeline | Group) -> Value:
        if isinstance(subject, MadeComponent) and name == "mount_volume":
            call = Arguments.of(node, ("pvc", "mount_path"), self.source)
            claim = self._text(call.required("pvc"), "the volume's claim")
            path = self._text(call.required("mount_path"), "the volume's path")
            subject.volumes.append(Volume(claim=claim, path=path, line=node.lineno))
        elif isinstance(subject, MadePipeline) and name == "add":
            call = Arguments.of(node, ("components",), self.source)
            subject.components.extend(self._members(call.required("components")))
        elif isinstance(subject, MadePipeline) and name in _SENDS:
            self.sent.append(subject)
        else:
            raise self.source.refused(node, f"`.{name}(...)`: what it does is only known when it runs")
        return Literal(None, 1)

    def _members(self, node: ast.expr) -> tuple[MadeComponent, ...]:
        value = self._value(node)
        if isinstance(value, Group):
            return value.components
        if isinstance(value, Literal) and value.value == []:
            return ()
        # A function that makes components is the better answer than the name that it leaves unknown.
        self._check_definitions()
        raise self.source.refused(node, f"add takes a list of components, written out: {self._why(node)}")

    def _why(self, node: ast.expr) -> str:
        """Why an expression is no list of components."""
        parts = node.elts if isinstance(node, ast.List | ast.Tuple) else [node]
        for part in parts:
            value = self._value(part) if isinstance(part, ast.Name) else None
            if isinstance(value, Unknown):
                return f"{ast.unparse(part)[:80]!r} is not known, {value.why}"
        return "it has something else in it"

    def _text(self, node: ast.expr, what: str) -> str:
        value = self._known(node, what)
        if not isinstance(value, str) or not value.strip():
            raise self.source.refused(node, f"{what} must be text")
        return value

    def _known(self, node: ast.expr, what: str) -> object:
        try:
            return literal(node, self.names.literal).value
        except NotLiteral as error:
            value = self.names.value(node.id) if isinstance(node, ast.Name) else None
            why = value.why if isinstance(value, Unknown) else str(error)
            raise self.source.refused(node, f"{what} must be a literal: {why}") from error


def _is_harmless(node: ast.Call) -> bool:
    return isinstance(node.func, ast.Name) and node.func.id in _HARMLESS


def _is_main(test: ast.expr) -> bool:
    """Whether it is `__name__ == "__main__"`: scripts of mlopx are run, not imported."""
    return (
        isinstance(test, ast.Compare)
        and isinstance(test.left, ast.Name)
        and test.left.id == "__name__"
        and len(test.ops) == 1
        and isinstance(test.ops[0], ast.Eq)
        and isinstance(test.comparators[0], ast.Constant)
        and test.comparators[0].value == "__main__"
    )


def _is_of_mlopx(node: ast.expr) -> bool:
    """What mlopx itself writes into the script before it sends it."""
    path = dotted(node.func) if isinstance(node, ast.Call) else ()
    return path in {("parser", "add_argument"), ("pipeline", "build")}
