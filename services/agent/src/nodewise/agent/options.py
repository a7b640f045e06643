"""What this agent is: given on the command line, else measured from the machine."""

import os
import platform
import re
import socket
import sys
import urllib.parse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psutil

from nodewise.agent.runtime import ContainerRuntime, RuntimeFailed
from nodewise.core.errors import NodewiseError, StoreError
from nodewise.core.model.ids import NodeName
from nodewise.core.model.node import Node
from nodewise.core.model.resources import Resources
from nodewise.core.settings import Settings, read_settings, with_password
from nodewise.core.store import checked_url

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
_ARCHITECTURES: Final = {"x86_64": "amd64", "amd64": "amd64", "aarch64": "arm64", "arm64": "arm64"}
_MEMORY_SHARE: Final = 0.9
"""Part of the machine's memory that tasks may book when nothing is said; the rest is the system's and the agent's."""
_MOST_CORES: Final = 1 << 16
_CGROUP_LIMIT: Final = Path("/sys/fs/cgroup/memory.max")


class OptionError(NodewiseError):
    """An option of the agent that cannot be: which, and what would be right."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentOptions:
    """One agent: the node that it is, the cores that its tasks run on, and where it keeps its files."""

    node: Node
    cores: tuple[int, ...]
    work_dir: Path
    cache_mib: int = 4096
    venvs_dir: Path | None = None
    """Environments of components with packages; None: in the work directory. Agents of one machine may share it."""
    venvs_mib: int = 8192
    venv_seconds: float = 1800.0
    pull_seconds: float = 1800.0
    container_runtime: ContainerRuntime | None = None
    spares: int = 2
    """So many runners are started in advance."""
    advertise: str | None = None
    """Where others reach this node; None: the address that it binds to."""

    @property
    def environments(self) -> Path:
        return self.venvs_dir or self.work_dir / "venvs"


def runtime_at(given: str | None) -> ContainerRuntime | None:
    """The container runtime of that name or path, if one is named.

    Raises:
        OptionError: It does not answer.
    """
    if not given:
        return None
    try:
        return ContainerRuntime.connect(given)
    except RuntimeFailed as error:
        said = "start it, or leave --container-runtime (NODEWISE_CONTAINER_RUNTIME) out"
        raise OptionError(f"--container-runtime {given}: {error}; {said}") from error


def usable_cores() -> tuple[int, ...]:
    """The numbers of the cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return tuple(sorted(os.sched_getaffinity(0)))
    return tuple(range(os.cpu_count() or 1))


def machine_memory_mib() -> int:
    """The memory that this process may use: the machine's, or its container's limit."""
    total = int(psutil.virtual_memory().total)
    try:
        limit = _CGROUP_LIMIT.read_text().strip()
    except OSError:
        limit = "max"
    return (min(total, int(limit)) if limit.isdigit() else total) // (1 << 20)


def default_memory_mib() -> int:
    return int(machine_memory_mib() * _MEMORY_SHARE)


def capacity_of(
    cores: Sequence[int], *, millicores: int | None, memory_mib: int | None, gpus: int
) -> Resources:
    """What can be booked here: as told, else all of these cores, and what the system can spare of the memory."""
    return Resources(
        millicores=1000 * len(cores) if millicores is None else millicores,
        memory_mib=default_memory_mib() if memory_mib is None else memory_mib,
        gpus=gpus,
    )


def architecture(machine: str | None = None) -> str:
    """The machine's architecture as container images name it: amd64, arm64, else as the system says."""
    name = (machine or platform.machine()).lower()
    return _ARCHITECTURES.get(name, name)


def worker_type(cores: int) -> str:
    """The usual name for a machine of that size."""
    if cores <= 2:
        return "low-cpu"
    return "med-cpu" if cores <= 8 else "high-cpu"


def address_towards(broker_url: str) -> str:
    """This machine's own address on the way to the broker: where others can reach it. Nothing is sent."""
    parts = urllib.parse.urlsplit(broker_url)
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.connect((parts.hostname or "127.0.0.1", parts.port or 6379))
            return str(probe.getsockname()[0])
    except OSError:
        return "127.0.0.1"


