"""Tables on the terminal, and what a part leaves behind."""

from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table

from bench.placement.targets import Target

WIDTH = 140


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What a part found: figures for the file, and targets with their values."""

    figures: dict[str, object]
    targets: tuple[Target, ...] = ()


def show(title: str, headings: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table; its first column is text, the others are figures."""
    say(f"\n{title}")
    table = Table()
    for k, heading in enumerate(headings):
        table.add_column(heading, justify="right" if k else "left", no_wrap=not k)
    for row in rows:
        table.add_row(*row)
    Console(width=WIDTH).print(table)


def say(text: str) -> None:
    print(text, flush=True)
