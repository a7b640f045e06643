"""The artifact store: content-addressed files and trees, and a few mutable keys such as logs."""

from nodewise.core.store.addresses import (
    Address,
    AddressKind,
    claim_key,
    is_address,
    log_key,
    parse_uri,
    report_key,
)
from nodewise.core.store.foreign import fetch_foreign, why_not_fetched
from nodewise.core.store.marker import mark_cluster, mark_cluster_soon
from nodewise.core.store.store import ArtifactStore
from nodewise.core.store.streams import ArtifactStream
from nodewise.core.store.sweeping import SHARDS, Freed, Sweeper
from nodewise.core.store.urls import checked_url

__all__ = [
    "SHARDS",
    "Address",
    "AddressKind",
    "ArtifactStore",
    "ArtifactStream",
    "Freed",
    "Sweeper",
    "checked_url",
    "claim_key",
    "fetch_foreign",
    "is_address",
    "log_key",
    "mark_cluster",
    "mark_cluster_soon",
    "parse_uri",
    "report_key",
    "why_not_fetched",
]
