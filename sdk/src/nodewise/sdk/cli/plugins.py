"""Commands of other portions, found by entry point and loaded when they are used."""

from functools import cache
from importlib.metadata import EntryPoint, entry_points
from types import MappingProxyType
from typing import Any, Final

import typer
from typer.core import TyperCommand

from nodewise.sdk.cli.reporting import debugging, fail

GROUP: Final = "nodewise.commands"

_KNOWN: Final = MappingProxyType(
    {
        "up": ("nodewise-stack", "Start the whole stack on this machine."),
        "down": ("nodewise-stack", "Stop it; the data stays."),
        "doctor": ("nodewise-stack", "Check machine and stack, and say what to do."),
        "agent": ("nodewise-agent", "Join this machine to a cluster as a node."),
        "report": ("nodewise-recorder", "Print the report, and write report.html."),
        "export": ("nodewise-recorder", "Write runs and tables as JSON, CSV, Parquet."),
        "simulate": ("nodewise-simulator", "Say what would happen to the tasks of a problem."),
        "replay": ("nodewise-simulator", "Say what recorded history would have been otherwise."),
    }
)
"""Commands that belong to a full installation: their portion, and the help line (which must not cost an import)."""


class LazyCommand(TyperCommand):
    """Stands for a portion's command in the help; becomes the real one when it is called."""

    def __init__(self, name: str, *, summary: str, entry: EntryPoint | None, portion: str) -> None:
        super().__init__(name, help=summary, short_help=summary)
        self._entry = entry
        self._portion = portion

    def make_context(self, info_name: str | None, args: list[str], parent: Any = None, **extra: Any) -> Any:
        """The context of the real command, so that its options and its help count."""
        return self._load().make_context(info_name, args, parent=parent, **extra)

    def _load(self) -> Any:
        if self._entry is None:
            fail(
                f"`nodewise {self.name}` comes with {self._portion}, which is not installed: pip install {self._portion}"
            )
        try:
            found = self._entry.load()
        except (ImportError, AttributeError) as error:
            if debugging():
                raise
            fail(f"`nodewise {self.name}` ({self._portion}) cannot be loaded: {error}")
        return _as_command(self.name or "", found)


def _as_command(name: str, found: Any) -> Any:
    """A function, a Typer app, or a finished command."""
    if isinstance(found, typer.Typer):
        return typer.main.get_command(found)
    if hasattr(found, "make_context"):
        return found
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)
    app.command(name)(found)
    return typer.main.get_command(app)


@cache
def offered_commands() -> dict[str, LazyCommand]:
    """Every command that a portion offers or should offer, the well-known ones first."""
    entries = {entry.name: entry for entry in entry_points(group=GROUP)}
    names = [*_KNOWN, *sorted(set(entries) - set(_KNOWN))]
    return {name: _lazy(name, entries.get(name)) for name in names}


def _lazy(name: str, entry: EntryPoint | None) -> LazyCommand:
    offering = entry.dist.name if entry is not None and entry.dist is not None else None
    portion, summary = _KNOWN.get(name, (offering or "another package", f"From {offering}."))
    return LazyCommand(name, summary=summary, entry=entry, portion=offering or portion)
