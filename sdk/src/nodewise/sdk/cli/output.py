"""What commands print: tables for people, JSON for programs; plain text wherever stdout is no terminal."""

import json
import sys
import textwrap
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import typer

from nodewise.sdk.cli.reporting import is_terminal
from nodewise.sdk.progress import plain_table

_WRAPPED_WIDTH = 24
"""Narrower than that a column of sentences is hard to read."""
_STYLES = {
    "SUCCEEDED": "green",
    "RUNNING": "cyan",
    "PLACED": "cyan",
    "FAILED": "red",
    "CANCELED": "yellow",
    "SKIPPED": "yellow",
    "GONE": "red",
}


def print_json(value: object) -> None:
    """Indented JSON on stdout."""
    typer.echo(json.dumps(value, indent=2, ensure_ascii=False))


def print_table(headers: Sequence[str], rows: Sequence[Sequence[Any]], *, none: str = "nothing") -> None:
    """A table, or `none` where there are no rows."""
    if not rows:
        typer.echo(none)
        return
    if not is_terminal():
        typer.echo(plain_table(headers, rows))
        return
    from rich.console import Console  # noqa: PLC0415

    console = Console(file=sys.stdout)
    if fits(headers, rows, width=console.width):
        console.print(rich_table(headers, rows))
    else:
        console.print(rich_blocks(headers, rows, width=console.width))


def fits(headers: Sequence[str], rows: Sequence[Sequence[Any]], *, width: int) -> bool:
    """Whether a table shows every value whole on a screen so wide; its last column may be wrapped."""
    widths = [max(len(str(row[i])) for row in (headers, *rows)) for i in range(len(headers))]
    return sum(widths[:-1]) + 2 * len(widths[:-1]) + min(widths[-1], _WRAPPED_WIDTH) <= width


def rich_blocks(
    headers: Sequence[str], rows: Sequence[Sequence[Any]], *, width: int, title: str | None = None
) -> Any:
    """Some lines for each row, for a narrow screen: its name and state, below them the rest, wrapped, nothing lost."""
    from rich.console import Group  # noqa: PLC0415
    from rich.padding import Padding  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    parts: list[Any] = [Text(title)] if title else []
    for row in rows:
        first, second, *rest = (str(cell) for cell in row)
        parts.append(Text.assemble((first, "bold"), "  ", (second, _STYLES.get(second, ""))))
        pairs = [
            f"{header} {cell}"
            for header, cell in zip(headers[2:], rest, strict=True)
            if cell not in ("", "-")
        ]
        parts.append(Padding(Text(_wrapped(pairs, width - 2)), (0, 0, 0, 2)))
    return Group(*parts)


def _wrapped(pairs: Sequence[str], width: int) -> str:
    """The pairs one behind the other; a line ends between two of them, or inside a long one."""
    hard = "\N{NO-BREAK SPACE}"
    whole = [pair if len(pair) > width else pair.replace(" ", hard) for pair in pairs]
    return textwrap.fill(", ".join(whole), width, break_on_hyphens=False).replace(hard, " ")


def rich_table(headers: Sequence[str], rows: Sequence[Sequence[Any]], *, title: str | None = None) -> Any:
    """The same as a rich renderable; states are coloured, the last column takes the room that is left."""
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    table = Table(title=title, title_justify="left", box=None, pad_edge=False, header_style="bold")
    for header in headers:
        # Names stay whole; only the last column, where sentences stand, is wrapped.
        table.add_column(header, no_wrap=header != headers[-1], overflow="fold")
    for row in rows:
        table.add_row(*(Text(str(cell), style=_STYLES.get(str(cell), "")) for cell in row))
    return table


def age(moment: str | None, *, now: datetime | None = None) -> str:
    """`12s`, `5m`, `3h`, `2d` since an RFC 3339 time; `-` for none."""
    if moment is None:
        return "-"
    passed = (now or datetime.now(UTC)) - datetime.fromisoformat(moment)
    seconds = max(0, int(passed.total_seconds()))
    for size, unit in ((86400, "d"), (3600, "h"), (60, "m")):
        if seconds >= size:
            return f"{seconds // size}{unit}"
    return f"{seconds}s"


def cores(millicores: int | float | None) -> str:
    """`1.5` for 1500."""
    return "-" if millicores is None else f"{millicores / 1000:g}"


def size(amount: int | float | None) -> str:
    """`532 B`, `1.2 MiB`."""
    if amount is None:
        return "-"
    value, unit = float(amount), "B"
    for larger in ("KiB", "MiB", "GiB", "TiB"):
        if value < 1024:
            break
        value, unit = value / 1024, larger
    return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"


def known(value: object) -> str:
    """`-` for what is unknown."""
    return "-" if value is None else str(value)
