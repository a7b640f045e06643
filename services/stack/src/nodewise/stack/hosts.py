"""Addresses of this machine: where servers listen, and where they are reached from here and from others."""

import ipaddress
import socket

import psutil

from nodewise.stack.errors import StackError
from nodewise.stack.ports import LOOPBACK, bind

_WILDCARD = "0.0.0.0"  # noqa: S104 - what `--bind` may be given, not what we choose
_SOMEWHERE_ELSE = "192.0.2.1"
"""Reserved for documentation: asked for the way there, never sent anything."""


def require_own(host: str) -> None:
    """Raise StackError unless servers can listen on that address here."""
    try:
        bind(0, host).close()
    except OSError as error:
        raise StackError(
            f"--bind is {host!r}, where nothing can listen on this machine: {error.strerror or error}",
            f"give one of its IPv4 addresses, or {_WILDCARD} for all of them",
        ) from error


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches what listens there."""
    return ipaddress.ip_address(socket.gethostbyname(host)).is_loopback


def near(host: str) -> str:
    """Where processes of this machine reach what listens on `host`."""
    return LOOPBACK if host == _WILDCARD else host


def public(host: str) -> str:
    """Where other machines reach what listens on `host`, as well as can be told from here."""
    if host != _WILDCARD:
        return host
    return _address_of_the_route() or _first_address() or socket.gethostname()


def _address_of_the_route() -> str | None:
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.connect((_SOMEWHERE_ELSE, 9))
            return str(probe.getsockname()[0])
    except OSError:
        return None


def _first_address() -> str | None:
    found = (one for addresses in psutil.net_if_addrs().values() for one in addresses)
    own = (one.address for one in found if one.family == socket.AF_INET)
    return next((address for address in own if not ipaddress.ip_address(address).is_loopback), None)
