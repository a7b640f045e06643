"""Whether a process can do its work now, asked from outside."""

import http.client
import socket
from dataclasses import dataclass
from urllib.parse import urlsplit

import psycopg
import redis


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


Probe = HttpProbe | PostgresProbe | RedisProbe


def problem(probe: Probe, timeout_seconds: float = 2.0) -> str | None:
    """None when healthy, else why not, in one line."""
    try:
        match probe:
            case HttpProbe(url):
                return _http_problem(url, timeout_seconds)
            case PostgresProbe(dsn):
                with psycopg.connect(dsn, connect_timeout=max(2, int(timeout_seconds))) as connection:
                    connection.execute("SELECT 1")
            case RedisProbe(url):
                with redis.Redis.from_url(
                    url, socket_connect_timeout=timeout_seconds, socket_timeout=timeout_seconds
                ) as client:
                    client.ping()
    except (OSError, http.client.HTTPException, psycopg.Error, redis.RedisError) as error:
        return (str(error).strip().splitlines() or [type(error).__name__])[0]
    return None


def _http_problem(url: str, timeout_seconds: float) -> str | None:
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.netloc, timeout=timeout_seconds)
    try:
        connection.request("GET", parts.path or "/")
        status = connection.getresponse().status
    finally:
        connection.close()
    return None if 200 <= status < 300 else f"{url} answers {status}"


def is_listening(host: str, port: int, timeout_seconds: float = 0.5) -> bool:
    """Whether something accepts connections there."""
    try:
        socket.create_connection((host, port), timeout_seconds).close()
    except OSError:
        return False
    return True
