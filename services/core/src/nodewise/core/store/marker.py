"""Tells the store of this cluster from any other: one random id, in the store and in the broker."""

import json
import secrets
import threading
import time
from typing import Final

import redis
import structlog

from nodewise.core.errors import StoreError
from nodewise.core.store.store import ArtifactStore

MARKER: Final = "cluster.json"
CLUSTER_ID: Final = "nodewise:cluster_id"
_PAUSE_SECONDS: Final = 1.0
_log = structlog.get_logger()


def mark_cluster(store: ArtifactStore, client: "redis.Redis", *, alone: bool = False) -> str:
    """Give the store its marker, unless it has one, and tell the broker; returns the cluster's id. Safe to repeat.

    Args:
        store: The cluster's.
        client: Of the cluster's broker.
        alone: Nobody else does this now. A store without a marker is then a new one, and gets an id that no older
            store of this cluster has.

    Raises:
        StoreError: The store cannot be read or written.
        redis.RedisError: The broker does not answer.
    """
    known = marker_of(store)
    if known is None:
        known = secrets.token_hex(16)
        if not alone and not client.set(CLUSTER_ID, known, nx=True):
            # Another marks the same store in this moment: its id is the one.
            known = cluster_id(client) or known
        store.write_key(MARKER, json.dumps({"cluster_id": known}).encode())
    client.set(CLUSTER_ID, known)
    return known


def mark_cluster_soon(store: ArtifactStore, client: "redis.Redis") -> None:
    """`mark_cluster` from a thread of its own, as often as it takes: servers may come later than we do."""
    threading.Thread(
        target=_mark_until_done, args=(store, client), name="cluster-marker", daemon=True
    ).start()


def _mark_until_done(store: ArtifactStore, client: "redis.Redis") -> None:
    while True:
        try:
            mark_cluster(store, client)
        except (StoreError, redis.RedisError) as error:
            _log.debug("the cluster could not be marked; trying again", error=str(error))
            time.sleep(_PAUSE_SECONDS)
        else:
            return


def marker_of(store: ArtifactStore) -> str | None:
    """The id in the store; None when it has no marker. Nothing is written.

    Raises:
        StoreError: It cannot be read, or the marker is none of ours.
    """
    raw = store.read_key(MARKER)
    if raw is None:
        return None
    try:
        return str(json.loads(raw)["cluster_id"])
    except (ValueError, KeyError, TypeError) as error:
        raise StoreError(f"the marker {MARKER} in {store.url} cannot be read") from error


def cluster_id(client: "redis.Redis") -> str | None:
    """The id in the broker; None when it has none (yet, or no more)."""
    found = client.get(CLUSTER_ID)
    return found.decode() if isinstance(found, bytes) else found


def is_of_cluster(store: ArtifactStore, client: "redis.Redis") -> bool | None:
    """Whether the store is the one of the broker's cluster; None when neither of them knows of a cluster yet.

    A broker that forgot all takes any marked store.
    """
    marked, wanted = marker_of(store), cluster_id(client)
    if marked is None and wanted is None:
        return None
    return marked is not None and wanted in (None, marked)
