"""Asks the probes."""

import http.client
import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import psycopg
import redis

from nodewise.stack.keys import key_in
from nodewise.stack.probes import HttpProbe, NodeProbe, PostgresProbe, Probe, RedisProbe


def problem(probe: Probe, timeout_seconds: float = 2.0) -> str | None:
    """None when healthy, else why not, in one line."""
    try:
        match probe:
            case HttpProbe(url):
                get(url, timeout_seconds)
            case PostgresProbe(dsn):
                _ask_postgres(dsn, timeout_seconds)
            case RedisProbe(url):
                _ask_redis(url, timeout_seconds)
            case NodeProbe(api_url, node, home):
                return _node_problem(nodes(api_url, key_in(home), timeout_seconds), node)
    except (OSError, ValueError, http.client.HTTPException, psycopg.Error, redis.RedisError) as error:
        return (str(error).strip().splitlines() or [type(error).__name__])[0]
    return None


def get(url: str, timeout_seconds: float = 2.0, *, key: str | None = None) -> bytes:
    """Body of a GET that answers 2xx; ConnectionError on any other answer."""
    headers = {} if key is None else {"Authorization": f"Bearer {key}"}
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.netloc, timeout=timeout_seconds)
    try:
        connection.request(
            "GET", f"{parts.path or '/'}{'?' + parts.query if parts.query else ''}", headers=headers
        )
        response = connection.getresponse()
        body = response.read()
    finally:
        connection.close()
    if not 200 <= response.status < 300:
        raise ConnectionError(f"{url} answers {response.status}: {body[:200].decode(errors='replace')}")
    return body


def nodes(api_url: str, key: str | None, timeout_seconds: float = 2.0) -> list[Mapping[str, Any]]:
    """The nodes as the api tells them."""
    body = json.loads(get(f"{api_url}/v1/nodes", timeout_seconds, key=key))
    found: list[Mapping[str, Any]] = body["items"]
    return found


def _ask_postgres(dsn: str, timeout_seconds: float) -> None:
    # libpq rounds a timeout below 2 s up to 2 s.
    with psycopg.connect(dsn, connect_timeout=max(2, int(timeout_seconds))) as connection:
        connection.execute("SELECT 1")


def _ask_redis(url: str, timeout_seconds: float) -> None:
    with redis.Redis.from_url(
        url, socket_connect_timeout=timeout_seconds, socket_timeout=timeout_seconds
    ) as client:
        client.ping()


def _node_problem(found: list[Mapping[str, Any]], name: str) -> str | None:
    states = {str(node["name"]): str(node["state"]) for node in found}
    if states.get(name) == "READY":
        return None
    return f"node {name} is {states.get(name, 'not known to the api yet')}"
