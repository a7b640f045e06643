"""The longest way before and after each task, node by node, as if no node were ever full."""

from collections.abc import Callable

import numpy as np

from nodewise.planning.bounds.model import Floats, Relaxed, limits
from nodewise.planning.instance import Instance
from nodewise.planning.list_scheduling import never, while_time

_PAIRS_OF_NODES = 64
"""Up to so many nodes every pair is looked at; beyond, each node's fastest link stands for all of its links."""


class Transfers:
    """The cheapest arrival of data: O(nodes squared) up to 64 nodes, O(nodes) beyond (and then a lower bound)."""

    def __init__(self, instance: Instance) -> None:
        rates = np.array(instance.rates).reshape(len(instance.rates), len(instance.rates))
        with np.errstate(divide="ignore"):
            self._slowness = 1.0 / rates
        self._nodes = len(instance.problem.nodes)
        among = self._slowness[: self._nodes, : self._nodes]
        self._among = among if self._nodes <= _PAIRS_OF_NODES else None
        apart = among + np.diag(np.full(self._nodes, np.inf))
        self.leaving = apart.min(axis=1, initial=np.inf)
        """Seconds per MiB over the fastest link of each node, to another node (infinite if there is none)."""
        self.slowest = float(self._slowness.max(initial=0.0))
        """Seconds per MiB over the slowest link of all."""

    def from_node(self, node: int, mib: float) -> Floats:
        """Seconds from one node (which may be gone) to each."""
        if not mib:
            return np.zeros(self._nodes)
        found: Floats = mib * self._slowness[node, : self._nodes]
        return found

    def cheapest(self, times: Floats, mib: float) -> Floats:
        """For each node the least of `times` on any node plus the transfer between the two."""
        if not mib:
            return np.full(self._nodes, times.min())
        if self._among is not None:
            found: Floats = (times[:, None] + mib * self._among).min(axis=0)
            return found
        leaving: Floats = np.minimum(times, times.min() + mib * self.leaving)
        return leaving


def relax(instance: Instance, out_of_time: Callable[[], bool] = never) -> Relaxed:
    """Heads and tails of all free tasks; O(edges x nodes), squared up to 64 nodes.

    A head takes the best node for each ancestor, and for each of its children anew, as if tasks could be run several
    times: that is what makes it cheap and a lower bound on every schedule.
    """
    problem = instance.problem
    origin = min((p.submitted_at for p in problem.pipelines if p.tasks), default=problem.now)
    transfers = Transfers(instance)
    run = np.array([instance.seconds[i] for i in instance.free]).reshape(
        len(instance.free), len(problem.nodes)
    )
    heads = _heads(instance, transfers, run=run, origin=origin, out_of_time=out_of_time)
    tails = _tails(instance, transfers, run, out_of_time=out_of_time)
    ends = [end - origin for _, _, end in instance.fixed.values()]
    paths = (heads + run + tails).min(axis=1, initial=np.inf)
    return Relaxed(
        instance=instance,
        origin=origin,
        run=run,
        heads=heads,
        tails=tails,
        limits=limits(instance, origin),
        least=float(max([0.0, *ends, *paths])),
        pipeline=np.array([instance.pipeline_of[i] for i in instance.free], dtype=np.int64),
    )


def _heads(
    instance: Instance, transfers: Transfers, *, run: Floats, origin: float, out_of_time: Callable[[], bool]
) -> Floats:
    heads = np.empty_like(run)
    rows = {i: row for row, i in enumerate(instance.free)}
    opens = _opens(instance) - origin
    for row, task in enumerate(while_time(instance.free, out_of_time)):
        # What takes no time takes no room either.
        ready = np.maximum(np.where(run[row] > 0, opens, -np.inf), instance.release[task] - origin)
        for parent, mib in instance.parents[task]:
            if parent in instance.fixed:
                node, _, end = instance.fixed[parent]
                arrival = end - origin + transfers.from_node(node, mib)
            else:
                there = rows[parent]
                arrival = transfers.cheapest(heads[there] + run[there], mib)
            np.maximum(ready, arrival, out=ready)
        heads[row] = ready
    return heads


def _opens(instance: Instance) -> Floats:
    """From when on each node has a slot that no fixed task holds, as far as they hold it without a break from now."""
    now, nodes = instance.problem.now, instance.problem.nodes
    ends: list[list[float]] = [[] for _ in nodes]
    for booking in instance.bookings:
        if booking.start <= now < booking.end:
            ends[booking.node].append(booking.end)
    opens = np.full(len(nodes), -np.inf)
    for j, node in enumerate(nodes):
        if node.slots is not None and len(ends[j]) >= node.slots:
            opens[j] = sorted(ends[j])[len(ends[j]) - node.slots]
    return opens


def _tails(
    instance: Instance, transfers: Transfers, run: Floats, *, out_of_time: Callable[[], bool]
) -> Floats:
    tails = np.zeros_like(run)
    rows = {i: row for row, i in enumerate(instance.free)}
    for task in while_time(reversed(instance.free), out_of_time):
        tail = tails[rows[task]]
        for child, mib in instance.children[task]:
            if child in rows:
                there = rows[child]
                np.maximum(tail, transfers.cheapest(run[there] + tails[there], mib), out=tail)
    return tails


def horizon(relaxed: Relaxed) -> float:
    """Some schedule is no longer: all tasks one after another, on their slowest nodes, after all that is fixed."""
    instance, transfers = relaxed.instance, Transfers(relaxed.instance)
    run = np.where(np.isfinite(relaxed.run), relaxed.run, 0.0)
    ends = [booking.end - relaxed.origin for booking in instance.bookings]
    mib = sum(amount for task in instance.free for _, amount in instance.parents[task])
    first = max([relaxed.least, *ends, *(instance.release[task] - relaxed.origin for task in instance.free)])
    return float(first + run.max(axis=1, initial=0.0).sum() + (mib * transfers.slowest if mib else 0.0))
