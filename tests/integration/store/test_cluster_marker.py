from pathlib import Path

import pytest
import redis

from nodewise.core.errors import StoreError
from nodewise.core.store import ArtifactStore, mark_cluster
from nodewise.core.store.marker import MARKER, cluster_id, is_of_cluster, marker_of


@pytest.fixture
def client(redis_url: str) -> "redis.Redis":
    return redis.Redis.from_url(redis_url)


def test_marking_again_changes_nothing(store_url: str, client: "redis.Redis") -> None:
    store = ArtifactStore(store_url)
    first = mark_cluster(store, client)
    assert mark_cluster(store, client, alone=True) == mark_cluster(store, client) == first
    assert marker_of(store) == cluster_id(client) == first
    client.flushall()
    assert mark_cluster(store, client) == first
    client.close()


def test_two_that_mark_at_once_agree(store_url: str, client: "redis.Redis") -> None:
    client.set("nodewise:cluster_id", "of the faster one")
    assert mark_cluster(ArtifactStore(store_url), client) == "of the faster one"
    client.close()


def test_a_new_store_of_the_same_broker_gets_a_new_id(tmp_path: Path, client: "redis.Redis") -> None:
    old, new = (ArtifactStore((tmp_path / name).as_uri()) for name in ("old", "new"))
    mark_cluster(old, client, alone=True)
    mark_cluster(new, client, alone=True)
    assert is_of_cluster(new, client) is True
    assert is_of_cluster(old, client) is False
    client.close()


def test_looking_writes_nothing(tmp_path: Path, client: "redis.Redis") -> None:
    assert is_of_cluster(ArtifactStore((tmp_path / "none").as_uri()), client) is None
    assert not (tmp_path / "none").exists()
    client.close()


def test_a_marker_that_is_none_of_ours_is_said(store_url: str) -> None:
    store = ArtifactStore(store_url)
    store.write_key(MARKER, b"[]")
    with pytest.raises(StoreError, match="cannot be read"):
        marker_of(store)
