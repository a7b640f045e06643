"""Tables and targets of what `bench.stack` measures."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table

from bench.measure import BenchFailed


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A figure that must not be above, or below, a limit."""

    what: str
    value: float
    at_most: float | None = None
    at_least: float | None = None

    @property
    def met(self) -> bool:
        above = self.at_most is not None and self.value > self.at_most
        below = self.at_least is not None and self.value < self.at_least
        return not (above or below)

    def __str__(self) -> str:
        limit = f"at most {self.at_most:g}" if self.at_most is not None else f"at least {self.at_least:g}"
        return f"{'met' if self.met else 'MISSED'}: {self.what}: {self.value:.3g} ({limit})"


def show(title: str, headings: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print a table: the first column is text, the others are figures."""
    table = Table(title=title, title_justify="left")
    for place, heading in enumerate(headings):
        table.add_column(heading, justify="right" if place else "left")
    for row in rows:
        table.add_row(*row)
    Console(width=120).print(table)


def judge(targets: Iterable[Target]) -> None:
    """Print each; fail if one is missed.

    Raises:
        BenchFailed: Names those that are missed.
    """
    found = list(targets)
    for target in found:
        print(target)
    if missed := [target.what for target in found if not target.met]:
        raise BenchFailed(f"missed: {'; '.join(missed)}")
