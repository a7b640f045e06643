"""Errors in what a user wrote, with the place in his own file."""

import contextlib
import inspect
import os
import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final

from nodewise.core.errors import NodewiseError

_NOT_THE_USERS: Final = (str(Path(__file__).resolve().parents[1]) + os.sep, contextlib.__file__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A line of a file."""

    file: str
    line: int | None = None

    def __str__(self) -> str:
        try:
            file = str(Path(self.file).resolve().relative_to(Path.cwd()))
        except ValueError:
            file = self.file
        return file if self.line is None else f"{file}:{self.line}"


class PipelineError(NodewiseError):
    """A task or a pipeline is written in a way that cannot run. `str()` names the user's file and line."""

    def __init__(self, place: Place | None, rule: str) -> None:
        self.place = place
        self.rule = rule
        super().__init__(f"{place}: {rule}" if place else rule)


def place_of(function: Callable[..., Any]) -> Place:
    """The line of the function's `def`, behind its decorators."""
    code = function.__code__
    try:
        lines, first = inspect.getsourcelines(function)
    except OSError:
        return Place(file=code.co_filename, line=code.co_firstlineno)
    offsets = (
        number for number, line in enumerate(lines) if line.lstrip().startswith(("def ", "async def "))
    )
    return Place(file=code.co_filename, line=first + next(offsets, 0))


def place_of_caller() -> Place | None:
    """The nearest line on the stack that is not ours: what the user wrote."""
    frame = sys._getframe(1)
    while frame is not None and frame.f_code.co_filename.startswith(_NOT_THE_USERS):
        frame = frame.f_back  # type: ignore[assignment]  # None at the bottom of the stack
    return None if frame is None else Place(file=frame.f_code.co_filename, line=frame.f_lineno)


def place_in(file: str, trace: TracebackType | None) -> Place:
    """The innermost line of that file on a traceback."""
    wanted = Path(file).resolve()
    lines = [
        entry.lineno for entry in traceback.extract_tb(trace) if Path(entry.filename).resolve() == wanted
    ]
    return Place(file=file, line=lines[-1] if lines else None)
