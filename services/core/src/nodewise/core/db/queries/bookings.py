"""Booked capacity: `bookings` (its history) and `node_loads` (its sums) change here together, and nowhere else.

Both functions lock rows of node_loads in node-name order and hold them until the transaction ends: call each at most
once in a transaction, and last.
"""

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, text

from nodewise.core.model.ids import AttemptKey, NodeName, RunId, TaskPath
from nodewise.core.model.resources import Resources


@dataclass(frozen=True, slots=True, kw_only=True)
class BookingRequest:
    """Room that one attempt wants on one node. Its row in `attempts` must exist."""

    key: AttemptKey
    node: NodeName
    resources: Resources


_LOCK = text("SELECT node FROM node_loads WHERE node = ANY(:names) ORDER BY node FOR UPDATE")

# After the lock, so that it sees what was true when the lock was had: a cordon holds it as well.
_ROOM = text("""
SELECT l.node, greatest(0, l.capacity_millicores - l.booked_millicores) AS millicores,
       greatest(0, l.capacity_memory_mib - l.booked_memory_mib) AS memory_mib,
       greatest(0, l.capacity_gpus - l.booked_gpus) AS gpus
FROM node_loads AS l JOIN nodes AS n ON n.name = l.node
WHERE l.node = ANY(:names) AND n.state = 'READY' AND (n.cordoned_at IS NULL OR :also_cordoned)
""")

_INSERT = text("""
INSERT INTO bookings (run_id, path, attempt, node, millicores, memory_mib, gpus, booked_at)
SELECT v.run_id, v.path, v.attempt, v.node, v.millicores, v.memory_mib, v.gpus,
       coalesce(CAST(:at AS timestamptz), clock_timestamp())
FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS v(
    run_id uuid, path text, attempt int, node text, millicores int, memory_mib int, gpus int)
""")

_LOCK_BOOKINGS = text("""
SELECT b.run_id, b.path, b.attempt
FROM bookings AS b JOIN jsonb_to_recordset(CAST(:rows AS jsonb)) AS v(run_id uuid, path text, attempt int)
    USING (run_id, path, attempt)
WHERE b.released_at IS NULL
ORDER BY b.run_id, b.path, b.attempt
FOR UPDATE OF b
""")

# Never later than the database's clock: who books the room after us is stamped later by that clock, under the lock, so
# the history never shows two bookings of the same room, whatever the clocks of other machines say.
_CLOSE = text("""
UPDATE bookings AS b
SET released_at = greatest(b.booked_at, least(CAST(:at AS timestamptz), clock_timestamp()))
FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS v(run_id uuid, path text, attempt int)
WHERE b.run_id = v.run_id AND b.path = v.path AND b.attempt = v.attempt AND b.released_at IS NULL
RETURNING b.run_id, b.path, b.attempt, b.node, b.millicores, b.memory_mib, b.gpus
""")

# The schema's CHECKs have the last word: a sum beyond the capacity or below zero fails the statement.
_ADD = text("""
UPDATE node_loads AS l SET
    booked_millicores = l.booked_millicores + v.millicores,
    booked_memory_mib = l.booked_memory_mib + v.memory_mib,
    booked_gpus = l.booked_gpus + v.gpus,
    running_tasks = l.running_tasks + v.tasks
FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS v(node text, millicores int, memory_mib int, gpus int, tasks int)
WHERE l.node = v.node
""")


def book(
    connection: Connection,
    requests: Sequence[BookingRequest],
    *,
    at: datetime | None = None,
    also_cordoned: bool = False,
) -> set[AttemptKey]:
    """Book what still fits, in the order of `requests`; return the keys that got their room.

    A key that is absent lost a race: since the caller's snapshot its node was filled by somebody else, shrank, or left.
    `at` None stamps the history with the database's clock once the room is held. `also_cordoned`: for what runs there already.
    """
    if not requests:
        return set()
    names = {request.node for request in requests}
    free = _locked_room(connection, names, also_cordoned=also_cordoned)
    granted = [request for request in requests if _take(free, request)]
    if granted:
        rows = [_row(request) for request in granted]
        _add(connection, ((request.node, request.resources) for request in granted), sign=1)
        connection.execute(_INSERT, {"rows": json.dumps(rows), "at": at})
    return {request.key for request in granted}


def release(connection: Connection, keys: Iterable[AttemptKey], *, at: datetime) -> set[AttemptKey]:
    """Give back what these attempts hold; return those that held something. Releasing twice does nothing."""
    identities = [_identity(key) for key in keys]
    rows = json.dumps(identities)
    # A single row needs no lock of its own to be locked in order.
    if len(identities) > 1:
        connection.execute(_LOCK_BOOKINGS, {"rows": rows})
    closed = connection.execute(_CLOSE, {"rows": rows, "at": at}).all()
    names = {row.node for row in closed}
    if len(names) > 1:
        connection.execute(_LOCK, {"names": sorted(names)})
    amounts = (
        (row.node, Resources(millicores=row.millicores, memory_mib=row.memory_mib, gpus=row.gpus))
        for row in closed
    )
    _add(connection, amounts, sign=-1)
    return {
        AttemptKey(run_id=RunId(str(row.run_id)), path=TaskPath(row.path), attempt=row.attempt)
        for row in closed
    }


def _locked_room(
    connection: Connection, names: set[NodeName], *, also_cordoned: bool
) -> dict[NodeName, Resources]:
    connection.execute(_LOCK, {"names": sorted(names)})
    found = connection.execute(_ROOM, {"names": sorted(names), "also_cordoned": also_cordoned})
    return {
        NodeName(row.node): Resources(millicores=row.millicores, memory_mib=row.memory_mib, gpus=row.gpus)
        for row in found
    }


def _take(free: dict[NodeName, Resources], request: BookingRequest) -> bool:
    room = free.get(request.node)
    if room is None or not request.resources.fits_in(room):
        return False
    free[request.node] = room.minus(request.resources)
    return True


def _add(connection: Connection, amounts: Iterable[tuple[NodeName, Resources]], *, sign: int) -> None:
    sums: dict[NodeName, Resources] = defaultdict(Resources)
    counts: dict[NodeName, int] = defaultdict(int)
    for node, resources in amounts:
        sums[node] += resources
        counts[node] += 1
    rows = [_delta(node, total, tasks=counts[node], sign=sign) for node, total in sorted(sums.items())]
    if rows:
        connection.execute(_ADD, {"rows": json.dumps(rows)})


def _delta(node: NodeName, total: Resources, *, tasks: int, sign: int) -> Mapping[str, object]:
    return {
        "node": node,
        "millicores": sign * total.millicores,
        "memory_mib": sign * total.memory_mib,
        "gpus": sign * total.gpus,
        "tasks": sign * tasks,
    }


def _identity(key: AttemptKey) -> dict[str, object]:
    return {"run_id": key.run_id, "path": key.path, "attempt": key.attempt}


def _row(request: BookingRequest) -> dict[str, object]:
    need = request.resources
    return _identity(request.key) | {
        "node": request.node,
        "millicores": need.millicores,
        "memory_mib": need.memory_mib,
        "gpus": need.gpus,
    }
