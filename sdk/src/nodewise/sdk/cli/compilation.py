"""`nodewise compile`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nodewise.sdk.cli.reporting import fail
from nodewise.sdk.cli.submit import Target

if TYPE_CHECKING:
    from nodewise.sdk import CompiledPipeline

_SUFFIXES = (".yaml", ".yml")


def compile_(
    target: Target,
    *,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="Where to; else it is printed.")
    ] = None,
) -> None:
    """Compile a pipeline to YAML that plain KFP runs, too.

    What is said for Nodewise travels in a section that KFP ignores.
    """
    from nodewise.sdk import load_submission  # noqa: PLC0415

    if output is not None and output.suffix.lower() not in _SUFFIXES:
        fail(f"{output}: KFP reads pipelines from .yaml", code=2)
    compiled = load_submission(target)
    if output is None:
        typer.echo(compiled.yaml(), nl=False)
        return
    _write(compiled, output)
    typer.echo(f"{output}  {compiled.name}")


def _write(compiled: CompiledPipeline, output: Path) -> None:
    try:
        compiled.write(output)
    except OSError as error:
        fail(f"{output} cannot be written: {error.strerror or error}")
