"""The real servers that tests run on: one Postgres and one Valkey per session."""

import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from nodewise.stack.health import PostgresProbe, Probe, RedisProbe, problem
from nodewise.stack.ports import choose_ports
from nodewise.stack.postgres import PostgresServer, find_binaries
from nodewise.stack.privilege import run_as
from nodewise.stack.process import Program, start, stop, tail
from nodewise.stack.valkey import ValkeyServer, find_binary
from tests.support.waiting import wait_until

# Tests lose nothing that matters in a power cut.
FAST: Final[Mapping[str, str]] = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "shared_buffers": "64MB",
}


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
def postgres_in(folder: Path, *, options: Mapping[str, str] = FAST) -> Iterator[PostgresServer]:
    """A running Postgres in `folder`, tuned for tests unless other options are given."""
    port = choose_ports(["postgres"], {})["postgres"]
    server = PostgresServer(
        binaries=find_binaries(),
        folder=folder,
        port=port,
        run_as=run_as(),
        log=folder.with_suffix(".log"),
        options=options,
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
