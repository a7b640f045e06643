"""Pipelines as they are read. The same one comes again and again, with other parameters: it is read once.

Reading costs a millisecond for the smallest (`python -m bench.stack submitting`). A `Program` is never changed, so all may have the same.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final

from nodewise.api.requests import SubmitRequest
from nodewise.core.engine.kubeflow.reading import readable
from nodewise.core.ir import Program, read_program
from nodewise.core.ir.foresight import check_foreseeable
from nodewise.core.ir.placeholders import bounded_expansion
from nodewise.core.model.engines import KUBEFLOW

_REMEMBERED: Final = 64
_LONGEST_REMEMBERED: Final = 64 * 1024
"""Characters of JSON: what is remembered stays below some tens of MiB, whatever is sent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadPipeline:
    """A pipeline. `digest` is equal for equal ones, whatever their spelling: its name among the stored ones."""

    program: Program
    digest: str


@dataclass(frozen=True, kw_only=True)
class _Reading:
    """What decides what is read, and what it is read of."""

    digest: str
    engine: str
    max_instances: int
    ir: Mapping[str, object] = field(compare=False)
    platforms: Mapping[str, object] = field(compare=False)


def read_pipeline(request: SubmitRequest, *, engine: str, max_instances: int) -> ReadPipeline:
    """Read the pipeline of a request for an engine.

    Args:
        request: that names it.
        engine: where it is to run.
        max_instances: how many tasks, DAGs and iterations a run of it may ever have.

    Raises:
        InvalidPipeline: The IR breaks a rule, or something of it would fail in every run.
    """
    canonical = canonical_json({"ir": request.pipeline_spec, "platforms": request.platforms})
    digest = hashlib.sha256(canonical.encode()).hexdigest()
    reading = _Reading(
        digest=digest,
        engine=engine,
        max_instances=max_instances,
        ir=request.pipeline_spec,
        platforms=request.platforms,
    )
    read = _remembered if len(canonical) <= _LONGEST_REMEMBERED else _read
    return ReadPipeline(program=read(reading), digest=digest)


def canonical_json(value: object) -> str:
    """Equal for equal values: sorted keys, no spaces."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"))


def _read(reading: _Reading) -> Program:
    fractions = reading.engine == KUBEFLOW
    platforms = readable(reading.platforms) if fractions else reading.platforms
    program = read_program(reading.ir, platforms, max_instances=reading.max_instances)
    with bounded_expansion():
        check_foreseeable(program, fractions=fractions)
    return program


_remembered = lru_cache(maxsize=_REMEMBERED)(_read)
