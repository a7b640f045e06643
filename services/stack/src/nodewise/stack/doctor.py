"""`nodewise doctor`: looks at the machine, then at the stack, one finding per line, with what to do."""

import os
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import psutil

from nodewise.core.plugins import checkups
from nodewise.stack.checkup import examine_stack
from nodewise.stack.errors import StackError
from nodewise.stack.findings import Finding, Level, fail, ok, warn
from nodewise.stack.home import NEEDED_DISK_MIB, free_disk_mib
from nodewise.stack.postgres import find_binaries
from nodewise.stack.privilege import run_as
from nodewise.stack.valkey import find_binary

__all__ = ["Finding", "Level", "examine"]

_COMFORTABLE_MEMORY_MIB = 2048
_OLDEST_PYTHON = (3, 11)
_MIB = 1024 * 1024


def examine(home: Path, env: Mapping[str, str]) -> Iterator[Finding]:
    """All findings, as they are found."""
    yield _python(sys.version_info[:3])
    yield _folder(home)
    yield _disk(home)
    yield _memory()
    yield from _servers(env)
    yield from examine_stack(home)
    for checkup in checkups():
        yield from checkup()


def _python(version: tuple[int, ...]) -> Finding:
    found = ".".join(map(str, version))
    if version < _OLDEST_PYTHON:
        return fail("python", f"{found} is too old", "install Python 3.11 or newer")
    return ok("python", found)


def _folder(home: Path) -> Finding:
    there = next(path for path in (home, *home.parents) if path.exists())
    if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
        return fail("folder", f"cannot write in {there}", "choose another with --home or NODEWISE_HOME")
    return ok("folder", str(home) if there == home else f"{home} (not made yet)")


def _disk(home: Path) -> Finding:
    free_mib = free_disk_mib(home)
    text = f"{free_mib} MiB free"
    if free_mib < NEEDED_DISK_MIB:
        return fail("disk", text, f"make room: at least {NEEDED_DISK_MIB} MiB are needed")
    return ok("disk", text)


def _memory() -> Finding:
    available_mib = psutil.virtual_memory().available // _MIB
    text = f"{available_mib} MiB available"
    if available_mib < _COMFORTABLE_MEMORY_MIB:
        return warn(
            "memory", text, "close something, or start fewer agents: the whole stack takes about 1 GiB"
        )
    return ok("memory", text)


def _servers(env: Mapping[str, str]) -> Iterator[Finding]:
    if env.get("DATABASE_URL"):
        yield ok("postgres", "DATABASE_URL is set: a server of your own")
    else:
        yield _found("postgres", lambda: f"binaries in {find_binaries()}")
        yield _found("privilege", _describe_user)
    if env.get("REDIS_URL"):
        yield ok("valkey", "REDIS_URL is set: a server of your own")
    else:
        yield _found("valkey", lambda: f"binary {find_binary()}")


def _found(subject: str, look: Callable[[], str]) -> Finding:
    try:
        return ok(subject, look())
    except StackError as error:
        return fail(subject, error.problem, error.advice)


def _describe_user() -> str:
    who = run_as()
    if who.prefix:
        return "Postgres runs in a user namespace (we are root)"
    return "Postgres runs as `nobody` (we are root)" if who.user is not None else "Postgres runs as this user"
