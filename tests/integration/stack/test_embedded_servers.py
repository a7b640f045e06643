"""Our own Postgres and Valkey: as root too, and their data outlives them."""

import os
import signal
import stat
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import psutil
import psycopg
import pytest
import redis

from nodewise.stack.errors import CannotStart, StackError
from nodewise.stack.health import problem
from nodewise.stack.home import prepare
from nodewise.stack.ports import choose_ports
from nodewise.stack.postgres import PostgresServer, find_binaries
from nodewise.stack.privilege import RunAs, run_as
from nodewise.stack.probes import PostgresProbe, RedisProbe
from nodewise.stack.process import start, stop
from nodewise.stack.valkey import ValkeyServer, find_binary
from tests.support.servers import running
from tests.support.waiting import wait_until

NOBODY = 65534
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root has to become somebody else")


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that every user may enter, unlike pytest's own."""
    with TemporaryDirectory() as made:
        folder = Path(made)
        folder.chmod(0o755)
        yield folder


def postgres(folder: Path, who: RunAs | None = None) -> PostgresServer:
    return PostgresServer(
        binaries=find_binaries(),
        folder=folder / "postgres",
        port=choose_ports(["postgres"], {})["postgres"],
        run_as=who or run_as(),
        log=folder / "postgres.log",
        options={"fsync": "off"},
    )


def valkey(folder: Path) -> ValkeyServer:
    port = choose_ports(["valkey"], {})["valkey"]
    return ValkeyServer(binary=find_binary(), folder=folder / "valkey", port=port, log=folder / "valkey.log")


def test_postgres_keeps_its_data_and_its_password(tmp_path: Path) -> None:
    server = postgres(tmp_path)
    server.initialise()
    probe = PostgresProbe(server.url("postgres"))
    with running(server.program(), probe):
        server.ensure_database()
        server.ensure_database()
        with psycopg.connect(server.url()) as connection:
            connection.execute("CREATE TABLE kept (n int)")
    server.initialise()
    with running(server.program(), probe), psycopg.connect(server.url()) as connection:
        assert connection.execute("SELECT count(*) FROM kept").fetchone() == (0,)


def test_postgres_starts_again_after_kill_9(tmp_path: Path) -> None:
    server = postgres(tmp_path)
    server.initialise()
    probe = PostgresProbe(server.url("postgres"))
    with running(server.program(), probe) as first:
        first.kill()
        first.wait()
    with running(server.program(), probe):
        assert problem(probe) is None


def test_a_pid_file_that_names_another_program_does_not_stop_postgres(tmp_path: Path) -> None:
    server = postgres(tmp_path)
    server.initialise()
    (server.data / "postmaster.pid").write_text(f"{os.getpid()}\n{server.data}\n")
    server.initialise()
    with running(server.program(), PostgresProbe(server.url("postgres"))):
        pass


def test_a_postgres_left_behind_on_our_data_is_ended_first(tmp_path: Path) -> None:
    server = postgres(tmp_path)
    server.initialise()
    with running(server.program(), PostgresProbe(server.url("postgres"))) as left:
        server.initialise()
        assert left.wait(5) == 0
    with running(server.program(), PostgresProbe(server.url("postgres"))):
        pass


def test_postgres_wants_the_password(tmp_path: Path) -> None:
    server = postgres(tmp_path)
    server.initialise()
    with running(server.program(), PostgresProbe(server.url("postgres"))):
        without = server.url("postgres").replace(server.password_file.read_text(), "wrong")
        assert "password" in (problem(PostgresProbe(without)) or "")
    assert stat.S_IMODE(server.password_file.stat().st_mode) == 0o600
    assert stat.S_IMODE(server.folder.stat().st_mode) == 0o700


def test_postgres_answers_sigint_with_clients_connected_by_ending(tmp_path: Path) -> None:
    server = postgres(tmp_path)
    server.initialise()
    with (
        running(server.program(), PostgresProbe(server.url("postgres"))) as process,
        psycopg.connect(server.url("postgres")),
    ):
        process.send_signal(signal.SIGINT)
        assert process.wait(10) == 0


