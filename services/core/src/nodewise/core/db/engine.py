"""Connections and transactions. No commit outside `transaction` (house style 8)."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import psycopg
import structlog
from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.exc import InvalidatePoolError

from nodewise.core.settings import Settings

_TRUSTED_SECONDS: Final = 2.0
"""A connection that was in use so short a time ago is not asked whether it lives: that is a round trip for each transaction. Longer than
a tick, so that services which look at each tick do not ask each time."""
_MOVED: Final = "nodewise.moved"
_log = structlog.get_logger()


def normalised_url(url: str) -> str:
    """Accept the `postgres://` and `postgresql://` that people have, and name our driver."""
    for prefix in ("postgresql+psycopg://", "postgresql://", "postgres://"):
        if url.startswith(prefix):
            return "postgresql+psycopg://" + url.removeprefix(prefix)
    return url


def plain_url(url: str) -> str:
    """The same address as psql and other tools take it."""
    return "postgresql://" + normalised_url(url).removeprefix("postgresql+psycopg://")


def create_database(settings: Settings, *, pool_size: int = 5, name: str = "nodewise") -> Engine:
    """An engine whose sessions run in UTC and give up on a lock after 10 s instead of hanging."""
    engine = create_engine(
        normalised_url(settings.database_url),
        pool_size=pool_size,
        # Values of users' pipelines must not get into logs with a statement that failed.
        hide_parameters=True,
        max_overflow=10,
        connect_args={
            "application_name": name,
            "connect_timeout": 5,
            "options": "-c timezone=UTC -c lock_timeout=10s -c idle_in_transaction_session_timeout=60s",
        },
    )
    _ask_whether_they_live(engine)
    return engine


def _ask_whether_they_live(engine: Engine) -> None:
    """Let SQLAlchemy open all connections anew if one that rested is dead, as after a restart: before a statement fails."""

    @event.listens_for(engine, "checkin")
    def note(_: object, record: Any) -> None:
        record.info["used"] = time.monotonic()

    @event.listens_for(engine, "checkout")
    def ask(connection: Any, record: Any, _: object) -> None:
        used = record.info.get("used")
        if used is None or time.monotonic() - used < _TRUSTED_SECONDS:
            return
        try:
            engine.dialect.do_ping(connection)
        except psycopg.Error as error:
            raise InvalidatePoolError from error


@contextmanager
def transaction(engine: Engine) -> Iterator[Connection]:
    """One transaction: commits at the end, rolls back on any error. What `note_move` was told is logged once it is true."""
    with engine.begin() as connection:
        connection.info.pop(_MOVED, None)
        yield connection
        moved = connection.info.pop(_MOVED, None)
    if moved:
        _log.info("moved", runs=moved)


def note_move(connection: Connection, run_id: str, what: str, state: str) -> None:
    """Have the log say, after the commit, that a task (or the run itself) is in that state now: by run, so that it can be followed."""
    connection.info.setdefault(_MOVED, {}).setdefault(run_id, {})[what] = str(state)


@contextmanager
def reading(engine: Engine) -> Iterator[Connection]:
    """For statements that only read, each for itself: without the two round trips that begin and end a transaction."""
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        yield connection


@contextmanager
def snapshot(engine: Engine) -> Iterator[Connection]:
    """One transaction for reading only: all its statements see the same moment."""
    options = {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
    with engine.connect().execution_options(**options) as connection, connection.begin():
        yield connection
