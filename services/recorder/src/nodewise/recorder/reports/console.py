"""The report on a terminal."""

from typing import TYPE_CHECKING, Final

from nodewise.recorder.reports.build import Report
from nodewise.recorder.reports.tabular import TASKS_TITLE, TextTable, summary, text_tables

if TYPE_CHECKING:
    from rich.console import Console

_MAX_ROWS: Final = 200


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
    for table in text_tables(report, max_rows=_MAX_ROWS):
        if tasks or table.title != TASKS_TITLE:
            _print_table(table, console)


def _print_table(table: TextTable, console: "Console") -> None:
    from rich.table import Table  # noqa: PLC0415 - only where something is printed
    from rich.text import Text  # noqa: PLC0415 - only where something is printed

    left_out = f"{table.left_out} more rows: nodewise export" if table.left_out else None
    shown = Table(title=table.title, caption=left_out, title_justify="left")
    for column in table.columns:
        shown.add_column(column.heading, justify="right" if column.right else "left", overflow="fold")
    for cells in table.cells:
        shown.add_row(*(Text(cell) for cell in cells))
    console.print(shown)
