"""That a test finds an empty database, whatever the one before it did to the same one."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from sqlalchemy import Engine, create_engine, insert, text
from sqlalchemy.exc import DBAPIError

from nodewise.core.db import schema
from nodewise.core.db.engine import normalised_url
from nodewise.core.model.resources import Resources
from nodewise.stack.postgres import PostgresServer
from tests.support.databases import Databases
from tests.support.rows import counted_rows, insert_node, insert_run, insert_task

OID = text("SELECT oid FROM pg_database WHERE datname = current_database()")


@pytest.fixture(scope="module")
def databases(postgres_server: PostgresServer) -> Databases:
    """This module's own."""
    return Databases(postgres_server)


@contextmanager
def used(databases: Databases, name: str) -> Iterator[Engine]:
    engine = create_engine(normalised_url(databases.url(name)))
    try:
        yield engine
    finally:
        engine.dispose()


def identity(engine: Engine) -> int:
    with engine.connect() as connection:
        return int(connection.execute(OID).scalar_one())


def an_event(engine: Engine) -> int:
    """Write a run with an event; return the number that the event got."""
    with engine.begin() as connection:
        run_id = insert_run(connection)
        event = {"run_id": run_id, "event": "submit", "to_state": "PENDING", "service": "test"}
        return int(
            connection.execute(insert(schema.events).values(event).returning(schema.events.c.id)).scalar_one()
        )


def test_a_database_is_used_again_and_nothing_is_left_in_it(databases: Databases) -> None:
    first = databases.create()
    with used(databases, first) as engine:
        with engine.begin() as connection:
            insert_node(connection, "n1", Resources(millicores=1000, memory_mib=1000))
            insert_task(connection, insert_run(connection), "train")
        assert an_event(engine) == 1
        before = identity(engine)
    databases.give_back(first)
    second = databases.create()
    with used(databases, second) as engine:
        assert identity(engine) == before
        assert not any(counted_rows(engine).values())
        assert an_event(engine) == 1
    databases.give_back(second)


def test_who_still_holds_the_old_one_does_not_reach_the_next_test(databases: Databases) -> None:
    first = databases.create()
    with used(databases, first) as engine:
        connection = engine.connect()
        connection.execute(text("SELECT 1"))
        databases.give_back(first)
        second = databases.create()
        assert second != first
        with pytest.raises(DBAPIError):
            connection.execute(text("SELECT 1"))
        with pytest.raises(DBAPIError, match="does not exist"):
            engine.connect()
    databases.give_back(second)


@pytest.mark.parametrize(
    "change",
    [
        "DROP TABLE datasets",
        "ALTER TABLE runs ADD COLUMN more int",
        "ALTER TABLE attempts DROP CONSTRAINT attempts_node_fkey",
        "UPDATE alembic_version SET version_num = '0001'",
        "DROP SCHEMA public CASCADE",
        "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET statement_timeout = 1', current_database()); END $$",
        "INSERT INTO pipeline_specs (digest, ir, platforms) "
        "SELECT i::text, jsonb_build_object('text', repeat('long', 1000)), '{}' FROM generate_series(1, 90000) i",
    ],
)
def test_one_that_is_not_as_it_was_is_not_used_again(databases: Databases, change: str) -> None:
    first = databases.create()
    with used(databases, first) as engine:
        with engine.begin() as connection:
            connection.execute(text(change))
        before = identity(engine)
    databases.give_back(first)
    second = databases.create()
    with used(databases, second) as engine:
        assert identity(engine) != before
        assert not any(counted_rows(engine).values())
    databases.give_back(second)
