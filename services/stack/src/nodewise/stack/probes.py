"""How to ask a process from outside whether it can do its work: as values, so that a plan can hold them."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class HttpProbe:
    """Healthy: GET answers 2xx."""

    url: str


@dataclass(frozen=True, slots=True)
class PostgresProbe:
    """Healthy: takes a connection and a query."""

    dsn: str


@dataclass(frozen=True, slots=True)
class RedisProbe:
    """Healthy: answers PING."""

    url: str


@dataclass(frozen=True, slots=True)
class NodeProbe:
    """Healthy: the api, asked with the key of that home, says that the node is READY."""

    api_url: str
    node: str
    home: Path


Probe = HttpProbe | PostgresProbe | RedisProbe | NodeProbe
