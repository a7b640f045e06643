"""Servers for a measurement: Postgres and Valkey, tuned for tests or as in production, and services over them."""

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import psutil
import redis

from bench.measure import BenchFailed
from nodewise.core.settings import Settings
from nodewise.stack.ports import choose_ports
from tests.support.databases import Databases
from tests.support.servers import postgres_in, valkey_in
from tests.support.waiting import wait_until

OPEN: Mapping[str, str] = {"NODEWISE_AUTH": "off", "NODEWISE_NODE_KEYS": "off"}
"""Nobody but the measurement is there to be kept out."""
SEED = 1
"""Of every random choice of the services."""
_PATIENCE_SECONDS = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Servers:
    """Running servers with a fresh database. `env` is what a service needs to find them."""

    settings: Settings
    databases: Databases

    @property
    def env(self) -> Mapping[str, str]:
        return {
            **OPEN,
            "NODEWISE_SEED": str(SEED),
            "NODEWISE_DATABASE_URL": self.settings.database_url,
            "NODEWISE_REDIS_URL": self.settings.redis_url,
            "NODEWISE_STORE_URL": self.settings.store_url,
            "NODEWISE_LOG_LEVEL": "WARNING",
        }

    def afresh(self) -> "Servers":
        """The same servers with another database, and nothing in Valkey."""
        with redis.Redis.from_url(self.settings.redis_url) as client:
            client.flushall()
        url = self.databases.url(self.databases.create())
        return Servers(
            settings=self.settings.model_copy(update={"database_url": url}), databases=self.databases
        )


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
            yield Servers(settings=settings, databases=databases)


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """A process of ours that runs, and its port."""

    port: int
    pid: int

    @property
    def memory_mb(self) -> float:
        """The proportional set size of the process and its children."""
        root = psutil.Process(self.pid)
        return sum(one.memory_full_info().pss for one in (root, *root.children(recursive=True))) / 1e6

    def is_ready(self) -> bool:
        return httpx.get(f"http://127.0.0.1:{self.port}/readyz", timeout=60).status_code == 200

    def metric(self, name: str) -> float:
        """A figure of its /metrics: the sum over all labels; 0: it has none such yet."""
        said = httpx.get(f"http://127.0.0.1:{self.port}/metrics", timeout=60).text
        return sum(
            float(value) for value in re.findall(rf"^{re.escape(name)}(?:{{.*}})? (\S+)$", said, re.MULTILINE)
        )


@contextmanager
def running(arguments: Sequence[str], env: Mapping[str, str], *, ready: str = "/readyz") -> Iterator[Service]:
    """`python ARGUMENTS` on a free port, ready. `{port}` in the arguments is that port."""
    port = choose_ports(["service"], {})["service"]
    command = [sys.executable, *(argument.format(port=port) for argument in arguments)]
    ports = {"NODEWISE_PORT": str(port), "NODEWISE_METRICS_PORT": str(port)}
    process = subprocess.Popen(command, env={**os.environ, **env, **ports})

    def answers() -> bool:
        if process.poll() is not None:
            raise BenchFailed(f"{command} ended with {process.returncode}")
        try:
            return httpx.get(f"http://127.0.0.1:{port}{ready}", timeout=5).status_code == 200
        except httpx.TransportError:
            return False

    try:
        wait_until(answers, _PATIENCE_SECONDS, f"{command} to answer")
        yield Service(port=port, pid=process.pid)
    finally:
        process.terminate()
        process.wait(60)


@contextmanager
def serving(arguments: Sequence[str], env: Mapping[str, str]) -> Iterator[int]:
    """The same; gives the port."""
    with running(arguments, env) as service:
        yield service.port


def gateway(env: Mapping[str, str]) -> AbstractContextManager[Service]:
    """The api."""
    return running(("-P", "-m", "nodewise.api"), env)


def scheduler(env: Mapping[str, str], *, ready: str = "/readyz") -> AbstractContextManager[Service]:
    return running(("-P", "-m", "nodewise.scheduler"), env, ready=ready)


def placer(name: str, env: Mapping[str, str]) -> AbstractContextManager[Service]:
    return running(("-P", "-m", "nodewise.placer", "--name", name), env)
