"""TCP ports: free ones, and the ones that a home used before."""

import random
import socket
from collections.abc import Iterable, Mapping
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Final

import psutil

from nodewise.stack.errors import StackError

LOOPBACK = "127.0.0.1"

_EPHEMERAL: Final = Path("/proc/sys/net/ipv4/ip_local_port_range")
_FIRST_EPHEMERAL: Final = 32768
"""Where the system does not say: Linux's own first."""
_BELOW: Final = 12000
"""So many ports below those are chosen from."""
_FIRST_UNPRIVILEGED: Final = 1024
_TRIES: Final = 50


def bind(port: int, host: str = LOOPBACK) -> socket.socket:
    """A socket that listens on `port` (0: any free one); OSError when it is taken, or `host` is not ours.

    It listens, since on Linux two sockets with SO_REUSEADDR may be bound to one port until one of them does.
    """
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    # Without it the port of a server that has just ended looks taken for a minute (TIME_WAIT).
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind((host, port))
        sock.listen(1)
    except OSError:
        sock.close()
        raise
    return sock


def is_free(port: int, host: str = LOOPBACK) -> bool:
    """Whether a server could listen on `port` now."""
    try:
        bind(port, host).close()
    except OSError:
        return False
    return True


def choose_ports(
    names: Iterable[str], remembered: Mapping[str, int], *, hosts: Mapping[str, str] | None = None
) -> dict[str, int]:
    """A free port for each name, its remembered one wherever that is free; no two alike on one address.

    `hosts` says on which address each listens; loopback where it says nothing.

    The sockets stay bound until all are chosen: otherwise the system may hand out one port twice.
    """
    chosen: dict[str, int] = {}
    with ExitStack() as held:
        for name in names:
            host = (hosts or {}).get(name, LOOPBACK)
            sock = held.enter_context(_bind_preferring(remembered.get(name), host))
            chosen[name] = sock.getsockname()[1]
    return chosen


def _bind_preferring(port: int | None, host: str) -> socket.socket:
    if port is None:
        return _bind_some(host)
    try:
        return bind(port, host)
    except OSError:
        return _bind_some(host)


def _bind_some(host: str) -> socket.socket:
    """A port that the system gives to nobody's outgoing connection, so that it is still free when a service comes to listen on it."""
    first = _first_ephemeral()
    below = range(max(_FIRST_UNPRIVILEGED, first - _BELOW), first)
    for port in random.sample(below, min(_TRIES, len(below))):
        with suppress(OSError):
            return bind(port, host)
    return bind(0, host)


def _first_ephemeral() -> int:
    try:
        return int(_EPHEMERAL.read_text().split()[0])
    except (OSError, ValueError, IndexError):
        return _FIRST_EPHEMERAL


def require_free(port: int, host: str = LOOPBACK) -> None:
    """Raise StackError that names who holds `port`, if somebody does."""
    if not is_free(port, host):
        raise StackError(
            f"port {port} on {host} is taken{_holder(port)}",
            "choose another with --port, or leave --port out to get a free one",
        )


def _holder(port: int) -> str:
    try:
        for connection in psutil.net_connections("tcp"):
            listens = (
                connection.status == psutil.CONN_LISTEN and getattr(connection.laddr, "port", None) == port
            )
            if listens and connection.pid:
                return f" by {psutil.Process(connection.pid).name()} (pid {connection.pid})"
    except psutil.Error:
        # Only root may see the sockets of others everywhere; the port is taken all the same.
        return ""
    return ""
