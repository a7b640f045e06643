"""The report on a terminal."""

from typing import TYPE_CHECKING, Final

from nodewise.recorder.reports.build import Report
from nodewise.recorder.reports.tabular import TASKS_TITLE, TextTable, summary, text_tables

if TYPE_CHECKING:
    from rich.console import Console

_MAX_ROWS: Final = 200
_ROOM_FOR_FRAMES: Final = 120


def print_report(report: Report, console: "Console", *, tasks: bool = True) -> None:
    """Print all tables; of long ones the first rows (the page and the export have the rest).

    Args:
        report: What to print.
        console: Where to.
        tasks: Whether to print the table with a row for each task.
    """
    from rich.table import Table  # noqa: PLC0415 - only where something is printed

    if report.empty:
        console.print("Nothing has run yet.")
        return
    figures = Table(title="Summary", show_header=False, title_justify="left")
    for name, figure in summary(report):
        figures.add_row(name, figure)
    console.print(figures)
    shown = [
        table
        for table in text_tables(report, max_rows=_MAX_ROWS, width=console.width)
        if tasks or table.title != TASKS_TITLE
    ]
    for table in shown:
        _print_table(table, console)
    if any(table.narrowed for table in shown):
        console.print("The page and a wider terminal show more columns.", highlight=False)


def _longest_word(table: TextTable, index: int) -> int:
    """How wide a column of figures must be: its heading may take two lines, its figures may not."""
    words = table.columns[index].heading.split()
    return max(map(len, [*words, *(cells[index] for cells in table.cells)]))


def _print_table(table: TextTable, console: "Console") -> None:
    from rich import box  # noqa: PLC0415 - only where something is printed
    from rich.table import Table  # noqa: PLC0415 - only where something is printed
    from rich.text import Text  # noqa: PLC0415 - only where something is printed

    left_out = f"{table.left_out} more rows: nodewise export" if table.left_out else None
    frame = box.HEAVY_HEAD if console.width >= _ROOM_FOR_FRAMES else box.SIMPLE_HEAD
    shown = Table(title=table.title, caption=left_out, title_justify="left", box=frame)
    shown.collapse_padding = shown.pad_edge = frame is box.SIMPLE_HEAD
    for index, column in enumerate(table.columns):
        shown.add_column(
            column.heading,
            justify="right" if column.right else "left",
            overflow="fold",
            max_width=_longest_word(table, index) if column.right else None,
        )
    for cells in table.cells:
        shown.add_row(*(Text(cell) for cell in cells))
    console.print(shown)
