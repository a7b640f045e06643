"""The database that a command means, and a connection to it. Imports wait for their use: commands load this."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from nodewise.core.errors import NodewiseError

if TYPE_CHECKING:
    from sqlalchemy import Connection


class NotPossible(NodewiseError):
    """A report or an export that cannot be made from here; says what is missing."""


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
def connected(given: str | None) -> "Iterator[Connection]":
    """A connection in one read-only snapshot, so that all tables of a report agree."""
    from sqlalchemy.exc import ArgumentError, OperationalError, ProgrammingError  # noqa: PLC0415 - see above

    from nodewise.core.db.engine import create_database  # noqa: PLC0415 - see above
    from nodewise.core.settings import Settings  # noqa: PLC0415 - see above

    url = database_url(given)
    try:
        engine = create_database(Settings(database_url=url), name="nodewise-report")
        options = {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
        try:
            with engine.connect() as connection:
                yield connection.execution_options(**options)
        finally:
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
