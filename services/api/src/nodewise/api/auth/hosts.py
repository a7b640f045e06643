"""The names under which a gateway answers that asks for no keys.

A site can have its own name point at this machine, once its page is loaded (DNS rebinding): for the browser, and by `Origin`, the page is
then ours. But what it asks for still has that site's name as `Host`. An address cannot be had that way, nor a name without a dot.
"""

import ipaddress
import socket
from collections.abc import Iterable
from typing import Final
from urllib.parse import urlsplit

_LOCAL: Final = (".localhost", ".svc", ".svc.cluster.local")
"""Domains that no site can be in: this machine's, and those of services within Kubernetes."""


class OwnHosts:
    """This machine, by whatever name, and those that `others` has: names, or `*.domain` for all in one; `*`: all there are."""

    def __init__(self, others: Iterable[str] = (), *, machine: str | None = None) -> None:
        """`machine` is its name; None: as the system says."""
        given = [name.lower().rstrip(".") for name in others]
        self._all = "*" in given
        self._names = {(machine or socket.gethostname()).lower(), *given}
        self._domains = (*_LOCAL, *(name.removeprefix("*") for name in given if name.startswith("*.")))

    def has(self, host: str | None) -> bool:
        """Whether a request with that `Host` is for us. Without one it is no browser's."""
        if host is None or self._all:
            return True
        try:
            name = (urlsplit(f"//{host}").hostname or "").rstrip(".")
        except ValueError:
            return False
        if not name:
            return False
        return "." not in name or name in self._names or name.endswith(self._domains) or _is_address(name)


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
