"""The whole of KFP's IR, interpreted: sub-pipelines, loops, conditions, exit handlers. Pure; no user code is executed here.

The reader is loaded when it is asked for: KFP's messages take a second, and an agent, which carries out what was read, needs none.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from nodewise.core.ir.advance import advance
from nodewise.core.ir.moves import Advance, applied
from nodewise.core.ir.rows import Row, Rows, RunFacts
from nodewise.core.ir.tree import Program
from nodewise.core.ir.values import bind
from nodewise.core.model.artifact import Values

if TYPE_CHECKING:
    from nodewise.core.ir.reader import MAX_INSTANCES, read_program

__all__ = [
    "MAX_INSTANCES",
    "Advance",
    "Program",
    "Row",
    "Rows",
    "RunFacts",
    "Values",
    "advance",
    "applied",
    "bind",
    "read_program",
]


def __getattr__(name: str) -> Any:
    if name in ("MAX_INSTANCES", "read_program"):
        return getattr(import_module("nodewise.core.ir.reader"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
