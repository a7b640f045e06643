"""Nodes as the Kubernetes API describes them. Writer: recorder."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, text

from nodewise.core.codec import encode
from nodewise.core.model.ids import NodeName
from nodewise.core.model.node import Node


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenNode:
    """A node that was listed. `ready`: a new pod would be taken there. `metrics_url` is its node_exporter's."""

    node: Node
    ready: bool
    metrics_url: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Synced:
    """What a list of nodes changed: whether room came or went; the names that belong to nodes of another engine."""

    room_changed: bool
    foreign: tuple[NodeName, ...] = ()


_ROWS = """
jsonb_to_recordset(CAST(:rows AS jsonb)) AS v(
    name text, node_class text, architecture text, worker_type text, accelerator text, labels jsonb, engine text,
    container_runtime text, taints jsonb, state text, metrics_url text, millicores int, memory_mib int, gpus int)
"""

# A name that an agent has is left to the agent: it says more often what it is.
_SEE = text(f"""
INSERT INTO nodes AS n (name, node_class, architecture, worker_type, accelerator, labels, engine, container_runtime, taints,
                        state, boot_id, sequence, metrics_url, first_seen_at, last_seen_at)
SELECT v.name, v.node_class, v.architecture, v.worker_type, v.accelerator, v.labels, v.engine, v.container_runtime,
       v.taints, v.state, 'kubernetes', 0, v.metrics_url, :now, :now
FROM {_ROWS}
ORDER BY v.name
ON CONFLICT (name) DO UPDATE SET
    node_class = excluded.node_class, architecture = excluded.architecture, worker_type = excluded.worker_type,
    accelerator = excluded.accelerator, labels = excluded.labels, container_runtime = excluded.container_runtime,
    taints = excluded.taints, state = excluded.state, metrics_url = excluded.metrics_url,
    last_seen_at = greatest(n.last_seen_at, excluded.last_seen_at)
WHERE n.engine = excluded.engine
RETURNING name
""")  # noqa: S608 - constants

_READY = text("SELECT name FROM nodes WHERE engine = :engine AND state = 'READY'")

_MISS = text("""
UPDATE nodes SET state = 'GONE' WHERE engine = :engine AND state = 'READY' AND name <> ALL(:names)
""")

# What is booked stays booked when a node shrinks.
_SIZE = text(f"""
INSERT INTO node_loads AS l (node, capacity_millicores, capacity_memory_mib, capacity_gpus)
SELECT v.name, v.millicores, v.memory_mib, v.gpus FROM {_ROWS} WHERE v.name = ANY(:names)
ORDER BY v.name
ON CONFLICT (node) DO UPDATE SET
    capacity_millicores = greatest(excluded.capacity_millicores, l.booked_millicores),
    capacity_memory_mib = greatest(excluded.capacity_memory_mib, l.booked_memory_mib),
    capacity_gpus = greatest(excluded.capacity_gpus, l.booked_gpus)
WHERE (l.capacity_millicores, l.capacity_memory_mib, l.capacity_gpus)
    IS DISTINCT FROM (greatest(excluded.capacity_millicores, l.booked_millicores),
                      greatest(excluded.capacity_memory_mib, l.booked_memory_mib),
                      greatest(excluded.capacity_gpus, l.booked_gpus))
RETURNING node
""")  # noqa: S608 - constants


def sync_nodes(connection: Connection, listed: Sequence[SeenNode], *, engine: str, now: datetime) -> Synced:
    """Take over all nodes of that engine as they were listed just now; what is not listed any more is GONE.

    Locks rows of node_loads: call it last (order of locks).
    """
    before = {name for (name,) in connection.execute(_READY, {"engine": engine})}
    rows = json.dumps([_row(seen) for seen in listed])
    ours = {name for (name,) in connection.execute(_SEE, {"rows": rows, "now": now})}
    connection.execute(_MISS, {"engine": engine, "names": sorted(ours)})
    resized = connection.execute(_SIZE, {"rows": rows, "names": sorted(ours)}).all()
    after = {seen.node.name for seen in listed if seen.ready and seen.node.name in ours}
    return Synced(
        room_changed=bool(resized) or before != after,
        foreign=tuple(seen.node.name for seen in listed if seen.node.name not in ours),
    )


def _row(seen: SeenNode) -> dict[str, object]:
    node = seen.node
    return {
        "name": node.name,
        "node_class": node.node_class,
        "architecture": node.architecture,
        "worker_type": node.worker_type,
        "accelerator": node.accelerator,
        "labels": dict(node.labels),
        "engine": node.engine,
        "container_runtime": node.container_runtime,
        "taints": [encode(taint) for taint in node.taints],
        "state": "READY" if seen.ready else "GONE",
        "metrics_url": seen.metrics_url,
        "millicores": node.capacity.millicores,
        "memory_mib": node.capacity.memory_mib,
        "gpus": node.capacity.gpus,
    }
