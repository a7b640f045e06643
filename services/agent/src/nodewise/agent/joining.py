"""What must hold before an agent takes tasks: a broker that lets it in, and the store of that broker's cluster."""

import time
import urllib.parse
from collections.abc import Callable
from typing import Final

import redis
import structlog

from nodewise.core.errors import NodewiseError, StoreError
from nodewise.core.store import ArtifactStore
from nodewise.core.store.marker import is_of_cluster

_FIRST_PAUSE_SECONDS: Final = 0.1
_LONGEST_PAUSE_SECONDS: Final = 2.0
_SAY_EVERY_SECONDS: Final = 10.0
_REFUSALS: Final = ("WRONGPASS", "NOAUTH", "NOPERM", "invalid username-password", "without any password")
_log = structlog.get_logger()


class CannotJoin(NodewiseError):
    """This agent must not take tasks of that cluster, and waiting does not help."""


class _NotYet(NodewiseError):
    """Waiting may help."""


def wait_for_cluster(store: ArtifactStore, client: "redis.Redis") -> None:
    """Wait until the broker and the store can be used, saying every few seconds what is missing.

    Raises:
        CannotJoin: The broker refuses us, or the store is that of another cluster, or of none.
    """
    where = shown(client)
    _wait_until(f"the broker at {where}", lambda: _ping(client, where))
    # Read before it is written: a folder that is not there must not come to be.
    _wait_until(f"the cluster at {where}", lambda: _require_same_cluster(store, client))
    _wait_until(f"the store {store.url}", store.check)


def shown(client: "redis.Redis") -> str:
    """The broker's address without its password."""
    given = client.connection_pool.connection_kwargs
    return f"{given.get('host', given.get('path', 'localhost'))}:{given.get('port', '')}".rstrip(":")


def broker_client(url: str) -> "redis.Redis":
    """A client of the broker; connects later.

    Raises:
        CannotJoin: The URL is none of a broker.
    """
    try:
        return redis.Redis.from_url(url, socket_timeout=2, socket_connect_timeout=2)
    except ValueError as error:
        scheme = urllib.parse.urlsplit(url).scheme
        raise CannotJoin(f"the broker's address ({scheme or 'without a scheme'}): {error}") from error


def _ping(client: "redis.Redis", where: str) -> None:
    try:
        client.ping()
    except redis.RedisError as error:
        if isinstance(error, redis.AuthenticationError) or any(word in str(error) for word in _REFUSALS):
            raise CannotJoin(
                f"the broker at {where} refuses us: {error}; check the password in --broker"
            ) from error
        raise


def _require_same_cluster(store: ArtifactStore, client: "redis.Redis") -> None:
    answer = is_of_cluster(store, client)
    if answer is None:
        raise _NotYet(
            f"neither the broker nor the store {store.url} knows of a cluster; is Nodewise running?"
        )
    if not answer:
        raise CannotJoin(
            f"this store is not the cluster's: {store.url}; give the address that `nodewise doctor` prints there, "
            "as this machine reaches it"
        )


def _wait_until(what: str, probe: Callable[[], object]) -> None:
    pause, said_at = _FIRST_PAUSE_SECONDS, None
    while True:
        try:
            probe()
        except (redis.RedisError, StoreError, _NotYet) as error:
            now = time.monotonic()
            if said_at is None or now - said_at >= _SAY_EVERY_SECONDS:
                _log.warning(f"waiting for {what}", error=str(error).splitlines()[0])
                said_at = now
            time.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)
        else:
            return
