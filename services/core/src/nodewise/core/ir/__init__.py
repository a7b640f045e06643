"""KFP's compiled IR: reading it into the model, and interpreting it. Pure; no user code is ever executed here."""

from nodewise.core.ir.interpreter import (
    Advance,
    ResolvedInputs,
    advance,
    build_job,
    resolve_inputs,
)
from nodewise.core.ir.parameters import bind_parameters
from nodewise.core.ir.reader import SCHEMA_VERSION, read_pipeline

__all__ = [
    "SCHEMA_VERSION",
    "Advance",
    "ResolvedInputs",
    "advance",
    "bind_parameters",
    "build_job",
    "read_pipeline",
    "resolve_inputs",
]