@as_root
def test_as_root_without_user_namespaces_postgres_runs_as_nobody(open_folder: Path) -> None:
    who = RunAs(user=NOBODY, group=NOBODY)
    server = postgres(open_folder, who)
    try:
        who.require_reach(server.binaries / "postgres")
    except StackError as error:
        pytest.skip(str(error))
    server.initialise()
    with running(server.program(), PostgresProbe(server.url("postgres"))) as process:
        assert psutil.Process(process.pid).uids().real == NOBODY


@as_root
def test_nobody_reaches_its_data_in_a_home_that_shows_it_nothing_else(open_folder: Path) -> None:
    home, who = open_folder / "home", RunAs(user=NOBODY, group=NOBODY)
    server = postgres(home, who)
    try:
        who.require_reach(server.binaries / "postgres")
    except StackError as error:
        pytest.skip(str(error))
    prepare(home)
    who.let_through(home)
    server.initialise()
    with running(server.program(), PostgresProbe(server.url("postgres"))) as process:
        assert psutil.Process(process.pid).uids().real == NOBODY
    assert stat.S_IMODE(home.stat().st_mode) == 0o711
    for folder in ("logs", "store", "keys", "valkey"):
        with pytest.raises(StackError, match="may not reach"):
            who.require_reach(home / folder)
    with pytest.raises(StackError, match="may not reach"):
        who.require_reach(home)


@as_root
def test_a_folder_that_nobody_cannot_reach_is_named(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    with pytest.raises(StackError, match=r"`nobody` may not reach .*--home"):
        postgres(closed, RunAs(user=NOBODY, group=NOBODY)).initialise()


def test_an_initdb_that_fails_says_its_last_line_and_leaves_nothing_half_made(tmp_path: Path) -> None:
    server = postgres(tmp_path)
    broken = tmp_path / "bin"
    broken.mkdir()
    (broken / "initdb").write_text("#!/bin/sh\necho no room on the moon >&2\nexit 1\n")
    (broken / "initdb").chmod(0o755)
    with pytest.raises(CannotStart, match="no room on the moon"):
        replace(server, binaries=broken).initialise()
    assert not server.data.exists()
    server.initialise()
    assert (server.data / "PG_VERSION").is_file()


def test_valkey_keeps_what_was_written_before_kill_9(tmp_path: Path) -> None:
    server = valkey(tmp_path)
    server.initialise()
    probe = RedisProbe(server.url())
    with running(server.program(), probe) as process, redis.Redis.from_url(server.url()) as client:
        client.set("kept", "1")
        wait_until(
            lambda: int(client.info("persistence")["aof_pending_bio_fsync"]) == 0, 5, "the file to be synced"
        )
        process.kill()
        process.wait()
    server.initialise()
    with running(server.program(), probe), redis.Redis.from_url(server.url()) as client:
        assert client.get("kept") == b"1"


def test_valkey_wants_the_password_and_does_not_show_it(tmp_path: Path) -> None:
    server = valkey(tmp_path)
    server.initialise()
    with running(server.program(), RedisProbe(server.url())) as process:
        assert "authenticated" in (problem(RedisProbe(f"redis://127.0.0.1:{server.port}/0")) or "")
        assert server.password_file.read_text() not in " ".join(psutil.Process(process.pid).cmdline())


def test_a_child_ends_with_the_process_that_started_it(tmp_path: Path) -> None:
    server = valkey(tmp_path)
    server.initialise()
    pid_file = tmp_path / "pid"
    reader, writer = os.pipe()
    parent = os.fork()
    if parent == 0:
        process = start(server.program())
        pid_file.write_text(str(process.pid))
        os.close(reader)
        os.close(writer)
        os.kill(os.getpid(), signal.SIGKILL)
    os.close(writer)
    os.read(reader, 1)
    os.close(reader)
    os.waitpid(parent, 0)
    child = int(pid_file.read_text())
    wait_until(lambda: _gone(child), 10, "the child to end")


def _gone(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def test_stop_insists_after_a_while(tmp_path: Path) -> None:
    server = valkey(tmp_path)
    server.initialise()
    with running(server.program(), RedisProbe(server.url())) as process:
        process.send_signal(signal.SIGSTOP)
        stop(process, replace(server.program(), stop_seconds=0.1))
        assert process.returncode == -signal.SIGKILL
    assert isinstance(process, subprocess.Popen)
