"""A problem as the bounds see it: arrays of times from the first submission on, and what limits each node."""

from dataclasses import dataclass
from math import inf

import numpy as np
from numpy.typing import NDArray

from nodewise.planning.instance import Instance
from nodewise.planning.timeline import Booking

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """Something that tasks share: slots, or one kind of resource.

    Attributes:
        capacity: Of each node; infinite where it does not limit.
        demand: Of each free task.
    """

    capacity: Floats
    demand: Floats
    bookings: tuple[tuple[int, float, float, float], ...]
    """Node, start, end and amount of what is fixed."""

    def held(self, start: float, end: float) -> Floats:
        """What fixed tasks hold of each node between two times, never more than all of it (in amount x seconds)."""
        total = np.zeros(len(self.capacity))
        events: dict[int, list[tuple[float, float]]] = {}
        for node, begin, stop, amount in self.bookings:
            inside = (max(begin, start), min(stop, end))
            if inside[0] < inside[1]:
                events.setdefault(node, []).extend(((inside[0], amount), (inside[1], -amount)))
        for node, changes in events.items():
            total[node] = _area_below(sorted(changes), float(self.capacity[node]))
        return total


def _area_below(changes: list[tuple[float, float]], capacity: float) -> float:
    area = used = before = 0.0
    for instant, amount in changes:
        area += min(used, capacity) * (instant - before)
        used, before = used + amount, instant
    return area


@dataclass(frozen=True, slots=True, kw_only=True)
class Relaxed:
    """What every bound starts from. Rows are free tasks in the order of `instance.free`, columns the nodes.

    Attributes:
        origin: The first submission; all times count from it.
        run: Run times, infinite where a task cannot run.
        heads: Before this time the task cannot start on the node.
        tails: After its end there, the whole takes at least this much longer.
        least: No schedule ends earlier (what is fixed ends then, and paths are that long).
        pipeline: The pipeline of each row.
    """

    instance: Instance
    origin: float
    run: Floats
    heads: Floats
    tails: Floats
    limits: tuple[Limit, ...]
    least: float
    pipeline: Ints


def limits(instance: Instance, origin: float) -> tuple[Limit, ...]:
    """Slots, millicores, memory and GPUs, those that some free task needs and some node limits; O(tasks + nodes).

    Where the slots are so few that no choice of tasks exceeds a resource, it does not limit.
    """
    nodes, free = instance.problem.nodes, instance.free
    demands = np.array([instance.demand[i] for i in free], dtype=float).reshape(len(free), 3)
    sizes = [(n.capacity.millicores, n.capacity.memory_mib, n.capacity.gpus) for n in nodes]
    capacities = np.array(sizes, dtype=float).reshape(len(nodes), 3)
    slots = np.array([inf if node.slots is None else node.slots for node in nodes], dtype=float)
    most = np.array([demands.max(axis=0, initial=0.0), *(booking.demand for booking in instance.bookings)])
    with np.errstate(invalid="ignore"):
        capacities[slots[:, None] * most.max(axis=0) <= capacities] = inf
    found = [Limit(capacity=slots, demand=np.ones(len(free)), bookings=_held(instance, None, origin))]
    found += [
        Limit(capacity=capacities[:, r], demand=demands[:, r], bookings=_held(instance, r, origin))
        for r in range(3)
    ]
    return tuple(limit for limit in found if limit.demand.any() and np.isfinite(limit.capacity).any())


def _held(
    instance: Instance, resource: int | None, origin: float
) -> tuple[tuple[int, float, float, float], ...]:
    def amount(booking: Booking) -> float:
        return 1.0 if resource is None else float(booking.demand[resource])

    return tuple((b.node, b.start - origin, b.end - origin, amount(b)) for b in instance.bookings)
