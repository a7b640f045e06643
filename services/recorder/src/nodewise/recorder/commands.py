"""`nodewise report` and `nodewise export`: loaded by the CLI through entry points, so imports stay light."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Final

import typer

from nodewise.recorder.connecting import NotPossible, connected

_WIDTH_OF_A_FILE: Final = 160
"""Columns of the tables where the output is not a terminal."""

DatabaseOption = Annotated[
    str | None,
    typer.Option(
        "--database", metavar="URL", help="Postgres URL; else DATABASE_URL, else the stack started here."
    ),
]


def report(
    database: DatabaseOption = None,
    output: Annotated[Path, typer.Option("--output", "-o", help="The page to write.")] = Path(
        "out/report.html"
    ),
    since: Annotated[
        str | None,
        typer.Option("--since", help="Only runs submitted since then (ISO 8601; UTC unless it says)."),
    ] = None,
    tasks: Annotated[
        bool, typer.Option("--tasks/--no-tasks", help="Print a row for each task; the page always has them.")
    ] = True,
) -> None:
    """Print what ran where, how long it waited and took, and write it as one self-contained page."""
    from rich.console import Console  # noqa: PLC0415 - a command's imports wait for its use

    from nodewise.recorder.reports import (  # noqa: PLC0415 - a command's imports wait for its use
        build_report,
        print_report,
        render_html,
    )

    start = _moment(since)
    with connected(database) as connection:
        built = build_report(connection, since=start)
    page = render_html(built)
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        output.write_text(page, encoding="utf-8")
    except OSError as error:
        raise NotPossible(f"cannot write {output}: {error.strerror}") from error
    console = Console()
    if not console.is_terminal:
        console = Console(width=_WIDTH_OF_A_FILE)
    print_report(built, console, tasks=tasks)
    console.print(f"Wrote {output}", highlight=False)


def export(
    directory: Annotated[
        Path | None, typer.Argument(help="Folder to write into; made if absent.", show_default=False)
    ] = None,
    database: DatabaseOption = None,
    *,
    problem: Annotated[
        Path | None,
        typer.Option(
            "--problem", metavar="FILE", help="Write what ran as a problem for `nodewise simulate`."
        ),
    ] = None,
    since: Annotated[
        str | None,
        typer.Option("--from", metavar="DATE", help="Problem: only what was submitted since then."),
    ] = None,
    until: Annotated[
        str | None, typer.Option("--to", metavar="DATE", help="Problem: only what was submitted until then.")
    ] = None,
) -> None:
    """Write pipelines.json, n_pipelines.csv, predictions.csv and Parquet files of every table; or a problem."""
    if (since or until) and problem is None:
        raise NotPossible("--from and --to go with --problem FILE")
    if directory is None and problem is None:
        raise NotPossible("name a folder to write into, or --problem FILE")
    if directory is not None:
        _export_tables(directory, database)
    if problem is not None:
        from nodewise.recorder.recorded import write_problem  # noqa: PLC0415 - a command's imports wait for its use

        typer.echo(write_problem(problem, database, since=since, until=until))


def _export_tables(directory: Path, database: str | None) -> None:
    from nodewise.recorder.reports import export_all  # noqa: PLC0415 - a command's imports wait for its use

    with connected(database) as connection:
        try:
            written = export_all(connection, directory)
        except OSError as error:
            raise NotPossible(f"cannot write into {directory}: {error.strerror or error}") from error
    typer.echo(f"Wrote {len(written)} files into {directory}")


def _moment(given: str | None) -> datetime | None:
    if given is None:
        return None
    try:
        found = datetime.fromisoformat(given)
    except ValueError as error:
        raise NotPossible(
            f"--since {given!r} is not a time such as 2026-11-20 or 2026-11-20T12:30"
        ) from error
    return found if found.tzinfo else found.replace(tzinfo=UTC)
