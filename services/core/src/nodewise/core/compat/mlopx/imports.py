"""What the names mean that a file of mlopx imports."""

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

from nodewise.core.compat.mlopx.model import ArtifactKind
from nodewise.core.compat.mlopx.texts import Source

OURS: Final = "nodewise.sdk.compat.mlopx"
CLASSES: Final = frozenset({"Component", "Pipeline"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Marker:
    """A type of mlopx that marks an argument as an artifact, with its words in KFP's types."""

    kind: ArtifactKind
    is_output: bool
    words: str


MARKERS: Final[Mapping[str, Marker]] = MappingProxyType(
    {
        f"{way}{kind}": Marker(
            kind=ArtifactKind[kind.upper()],
            is_output=way == "Output",
            words=f"dsl.{way}[dsl.{kind}]",
        )
        for way in ("Input", "Output")
        for kind in ("Dataset", "Model")
    }
)


@dataclass(frozen=True, slots=True)
class Imported:
    """One imported name: `from module import name`, or `import module` (then `name` is None)."""

    module: str
    name: str | None = None


@dataclass(slots=True)
class Imports:
    """The names that a file's top-level imports bind, in the order of the file."""

    names: dict[str, Imported] = field(default_factory=dict)

    def add(self, node: ast.Import | ast.ImportFrom, source: Source) -> None:
        """Take one statement.

        Raises:
            UnreadableScript: it imports whatever a module has, or from a folder that does not travel.
        """
        self.names.update(bound_by(node, source))

    def marker(self, name: str) -> Marker | None:
        """The type of mlopx that the name stands for."""
        found = self.names.get(name)
        if found is None or found.name is None or not is_ours(found.module):
            return None
        return MARKERS.get(found.name)


def bound_by(node: ast.Import | ast.ImportFrom, source: Source) -> Iterator[tuple[str, Imported]]:
    """The names that an import binds, and what they are.

    Raises:
        UnreadableScript: as `Imports.add`.
    """
    if isinstance(node, ast.Import):
        for alias in node.names:
            root = alias.name.partition(".")[0]
            yield (alias.asname, Imported(alias.name)) if alias.asname else (root, Imported(root))
        return
    module = node.module or ""
    if node.level:
        raise source.refused(node, "a relative import: a component travels alone, as one file")
    for alias in node.names:
        if alias.name != "*":
            yield alias.asname or alias.name, Imported(module, alias.name)
        elif is_ours(module):
            yield from ((name, Imported(module, name)) for name in (*MARKERS, *CLASSES))
        elif module not in ("typing", "kfp.dsl"):
            raise source.refused(node, "`import *` hides which names there are: import them by name")


def is_ours(module: str) -> bool:
    """Whether it is a module of mlopx, or of our own with the same classes."""
    return module == "mlopx" or module.startswith(("mlopx.", OURS))
