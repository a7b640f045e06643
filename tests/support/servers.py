"""The real servers that tests run on: one Postgres and one Valkey per session, cheap databases on them."""

import itertools
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
from psycopg import sql

from nodewise.core.db.migrate import upgrade
from nodewise.stack.health import PostgresProbe, Probe, RedisProbe, problem
from nodewise.stack.ports import choose_ports
from nodewise.stack.postgres import PostgresServer, find_binaries
from nodewise.stack.privilege import run_as
from nodewise.stack.process import Program, start, stop, tail
from nodewise.stack.valkey import ValkeyServer, find_binary
from tests.support.waiting import wait_until

_TEMPLATE = "nodewise_template"
# Tests lose nothing that matters in a power cut.
_FAST = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off", "shared_buffers": "64MB"}


class Databases:
    """Fresh, migrated databases on one server: copies of a template, which is many times faster than migrating."""

    def __init__(self, server: PostgresServer) -> None:
        self._server = server
        self._numbers = itertools.count(1)
        server.ensure_database(_TEMPLATE)
        upgrade(server.url(_TEMPLATE))

    def create(self) -> str:
        """A new database; returns its name."""
        name = f"test_{next(self._numbers)}"
        self._execute(sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(_id(name), _id(_TEMPLATE)))
        return name

    def create_empty(self) -> str:
        """A new database without our schema; returns its name."""
        name = f"empty_{next(self._numbers)}"
        self._execute(sql.SQL("CREATE DATABASE {}").format(_id(name)))
        return name

    def url(self, name: str) -> str:
        return self._server.url(name)

    def drop(self, name: str) -> None:
        self._execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(_id(name)))

    def _execute(self, statement: sql.Composed) -> None:
        with psycopg.connect(self._server.url("postgres"), autocommit=True) as connection:
            connection.execute(statement)


def _id(name: str) -> sql.Identifier:
    return sql.Identifier(name)


@contextmanager
def running(program: Program, probe: Probe, *, seconds: float = 30.0) -> Iterator["subprocess.Popen[bytes]"]:
    """Start a server, wait until it answers, stop it at the end."""
    process = start(program)

    def answers() -> bool:
        assert process.poll() is None, f"{program.name} ended: {tail(program.log, 5)}"
        return problem(probe) is None

    try:
        wait_until(answers, seconds, f"{program.name} to answer")
        yield process
    finally:
        stop(process, program)


@contextmanager
def postgres_in(folder: Path) -> Iterator[PostgresServer]:
    """A running Postgres in `folder`, tuned for tests."""
    port = choose_ports(["postgres"], {})["postgres"]
    server = PostgresServer(
        binaries=find_binaries(),
        folder=folder,
        port=port,
        run_as=run_as(),
        log=folder.with_suffix(".log"),
        options=_FAST,
    )
    server.initialise()
    with running(server.program(), PostgresProbe(server.url("postgres"))):
        yield server


@contextmanager
def valkey_in(folder: Path) -> Iterator[ValkeyServer]:
    """A running Valkey in `folder` that keeps nothing on disk."""
    port = choose_ports(["valkey"], {})["valkey"]
    log = folder.with_suffix(".log")
    server = ValkeyServer(binary=find_binary(), folder=folder, port=port, log=log, durable=False)
    server.initialise()
    with running(server.program(), RedisProbe(server.url())):
        yield server
