"""The whole of KFP's IR, interpreted: sub-pipelines, loops, conditions, exit handlers. Pure; no user code is executed here."""

from nodewise.core.ir.dynamic.advance import advance, inputs_of
from nodewise.core.ir.dynamic.moves import Advance, applied
from nodewise.core.ir.dynamic.reader import MAX_INSTANCES, read_program
from nodewise.core.ir.dynamic.rows import Row, Rows, RunFacts
from nodewise.core.ir.dynamic.tree import Program
from nodewise.core.ir.dynamic.values import Values, bind

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
    "inputs_of",
    "read_program",
]
