"""Fixtures of all tests. Servers start only for a test that asks for them, once per session."""

import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest
import redis
import structlog
from sqlalchemy import Engine

from nodewise.core.db.engine import create_database
from nodewise.core.settings import Settings
from nodewise.stack.postgres import PostgresServer
from nodewise.stack.valkey import ValkeyServer
from tests.support.databases import Databases
from tests.support.servers import postgres_in, valkey_in

# A slow machine must not fail a test, and CI must fail for a change, not for a draw; elsewhere examples differ each time.
hypothesis.settings.register_profile(
    "nodewise",
    deadline=None,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
    derandomize="CI" in os.environ,
)
hypothesis.settings.load_profile("nodewise")

# What structlog prints unless told otherwise draws a framed traceback with all variables, which can take very long.
structlog.configure(
    processors=[
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback),
    ],
    # As services do, so that stdout is what a command answers.
    logger_factory=lambda *_: structlog.PrintLogger(sys.stderr),
)


@pytest.fixture(scope="session")
def postgres_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresServer]:
    """A running embedded Postgres."""
    with postgres_in(tmp_path_factory.mktemp("servers") / "postgres") as server:
        yield server


@pytest.fixture(scope="session")
def valkey_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ValkeyServer]:
    """A running embedded Valkey."""
    with valkey_in(tmp_path_factory.mktemp("servers") / "valkey") as server:
        yield server


@pytest.fixture(scope="session")
def databases(postgres_server: PostgresServer) -> Databases:
    """Makes fresh, migrated databases."""
    return Databases(postgres_server)


@pytest.fixture
def database_url(databases: Databases) -> Iterator[str]:
    """A fresh, migrated database of this test's own."""
    name = databases.create()
    yield databases.url(name)
    databases.give_back(name)


@pytest.fixture
def empty_database_url(databases: Databases) -> Iterator[str]:
    """A database without our schema."""
    name = databases.create_empty()
    yield databases.url(name)
    databases.give_back(name)


@pytest.fixture
def redis_url(valkey_server: ValkeyServer) -> str:
    """A real Valkey with nothing in it."""
    with redis.Redis.from_url(valkey_server.url()) as client:
        client.flushall()
    return valkey_server.url()


@pytest.fixture
def store_url(tmp_path: Path) -> str:
    """An artifact store of this test's own."""
    folder = tmp_path / "store"
    folder.mkdir()
    return folder.as_uri()


@pytest.fixture
def settings(database_url: str, redis_url: str, store_url: str) -> Settings:
    """Settings of a service on this test's own servers. Its gateway wants no keys: tests of these say so."""
    return Settings(database_url=database_url, redis_url=redis_url, store_url=store_url, auth="off")


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    """A SQLAlchemy engine on this test's database."""
    engine = create_database(Settings(database_url=database_url), name="test")
    yield engine
    engine.dispose()


@pytest.fixture(scope="session")
def prometheus_binary() -> str:
    """A Prometheus to run. Where NODEWISE_REQUIRE_PROMETHEUS is set, its absence fails instead of skipping."""
    found = shutil.which("prometheus")
    if found is None and os.environ.get("NODEWISE_REQUIRE_PROMETHEUS"):
        pytest.fail("NODEWISE_REQUIRE_PROMETHEUS is set, but there is no `prometheus` on PATH")
    if found is None:
        pytest.skip("no `prometheus` on PATH (Debian: apt-get install prometheus)")
    return found
