"""The servers of a home: Postgres and Valkey of its own, unless the user has some."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import redis

from nodewise.core.db.engine import plain_url
from nodewise.core.errors import StoreError
from nodewise.core.settings import without_password
from nodewise.core.store import ArtifactStore, checked_url, mark_cluster
from nodewise.stack import postgres, valkey
from nodewise.stack.errors import StackError
from nodewise.stack.health import problem
from nodewise.stack.hosts import public
from nodewise.stack.plan import Endpoints, Options, Planned, Stage
from nodewise.stack.postgres import PostgresServer
from nodewise.stack.privilege import run_as
from nodewise.stack.probes import PostgresProbe, Probe, RedisProbe
from nodewise.stack.process import MARK, Program
from nodewise.stack.valkey import ValkeyServer


@dataclass(frozen=True, slots=True, kw_only=True)
class Servers:
    """What we start ourselves (None: the user's own serves), and the addresses either way.

    `endpoints` are for this machine's processes, `public` for other machines (but Postgres is never for them).
    """

    endpoints: Endpoints
    public: Endpoints
    postgres: PostgresServer | None
    valkey: ValkeyServer | None

    def stage(self, home: Path) -> Stage:
        """The servers to start."""
        planned: list[Planned] = []
        if self.postgres is not None:
            probe = PostgresProbe(self.postgres.url("postgres"))
            planned.append(_planned(self.postgres.program(), probe, port=self.postgres.port, home=home))
        if self.valkey is not None:
            ping = RedisProbe(self.valkey.url())
            planned.append(_planned(self.valkey.program(), ping, port=self.valkey.port, home=home))
        return tuple(planned)


def embedded(env: Mapping[str, str]) -> tuple[str, ...]:
    """Names of the servers that we must start."""
    wanted = {"postgres": "DATABASE_URL", "valkey": "REDIS_URL"}
    return tuple(name for name, variable in wanted.items() if not env.get(variable))


def assemble(home: Path, env: Mapping[str, str], ports: Mapping[str, int], options: Options) -> Servers:
    """Find out which servers this home has, and where; makes the data folders of those that we start.

    Raises:
        StackError: No binary for a server of our own; the user's own does not answer; or the store is no URL.
    """
    own_postgres = _postgres(home, ports["postgres"]) if "postgres" in ports else None
    own_valkey = _valkey(home, ports["valkey"], options.bind) if "valkey" in ports else None
    endpoints = Endpoints(
        database_url=own_postgres.url() if own_postgres else _users_postgres(env["DATABASE_URL"]),
        redis_url=own_valkey.url() if own_valkey else _users_redis(env["REDIS_URL"]),
        store_url=_store(options.store or env.get("NODEWISE_STORE_URL") or (home / "store").as_uri()),
    )
    reached = own_valkey.url(host=public(options.bind)) if own_valkey else endpoints.redis_url
    return Servers(
        endpoints=endpoints,
        public=replace(endpoints, redis_url=reached),
        postgres=own_postgres,
        valkey=own_valkey,
    )


def mark_store(endpoints: Endpoints) -> None:
    """Let agents know this cluster's store from any other.

    Raises:
        StackError: The store cannot be written, or the broker does not answer.
    """
    try:
        with redis.Redis.from_url(endpoints.redis_url, socket_timeout=5, socket_connect_timeout=5) as client:
            mark_cluster(ArtifactStore(endpoints.store_url), client, alone=True)
    except (StoreError, OSError, ImportError, redis.RedisError) as error:
        raise StackError(
            f"the store {without_password(endpoints.store_url)} cannot be used: {error}",
            "correct --store or NODEWISE_STORE_URL",
        ) from error


def _store(url: str) -> str:
    try:
        return checked_url(url)
    except StoreError as error:
        raise StackError(str(error), "correct --store or NODEWISE_STORE_URL") from error


def _postgres(home: Path, port: int) -> PostgresServer:
    whom = run_as()
    whom.let_through(home)
    server = PostgresServer(
        binaries=postgres.find_binaries(),
        folder=home / "postgres",
        port=port,
        run_as=whom,
        log=home / "logs" / "postgres.log",
    )
    server.initialise()
    return server


def _valkey(home: Path, port: int, host: str) -> ValkeyServer:
    server = ValkeyServer(
        binary=valkey.find_binary(),
        folder=home / "valkey",
        port=port,
        log=home / "logs" / "valkey.log",
        host=host,
    )
    server.initialise()
    return server


def _users_postgres(url: str) -> str:
    _require("DATABASE_URL", PostgresProbe(plain_url(url)), "Postgres")
    return plain_url(url)


def _users_redis(url: str) -> str:
    _require("REDIS_URL", RedisProbe(url), "Redis")
    return url


def _require(variable: str, probe: Probe, what: str) -> None:
    trouble = problem(probe, 5.0)
    if trouble is not None:
        raise StackError(
            f"{variable} is set, but {what} does not answer there: {trouble}",
            f"start it, correct {variable}, or unset {variable} to get an embedded one",
        )


def _planned(program: Program, probe: Probe, *, port: int, home: Path) -> Planned:
    marked = replace(program, env={**program.env, MARK: str(home)})
    return Planned(program=marked, probes=(probe,), port=port)
