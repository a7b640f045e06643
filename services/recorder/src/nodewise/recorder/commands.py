"""`nodewise report` and `nodewise export`: loaded by the CLI through entry points, so imports stay light."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from nodewise.core.errors import NodewiseError

if TYPE_CHECKING:
    from sqlalchemy import Connection

_WIDTH_OF_A_FILE: Final = 160
"""Columns of the tables where the output is not a terminal."""

DatabaseOption = Annotated[
    str | None,
    typer.Option(
        "--database", metavar="URL", help="Postgres URL; else DATABASE_URL, else the stack started here."
    ),
]


class NotPossible(NodewiseError):
    """A report or an export that cannot be made from here; says what is missing."""


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
    with _connected(database) as connection:
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
    directory: Annotated[Path, typer.Argument(help="Folder to write into; made if absent.")],
    database: DatabaseOption = None,
) -> None:
    """Write pipelines.json, n_pipelines.csv, predictions.csv and Parquet files of every table."""
    from nodewise.recorder.reports import export_all  # noqa: PLC0415 - a command's imports wait for its use

    with _connected(database) as connection:
        try:
            written = export_all(connection, directory)
        except OSError as error:
            raise NotPossible(f"cannot write into {directory}: {error.strerror or error}") from error
    typer.echo(f"Wrote {len(written)} files into {directory}")


def database_url(given: str | None) -> str:
    """The database that is meant: named, in the environment, or of the stack that was started here.

    Raises:
        NotPossible: None of the three; says what to do.
    """
    named = given or os.environ.get("DATABASE_URL") or os.environ.get("NODEWISE_DATABASE_URL") or _of_stack()
    if named:
        return named
    raise NotPossible("no database: give --database URL, set DATABASE_URL, or start one with `nodewise up`")


def _of_stack() -> str | None:
    from nodewise.core.settings import home_from  # noqa: PLC0415 - a command's imports wait for its use

    home = os.environ.get("NODEWISE_HOME")
    folder = Path(home) if home else home_from(Path.cwd())
    try:
        found = json.loads((folder / "stack.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    url = found.get("database_url") if isinstance(found, dict) else None
    return url if isinstance(url, str) else None


@contextmanager
def _connected(given: str | None) -> "Iterator[Connection]":
    """A connection in one read-only snapshot, so that all tables of a report agree."""
    from sqlalchemy.exc import ArgumentError, OperationalError, ProgrammingError  # noqa: PLC0415 - see above

    from nodewise.core.db.engine import create_database  # noqa: PLC0415 - see above
    from nodewise.core.settings import Settings  # noqa: PLC0415 - see above

    url = database_url(given)
    try:
        engine = create_database(Settings(database_url=url), name="nodewise-report")
        options = {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
        with engine.connect() as connection:
            yield connection.execution_options(**options)
        engine.dispose()
    except ArgumentError as error:
        raise NotPossible(f"{url!r} is not the URL of a database") from error
    except OperationalError as error:
        raise NotPossible(f"the database does not answer: {_first_line(error.orig)}") from error
    except ProgrammingError as error:
        raise NotPossible(
            f"this is not a Nodewise database of this version: {_first_line(error.orig)}"
        ) from error


def _first_line(error: object) -> str:
    return (str(error).strip() or "no details").splitlines()[0]


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