def free_port(host: str) -> int:
    """A port that nobody uses on that address now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])


def parse_cores(text: str) -> tuple[int, ...]:
    """Core numbers from `0,1` or `0-3,8`.

    Raises:
        OptionError: It does not parse, or this process may not use one of them.
    """
    try:
        cores = {core for part in text.split(",") for core in _core_range(part)}
    except ValueError as error:
        raise OptionError(f"--cores {text!r}: give numbers such as 0,1 or 0-3") from error
    missing = sorted(cores - set(usable_cores()))
    if missing:
        usable = _as_ranges(usable_cores())
        raise OptionError(f"--cores {text!r}: this machine gives us {usable}, not {_as_ranges(missing)}")
    return tuple(sorted(cores))


def _core_range(part: str) -> range:
    first, separator, last = part.partition("-")
    cores = range(int(first), int(last if separator else first) + 1)
    if not cores or cores.stop > _MOST_CORES:
        raise ValueError(part)
    return cores


def _as_ranges(cores: Sequence[int]) -> str:
    """Ascending numbers as people write them: 0-3,8."""
    starts = [core for core in cores if core - 1 not in cores]
    ends = [core for core in cores if core + 1 not in cores]
    return ",".join(str(a) if a == b else f"{a}-{b}" for a, b in zip(starts, ends, strict=True))


def parse_labels(pairs: Sequence[str]) -> Mapping[str, str]:
    """Labels from `key=value` texts.

    Raises:
        OptionError: One has no `=` or no key.
    """
    labels = {}
    for pair in pairs:
        key, separator, value = pair.partition("=")
        if not key or not separator:
            raise OptionError(f"--label {pair!r}: give key=value")
        labels[key] = value
    return labels


def check_name(name: str) -> NodeName:
    """The name, if it can be one.

    Raises:
        OptionError: It holds something else than letters, digits, `.`, `_` and `-`.
    """
    if not _NAME.fullmatch(name):
        raise OptionError(f"--name {name!r}: use letters, digits, '.', '_' and '-', at most 63")
    return NodeName(name)


def node_from(
    name: str, *, capacity: Resources, node_class: str | None, described: Mapping[str, str | None],
    labels: Mapping[str, str],
) -> Node:  # fmt: skip
    """The node that these options describe; what is None is measured.

    Args:
        name: Of the node.
        capacity: What can be booked on it.
        node_class: Nodes of one class run a task equally fast; None: one class per architecture and size.
        described: architecture, worker_type, accelerator and container_runtime.
        labels: Free text.

    Raises:
        OptionError: The name cannot be one, or there is nothing to book.
    """
    if capacity.millicores < 1 or capacity.memory_mib < 1:
        raise OptionError(f"a node needs CPU and memory to offer, got {capacity}")
    architecture_name = described.get("architecture") or architecture()
    cores = -(-capacity.millicores // 1000)
    return Node(
        name=check_name(name),
        capacity=capacity,
        node_class=node_class or f"{architecture_name}-{cores}c",
        architecture=architecture_name,
        worker_type=described.get("worker_type") or worker_type(cores),
        accelerator=described.get("accelerator"),
        container_runtime=described.get("container_runtime"),
        labels=labels,
    )


def host_name() -> str:
    """The machine's own short name."""
    return socket.gethostname().partition(".")[0]


def default_work_dir(name: str) -> Path:
    return Path.home() / ".nodewise-agent" / name


def require_addresses(settings: Settings, *, broker: str | None, store: str | None) -> None:
    """See that this agent was told which cluster it joins: defaults would make it wait for, or join, some other.

    Raises:
        OptionError: An address was given neither on the command line nor in the environment, or is none.
    """
    said = "give the one that `nodewise up` or `nodewise doctor` prints"
    if not broker and "redis_url" not in settings.model_fields_set:
        raise OptionError(f"--broker is missing: {said}, or set REDIS_URL")
    if not store and "store_url" not in settings.model_fields_set:
        raise OptionError(f"--store is missing: {said}, or set NODEWISE_STORE_URL")
    try:
        checked_url(store or settings.store_url)
    except StoreError as error:
        raise OptionError(f"--store: {error}") from error


def settings_for(
    broker: str | None,
    store: str | None,
    *,
    metrics_port: int | None,
    advertise: str | None,
    key_file: Path | None = None,
) -> Settings:
    """Settings from the environment, with what was given on the command line put over them.

    Who names a broker joins a cluster from outside: there /metrics is served where the others can read it.
    """
    settings = read_settings()
    require_addresses(settings, broker=broker, store=store)
    if broker is not None and settings.redis_password_file is not None:
        broker = with_password(broker, settings.redis_password_file)
    given: dict[str, object] = {
        "redis_url": broker, "store_url": store, "metrics_port": metrics_port, "node_key_file": key_file,
    }  # fmt: skip
    if broker is not None and metrics_port is None and not settings.metrics_port:
        host = address_towards(broker)
        given |= {"host": host, "metrics_port": free_port(host)}
    elif advertise is not None:
        given["host"] = "0.0.0.0"  # noqa: S104 - asked for by naming an address for others
    if "log_format" not in settings.model_fields_set and sys.stderr.isatty():
        given["log_format"] = "console"
    return settings.model_copy(update={name: value for name, value in given.items() if value is not None})
