"""Questions about nodes. Who writes them: see the schema."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, RowMapping, text

from nodewise.core.model.ids import NodeName
from nodewise.core.model.node import Node, NodeView
from nodewise.core.model.resources import Resources
from nodewise.core.model.selection import CORDON, Taint

_SELECT = """
SELECT n.name, n.node_class, n.architecture, n.worker_type, n.accelerator, n.labels, n.engine, n.container_runtime, n.taints, n.cordoned_at, n.state, n.last_seen_at,
       l.capacity_millicores, l.capacity_memory_mib, l.capacity_gpus,
       l.booked_millicores, l.booked_memory_mib, l.booked_gpus, l.running_tasks
FROM nodes AS n JOIN node_loads AS l ON l.node = n.name
"""
# COLLATE "C": the snapshot is sorted as Python sorts, whatever the locale of the database.
_READY_NODES = text(_SELECT + """WHERE n.state = 'READY' ORDER BY n.name COLLATE "C" """)
_ALL_NODES = text(_SELECT + """ORDER BY n.name COLLATE "C" """)
_ANY_RUNTIME = text(
    "SELECT EXISTS (SELECT FROM nodes WHERE state = 'READY' AND engine = 'agents' AND container_runtime IS NOT NULL)"
)
_METRICS_URLS = text("SELECT name, metrics_url FROM nodes WHERE state = 'READY' ORDER BY name")


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeRow:
    """A node with its bookings, gone or not, as the API shows it."""

    view: NodeView
    state: str
    last_seen_at: datetime
    cordoned_at: datetime | None
    """Since when it takes nothing new; None: it does."""


def ready_nodes(connection: Connection) -> tuple[NodeView, ...]:
    """The nodes that may be used now with their bookings, sorted by name; nothing observed yet."""
    return tuple(_view(row) for row in connection.execute(_READY_NODES).mappings())


def all_nodes(connection: Connection) -> Sequence[NodeRow]:
    """Every node ever seen, sorted by name."""
    return [
        NodeRow(
            view=_view(row),
            state=row["state"],
            last_seen_at=row["last_seen_at"],
            cordoned_at=row["cordoned_at"],
        )
        for row in connection.execute(_ALL_NODES).mappings()
    ]


def any_container_runtime(connection: Connection) -> bool:
    """Whether some agent that may be used now runs components that bring their own image."""
    return bool(connection.execute(_ANY_RUNTIME).scalar_one())


def metrics_urls(connection: Connection) -> Sequence[tuple[NodeName, str | None]]:
    """The nodes that may be used now, and where each serves its metrics (None: it did not say)."""
    return [(NodeName(name), url) for name, url in connection.execute(_METRICS_URLS)]


def _view(row: RowMapping) -> NodeView:
    node = Node(
        name=NodeName(row["name"]),
        capacity=_resources(row, "capacity"),
        node_class=row["node_class"],
        architecture=row["architecture"],
        worker_type=row["worker_type"],
        accelerator=row["accelerator"],
        labels=row["labels"],
        engine=row["engine"],
        container_runtime=row["container_runtime"],
        taints=_taints(row),
    )
    return NodeView(node=node, booked=_resources(row, "booked"), running_tasks=row["running_tasks"])


def _taints(row: RowMapping) -> tuple[Taint, ...]:
    told = tuple(Taint(**taint) for taint in row["taints"])
    cordoned = row["cordoned_at"] is not None and CORDON not in told
    return (*told, CORDON) if cordoned else told


def _resources(row: RowMapping, prefix: str) -> Resources:
    return Resources(
        millicores=row[f"{prefix}_millicores"],
        memory_mib=row[f"{prefix}_memory_mib"],
        gpus=row[f"{prefix}_gpus"],
    )
