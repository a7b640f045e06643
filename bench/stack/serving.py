"""Servers for a measurement: Postgres and Valkey, tuned for tests or as in production, and one service over them."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from nodewise.core.settings import Settings
from nodewise.stack.ports import choose_ports
from tests.support.databases import Databases
from tests.support.servers import postgres_in, valkey_in
from tests.support.waiting import wait_until


@dataclass(frozen=True, slots=True, kw_only=True)
class Servers:
    """Running servers with a fresh database. `env` is what a service needs to find them."""

    settings: Settings
    env: Mapping[str, str]


@contextmanager
def servers() -> Iterator[Servers]:
    """Postgres with everything that makes commits durable, and Valkey, in a temporary folder."""
    with tempfile.TemporaryDirectory(prefix="nodewise-bench-") as name:
        folder = Path(name)
        # The user of a server that root starts must be able to reach its folder.
        folder.chmod(0o755)
        with postgres_in(folder / "postgres", options={}) as postgres, valkey_in(folder / "valkey") as valkey:
            databases = Databases(postgres)
            settings = Settings(
                database_url=databases.url(databases.create()),
                redis_url=valkey.url(),
                store_url=(folder / "store").as_uri(),
            )
            env = {
                "NODEWISE_DATABASE_URL": settings.database_url,
                "NODEWISE_REDIS_URL": settings.redis_url,
                "NODEWISE_STORE_URL": settings.store_url,
                "NODEWISE_LOG_LEVEL": "WARNING",
                "NODEWISE_AUTH": "off",
            }
            yield Servers(settings=settings, env=env)


@contextmanager
def serving(arguments: Sequence[str], env: Mapping[str, str]) -> Iterator[int]:
    """`python ARGUMENTS` on a free port, ready; gives the port. `{port}` in the arguments is that port."""
    port = choose_ports(["service"], {})["service"]
    command = [sys.executable, *(argument.format(port=port) for argument in arguments)]
    process = subprocess.Popen(command, env={**os.environ, **env, "NODEWISE_PORT": str(port)})

    def answers() -> bool:
        try:
            return httpx.get(f"http://127.0.0.1:{port}/readyz", timeout=5).status_code == 200
        except httpx.TransportError:
            return False

    try:
        wait_until(answers, 60, f"{command} to answer")
        yield port
    finally:
        process.terminate()
        process.wait(20)
