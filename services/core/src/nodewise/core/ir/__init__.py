"""The whole of KFP's IR, interpreted: sub-pipelines, loops, conditions, exit handlers. Pure; no user code is executed here."""

from nodewise.core.ir.advance import advance
from nodewise.core.ir.moves import Advance, applied
from nodewise.core.ir.reader import MAX_INSTANCES, read_program
from nodewise.core.ir.rows import Row, Rows, RunFacts
from nodewise.core.ir.tree import Program
from nodewise.core.ir.values import bind
from nodewise.core.model.artifact import Values

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
