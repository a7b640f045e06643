"""The folder of a stack, and this machine, as `nodewise up` finds them."""

import os
import platform
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

import psutil

from nodewise.core.settings import home_from
from nodewise.stack.errors import StackError
from nodewise.stack.profiles import Machine

NEEDED_DISK_MIB = 300
_OURS = ("agents", "keys", "logs", "store", "valkey", "venvs")
"""Folders of a home, for its owner only. That of Postgres is its own matter: another user may have it."""
_OWNER_ONLY = 0o700
_MIB = 1024 * 1024
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
"""Kernel's names to the ones that container images and Kubernetes use."""


def find_home(given: Path | None, env: Mapping[str, str]) -> Path:
    """The home that was asked for, else NODEWISE_HOME, else the nearest `.nodewise` upward."""
    if given is not None:
        return given.expanduser().resolve()
    if named := env.get("NODEWISE_HOME"):
        return Path(named).expanduser().resolve()
    return home_from(Path.cwd())


def prepare(home: Path) -> None:
    """Make the folder, for us only, and see that it can hold what we will write.

    One that is there stays as it is, since it may be anybody's; but those that we have in it become ours only.

    Raises:
        StackError: Not writable, or no room.
    """
    try:
        if not home.exists():
            home.parent.mkdir(parents=True, exist_ok=True)
            home.mkdir(mode=_OWNER_ONLY, exist_ok=True)
        for name in _OURS:
            make_private(home / name)
        with tempfile.TemporaryFile(dir=home):
            pass
    except OSError as error:
        raise StackError(
            f"cannot write in {home}: {error.strerror or error}",
            "choose another folder with --home or NODEWISE_HOME",
        ) from error
    free_mib = free_disk_mib(home)
    if free_mib < NEEDED_DISK_MIB:
        raise StackError(
            f"{home} has {free_mib} MiB free, and at least {NEEDED_DISK_MIB} MiB are needed",
            "make room, or choose another folder with --home",
        )


def make_private(folder: Path) -> None:
    """Make the folder, or take from others what they may do with it. One behind a link is left as it is: it lies elsewhere."""
    folder.mkdir(mode=_OWNER_ONLY, parents=True, exist_ok=True)
    if not folder.is_symlink() and folder.stat().st_mode & 0o077:
        folder.chmod(_OWNER_ONLY)


def free_disk_mib(folder: Path) -> int:
    """Free space where `folder` is or will be."""
    there = next(path for path in (folder, *folder.parents) if path.exists())
    return shutil.disk_usage(there).free // _MIB


def rotate_logs(home: Path) -> None:
    """Keep the logs of the start before this one as `<name>.log.1`; older ones go."""
    for log in (home / "logs").glob("*.log"):
        log.replace(log.with_suffix(".log.1"))


def this_machine() -> Machine:
    """The cores that we may use, and the memory that is available now, within a container's limit."""
    return Machine(cores=_cores(), memory_mib=_available_mib(), architecture=_architecture())


def _cores() -> tuple[int, ...]:
    if hasattr(os, "sched_getaffinity"):
        return tuple(sorted(os.sched_getaffinity(0)))
    return tuple(range(os.cpu_count() or 1))


def _available_mib() -> int:
    available = psutil.virtual_memory().available
    try:
        limit = int(Path("/sys/fs/cgroup/memory.max").read_text())
        used = int(Path("/sys/fs/cgroup/memory.current").read_text())
    except (OSError, ValueError):
        return int(available // _MIB)
    return int(min(available, max(0, limit - used)) // _MIB)


def _architecture() -> str:
    machine = platform.machine().lower()
    return _ARCHITECTURES.get(machine, machine)
