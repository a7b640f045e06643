"""The nodes of the cluster as they were last seen, and which of them can be used now."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Final

import structlog

from nodewise.carrier.api import KubernetesApi, Object, Refused
from nodewise.carrier.ends import trouble_of_node
from nodewise.carrier.rooms import Room, rooms
from nodewise.carrier.sightings import Trouble
from nodewise.core.model.ids import NodeName
from nodewise.core.settings import Settings

_VANISHED: Final = timedelta(minutes=2)
"""A node that is not there any more, and has nothing of ours, is forgotten after so long."""
_log = structlog.get_logger()


class Cluster:
    """Not thread-safe. While the API is silent, all stays as it was last seen, up to a limit."""

    def __init__(self, api: KubernetesApi, settings: Settings, *, cluster: str) -> None:
        self._api = api
        self._settings = settings
        self._cluster = cluster
        self._seen_at: datetime | None = None
        self._there: frozenset[NodeName] = frozenset()
        self._unwell_since: dict[NodeName, datetime] = {}
        self._without_others = False
        self.rooms: dict[NodeName, Room] = {}

    def due(self, now: datetime) -> bool:
        every = timedelta(seconds=self._settings.kubernetes_seconds)
        return self._seen_at is None or now - self._seen_at >= every

    def look(self, now: datetime) -> None:
        """Read the nodes, and what the pods of others take of them.

        Raises:
            Unavailable: Nothing was learnt.
            Refused: We may not list nodes.
        """
        nodes = self._api.nodes(self._settings.kubernetes_node_selector)
        found = rooms(
            nodes,
            list(self._all_pods()),
            cluster=self._cluster,
            exporter_port=self._settings.node_exporter_port,
        )
        self._there = frozenset(found)
        self.rooms.update(found)
        self._seen_at = now
        for name in self.rooms:
            unwell = name not in found or found[name].found.conditions.get("Ready") != "True"
            if not unwell:
                self._unwell_since.pop(name, None)
            else:
                self._unwell_since.setdefault(name, now)

    def usable(self, name: NodeName, now: datetime) -> bool:
        """Whether something new may be placed there."""
        stale = timedelta(seconds=self._settings.kubernetes_staleness_seconds)
        if self._seen_at is None or now - self._seen_at > stale:
            return False
        return name in self._there and self.rooms[name].found.usable

    def trouble(self, name: NodeName, now: datetime) -> Trouble | None:
        """Why nothing that runs there can be waited for any more; None: it is well, or has not been unwell for long."""
        since = self._unwell_since.get(name)
        if since is None:
            return None
        if name not in self._there:
            return trouble_of_node(name, "is not in the cluster any more")
        if now - since < self._settings.lease:
            return None
        return trouble_of_node(name, f"has not been ready for {round((now - since).total_seconds())} s")

    def forget_vanished(self, busy: Iterable[NodeName], now: datetime) -> None:
        """Drop nodes that are gone and have nothing of ours."""
        gone = set(self.rooms) - self._there - set(busy)
        for name in gone:
            if now - self._unwell_since.get(name, now) > _VANISHED:
                del self.rooms[name]
                self._unwell_since.pop(name, None)

    def _all_pods(self) -> Iterable[Object]:
        try:
            found = self._api.pods_everywhere()
        except Refused as error:
            if not error.lacks_rights:
                raise
            if not self._without_others:
                _log.warning(
                    "what the pods of others use is not known: nodes count as empty", error=str(error)
                )
            self._without_others = True
            return ()
        self._without_others = False
        return found
