"""Nodes as their agents describe them, and their capacity. Writer: recorder; of cordons, the API."""

import json
from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Connection, text

from nodewise.core.codec import encode
from nodewise.core.messages import Heartbeat
from nodewise.core.model.engines import REPORTING
from nodewise.core.model.ids import NodeName

# A heartbeat that is not newer than the last one of the same boot leaves the row as it is, and so does one that calls a node of
# another engine its own, while that one uses it: no row comes back.
_SEE = text("""
INSERT INTO nodes AS n (name, node_class, architecture, worker_type, accelerator, labels, engine, container_runtime, state,
                        taints, boot_id, sequence, metrics_url, first_seen_at, last_seen_at)
VALUES (:name, :node_class, :architecture, :worker_type, :accelerator, CAST(:labels AS jsonb), :engine,
        :container_runtime, :state, CAST(:taints AS jsonb), :boot_id, :sequence, :metrics_url, :now, :now)
ON CONFLICT (name) DO UPDATE SET
    node_class = excluded.node_class, architecture = excluded.architecture, worker_type = excluded.worker_type,
    accelerator = excluded.accelerator, labels = excluded.labels, engine = excluded.engine,
    container_runtime = excluded.container_runtime, state = excluded.state,
    taints = excluded.taints, boot_id = excluded.boot_id, sequence = excluded.sequence, metrics_url = excluded.metrics_url,
    last_seen_at = greatest(n.last_seen_at, excluded.last_seen_at)
WHERE (n.boot_id <> excluded.boot_id OR n.sequence < excluded.sequence)
  AND (n.engine = excluded.engine OR n.state = 'GONE')
RETURNING name
""")

_STATE = text("SELECT state FROM nodes WHERE name = :name")

# What is booked stays booked when a node shrinks; the next heartbeat after the release brings the rest.
_SET_CAPACITY = text("""
INSERT INTO node_loads AS l (node, capacity_millicores, capacity_memory_mib, capacity_gpus)
VALUES (:node, :millicores, :memory_mib, :gpus)
ON CONFLICT (node) DO UPDATE SET
    capacity_millicores = greatest(excluded.capacity_millicores, l.booked_millicores),
    capacity_memory_mib = greatest(excluded.capacity_memory_mib, l.booked_memory_mib),
    capacity_gpus = greatest(excluded.capacity_gpus, l.booked_gpus)
WHERE (l.capacity_millicores, l.capacity_memory_mib, l.capacity_gpus)
    <> (excluded.capacity_millicores, excluded.capacity_memory_mib, excluded.capacity_gpus)
RETURNING node
""")

_CORDON = text("""
UPDATE nodes SET cordoned_at = CASE WHEN CAST(:at AS timestamptz) IS NOT NULL THEN coalesce(cordoned_at, :at) END
WHERE name = :name
""")

_LOCK_LOAD = text("SELECT FROM node_loads WHERE node = :name FOR UPDATE")

_MARK_GONE = text("""
UPDATE nodes SET state = 'GONE'
WHERE state = 'READY' AND last_seen_at < :before AND engine = ANY(:engines) RETURNING name
""")


def set_cordon(connection: Connection, name: NodeName, *, at: datetime | None) -> bool:
    """Let the node take nothing new from `at` on (None: let it take tasks again); False: there is none of that name.

    What it runs goes on. Cordoning one that is cordoned leaves the time as it is. Waits for who is booking room on it just now:
    what this transaction sees booked from here on is all that there will be.
    """
    known = connection.execute(_CORDON, {"name": name, "at": at}).rowcount == 1
    connection.execute(_LOCK_LOAD, {"name": name})
    return known


def record_heartbeat(connection: Connection, heartbeat: Heartbeat, *, now: datetime) -> bool:
    """Take over what the agent says of its node; False when a later heartbeat was recorded before (nothing changes)."""
    node = heartbeat.node
    seen = connection.execute(
        _SEE,
        {
            "name": node.name,
            "node_class": node.node_class,
            "architecture": node.architecture,
            "worker_type": node.worker_type,
            "accelerator": node.accelerator,
            "labels": json.dumps(dict(node.labels)),
            "engine": node.engine,
            "container_runtime": node.container_runtime,
            "state": "GONE" if heartbeat.leaving else "READY",
            "taints": json.dumps([encode(taint) for taint in node.taints]),
            "boot_id": heartbeat.boot_id,
            "sequence": heartbeat.sequence,
            "metrics_url": heartbeat.metrics_url,
            "now": now,
        },
    )
    return seen.first() is not None


def node_state(connection: Connection, name: NodeName) -> str | None:
    """READY or GONE; None: never seen."""
    return connection.execute(_STATE, {"name": name}).scalar()


def set_capacity(connection: Connection, heartbeat: Heartbeat) -> bool:
    """Give the node the capacity that its agent reports, never below what is booked; True when it changed.

    Locks the row of node_loads: call it last (order of locks).
    """
    room = heartbeat.node.capacity
    changed = connection.execute(
        _SET_CAPACITY,
        {
            "node": heartbeat.node.name,
            "millicores": room.millicores,
            "memory_mib": room.memory_mib,
            "gpus": room.gpus,
        },
    )
    return changed.first() is not None


def mark_silent_nodes_gone(
    connection: Connection, *, before: datetime, engines: Sequence[str] = REPORTING
) -> Sequence[NodeName]:
    """Nodes of these engines that were last seen before that time are not used any more; returns those that were until now."""
    found = connection.execute(_MARK_GONE, {"before": before, "engines": list(engines)})
    return [NodeName(name) for (name,) in found]
