"""How errors reach the user: one line on stderr."""

import os
import sys
from typing import NoReturn

import typer


def debugging() -> bool:
    """Whether NODEWISE_DEBUG asks for tracebacks."""
    return os.environ.get("NODEWISE_DEBUG", "") not in {"", "0"}


def fail(message: str, *, code: int = 1) -> NoReturn:
    """Say what went wrong on stderr, and end."""
    typer.echo(f"error: {message}", err=True)
    raise typer.Exit(code)


def is_terminal() -> bool:
    """Whether stdout is a screen: only then may it be animated."""
    return sys.stdout.isatty()
