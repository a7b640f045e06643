"""The recorder's look at the nodes of Kubernetes."""

from collections.abc import Callable
from datetime import datetime, timedelta

import structlog
from prometheus_client import Counter
from sqlalchemy import Engine

from nodewise.core.db.engine import transaction
from nodewise.core.db.queries.kubernetes_nodes import SeenNode, sync_nodes
from nodewise.core.db.queries.nodes import mark_silent_nodes_gone
from nodewise.core.engine.kubeflow.nodes import ENGINE, KubernetesNode, NodesSource
from nodewise.core.errors import Unavailable
from nodewise.core.settings import Settings

_LOOKS = Counter(
    "nodewise_kubernetes_looks_total", "Looks at the nodes of Kubernetes, by outcome.", ["outcome"]
)
_log = structlog.get_logger()


class NodeWatch:
    """Keeps the rows of Kubernetes' nodes. While its API is silent, they stay as they are, up to a limit."""

    def __init__(
        self,
        database: Engine,
        source: NodesSource,
        *,
        settings: Settings,
        clock: Callable[[], datetime],
        wake: Callable[[], None],
    ) -> None:
        self._database = database
        self._source = source
        self._clock = clock
        self._wake = wake
        self._staleness = timedelta(seconds=settings.kubernetes_staleness_seconds)
        self._exporter_port = settings.node_exporter_port
        self._silent = False
        self._foreign: tuple[str, ...] = ()

    def look(self) -> bool:
        """One look; True when there is more to do right now (never)."""
        try:
            listed = [self._seen(node) for node in self._source.nodes()]
        except Unavailable as error:
            self._hear_nothing(error)
            return False
        with transaction(self._database) as connection:
            synced = sync_nodes(connection, listed, engine=ENGINE, now=self._clock())
        _LOOKS.labels("answered").inc()
        self._silent = False
        if synced.foreign != self._foreign:
            _log.warning("nodes of Kubernetes have names of agents, and are not used", nodes=synced.foreign)
            self._foreign = synced.foreign
        if synced.room_changed:
            self._wake()
        return False

    def _hear_nothing(self, error: Unavailable) -> None:
        _LOOKS.labels("silent").inc()
        if not self._silent:
            _log.warning("the nodes of Kubernetes are not known anew; trying again", problem=str(error))
        self._silent = True
        before = self._clock() - self._staleness
        with transaction(self._database) as connection:
            gone = mark_silent_nodes_gone(connection, before=before, engines=(ENGINE,))
        if gone:
            _log.error(
                "the Kubernetes API is silent for too long; its nodes are not used any more", nodes=gone
            )

    def _seen(self, node: KubernetesNode) -> SeenNode:
        url = None
        if self._exporter_port and node.address:
            host = f"[{node.address}]" if ":" in node.address else node.address
            url = f"http://{host}:{self._exporter_port}/metrics"
        return SeenNode(node=node.to_node(), ready=node.usable, metrics_url=url)
