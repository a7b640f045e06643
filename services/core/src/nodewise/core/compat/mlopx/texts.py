"""Python texts that are read and never executed: bounded, parsed once, and refused with their line.

`ast.parse` builds a tree and runs nothing. Its own ways to fail (recursion, memory, NUL) are refusals here, and what
passes is shallow enough that everything after it may recurse.
"""

import ast
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from nodewise.core.errors import InvalidPipeline

MAX_TEXT_BYTES: Final = 100_000
"""Of one file: a component travels to its process in one argument, and an argument may have 128 KiB."""
MAX_DEPTH: Final = 200
MAX_STATEMENTS: Final = 1000
"""At the top level of one file."""
_EXCERPT: Final = 80


class Part(StrEnum):
    """The three parts of a submission, as the form calls them."""

    COMPONENTS = "components"
    PIPELINE = "pipeline"
    METADATA = "metadata"


class UnreadableScript(InvalidPipeline):
    """A script, component or metadata file that cannot be read without running it, or that is wrong.

    `line` is the line in `file` as it was sent (None: the file as a whole); `reason` says what and what to do.
    """

    def __init__(self, part: Part, file: str, reason: str, *, line: int | None = None) -> None:
        self.part = part
        self.file = file
        self.line = line
        self.reason = reason
        super().__init__(file if line is None else f"{file}, line {line}", reason)


@dataclass(frozen=True, slots=True)
class Source:
    """One parsed file. `lines` are its text's lines, without their ends."""

    part: Part
    file: str
    text: str = field(repr=False)
    lines: tuple[str, ...] = field(repr=False)
    tree: ast.Module = field(repr=False)

    def refused(self, node: ast.AST, reason: str) -> UnreadableScript:
        """The refusal of a part of it: shows the line, and what stands there."""
        line = getattr(node, "lineno", None)
        if line is None:
            return UnreadableScript(self.part, self.file, reason)
        shown = self.lines[line - 1].strip()
        shown = shown if len(shown) <= _EXCERPT else f"{shown[:_EXCERPT]}..."
        return UnreadableScript(self.part, self.file, f"{reason} (there: {shown})", line=line)

    def segment(self, node: ast.stmt) -> str:
        """The text of a statement, with its decorators."""
        decorators = getattr(node, "decorator_list", [])
        first = min([node.lineno, *(item.lineno for item in decorators)])
        last = node.end_lineno or node.lineno
        chosen = [line.encode() for line in self.lines[first - 1 : last]]
        # Columns count bytes of UTF-8; another statement may stand on the same line.
        chosen[-1] = chosen[-1][: node.end_col_offset]
        if not decorators:
            chosen[0] = chosen[0][node.col_offset :]
        return b"\n".join(chosen).decode()


def read_source(content: bytes | str, *, part: Part, file: str) -> Source:
    """Parse a file's content.

    Raises:
        UnreadableScript: it is too large, no UTF-8, no Python, or nested too deep.
    """
    text = decoded(content, part=part, file=file)
    try:
        tree = ast.parse(text)
    except SyntaxError as error:
        reason = f"is not Python {error.msg and f'({error.msg})'}".strip()
        raise UnreadableScript(part, file, reason, line=error.lineno) from error
    except (ValueError, RecursionError, MemoryError, OverflowError) as error:
        raise UnreadableScript(part, file, "cannot be parsed: nested too deep, or not text") from error
    # Not `splitlines`: Python's lines end at a newline only, not at U+2028 or a form feed.
    source = Source(part, file, text, tuple(text.split("\n")), tree)
    if len(tree.body) > MAX_STATEMENTS:
        raise source.refused(tree.body[MAX_STATEMENTS], f"more than {MAX_STATEMENTS} statements")
    deep = _too_deep(tree)
    if deep is not None:
        raise UnreadableScript(part, file, f"is nested more than {MAX_DEPTH} levels deep", line=deep)
    return source


def decoded(content: bytes | str, *, part: Part, file: str, most: int = MAX_TEXT_BYTES) -> str:
    """The content as text that can be stored and parsed.

    Raises:
        UnreadableScript: too large, no UTF-8, or with NUL in it.
    """
    try:
        raw = content if isinstance(content, bytes) else content.encode()
        text = raw.decode("utf-8-sig")
    except UnicodeError as error:
        raise UnreadableScript(part, file, "must be text in UTF-8") from error
    if len(raw) > most:
        raise UnreadableScript(part, file, f"has {len(raw)} bytes; {most} are allowed")
    if "\0" in text:
        raise UnreadableScript(part, file, "has a NUL character")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _too_deep(tree: ast.Module) -> int | None:
    """The line of the first node beyond the depth; None: there is none."""
    level: list[ast.AST] = [tree]
    for _ in range(MAX_DEPTH):
        level = [child for node in level for child in ast.iter_child_nodes(node)]
        if not level:
            return None
    return next((node.lineno for node in level if hasattr(node, "lineno")), 1)


def walk_outside_functions(node: ast.AST) -> Iterator[ast.AST]:
    """What runs when the statement runs: the nodes below it, but for the bodies of functions and lambdas."""
    pending = [node]
    while pending:
        current = pending.pop()
        yield current
        if isinstance(current, ast.FunctionDef | ast.AsyncFunctionDef):
            pending.extend(signature_nodes(current))
        elif not isinstance(current, ast.Lambda):
            pending.extend(ast.iter_child_nodes(current))


def signature_nodes(function: ast.FunctionDef | ast.AsyncFunctionDef) -> list[ast.AST]:
    """What of a function is evaluated where it is defined."""
    nodes: list[ast.AST] = [*function.decorator_list, function.args]
    return [*nodes, function.returns] if function.returns else nodes
