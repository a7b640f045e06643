"""The free room of a cluster during one walk along the queue. Pure; mutable within the walk only."""

from collections.abc import Sequence
from dataclasses import dataclass

from nodewise.core.estimates.memory import effective_resources
from nodewise.core.feasibility import exclusion
from nodewise.core.model.decision import Exclusion, Reason
from nodewise.core.model.ids import NodeName
from nodewise.core.model.node import Cluster, NodeView
from nodewise.core.model.resources import Resources
from nodewise.core.model.task import TaskSpec
from nodewise.core.refusals import NO_NODES, refusal

Signature = tuple[object, ...]


@dataclass(frozen=True, slots=True)
class Wish:
    """What a task wants, and where. Tasks of one `signature` fit on the same nodes."""

    spec: TaskSpec
    need: Resources
    signature: Signature
    nodes: tuple[NodeName, ...] | None = None
    """Only these (None: any node)."""
    without: NodeName | None = None

    def only(self, nodes: tuple[NodeName, ...] | None) -> "Wish":
        return Wish(self.spec, self.need, self.signature, nodes)

    def except_for(self, node: NodeName) -> "Wish":
        return Wish(self.spec, self.need, self.signature, self.nodes, node)


def wish(spec: TaskSpec, nodes: tuple[NodeName, ...] | None = None) -> Wish:
    """What the task wants, on any of `nodes` (None: of all)."""
    need, wanted = effective_resources(spec), spec.requirements
    labels = tuple(sorted(wanted.labels.items())) if wanted.labels else ()
    signature = (
        need.millicores, need.memory_mib, need.gpus, wanted.nodes, wanted.architectures, wanted.worker_types,
        wanted.accelerator, labels, wanted.engine, wanted.containers, wanted.affinity, wanted.tolerations,
    )  # fmt: skip
    return Wish(spec, need, signature, nodes)


class Room:
    """First-fit booking on a copy of a snapshot.

    Room only shrinks during a walk, so a node that once refused a kind of wish is not asked again: a walk costs
    O(tasks + kinds x nodes), however many tasks find nothing.
    """

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._views = list(cluster.nodes)
        self._index = {view.name: index for index, view in enumerate(cluster.nodes)}
        self._amounts = [_amounts(view) for view in cluster.nodes]
        self._first: dict[Signature, int] = {}
        self._full: set[Signature] = set()
        self._fitting: set[Signature] = set()
        """Kinds that some node was found for since the last booking."""
        self._refusals: dict[Signature, Reason] = {}

    @property
    def views(self) -> Sequence[NodeView]:
        """The nodes with all that was taken so far."""
        return self._views

    def view(self, name: NodeName) -> NodeView | None:
        index = self._index.get(name)
        return None if index is None else self._views[index]

    def fits(self, asked: Wish) -> bool:
        """Whether some node can take it now."""
        kind = (asked.signature, asked.nodes, asked.without)
        if kind not in self._full and kind not in self._fitting:
            (self._full if self._candidate(kind, asked) is None else self._fitting).add(kind)
        return kind in self._fitting

    def refused(self, asked: Wish) -> Reason | None:
        """Why no node can take it now; None: one can. Books nothing. Finding the words costs more than `fits`."""
        if self.fits(asked):
            return None
        kind = (asked.signature, asked.nodes, asked.without)
        if kind not in self._refusals:
            self._refusals[kind] = self._refusal(asked)
        return self._refusals[kind]

    def take(self, asked: Wish) -> NodeName | None:
        """Book it on the first node that can take it, and say which; None: none can, nothing is booked."""
        if not self.fits(asked):
            return None
        index = self._first[asked.signature, asked.nodes, asked.without]
        self._views[index] = self._views[index].with_booking(asked.need)
        self._amounts[index] = _amounts(self._views[index])
        self._fitting.clear()
        return self._views[index].name

    def exclusion(self, asked: Wish, name: NodeName) -> Exclusion | None:
        """What keeps it off that node of the cluster now; None: nothing."""
        return exclusion(asked.spec, self._views[self._index[name]], self._cluster)

    def _candidate(self, kind: Signature, asked: Wish) -> int | None:
        for index in self._indices(asked, self._first.get(kind, 0)):
            self._first[kind] = index
            if self._is_full(index, asked.need):
                continue
            view = self._views[index]
            if view.name != asked.without and exclusion(asked.spec, view, self._cluster) is None:
                return index
        return None

    def _is_full(self, index: int, need: Resources) -> bool:
        """Whether numbers alone say no: most nodes are full while tasks wait."""
        millicores, memory_mib, gpus, slots = self._amounts[index]
        return need.millicores > millicores or need.memory_mib > memory_mib or need.gpus > gpus or slots < 1

    def _indices(self, asked: Wish, first: int) -> Sequence[int]:
        if asked.nodes is None:
            return range(first, len(self._views))
        known = (self._index[name] for name in asked.nodes if name in self._index)
        return sorted(index for index in known if index >= first)

    def _refusal(self, asked: Wish) -> Reason:
        views = [self._views[index] for index in self._indices(asked, 0)]
        found = [exclusion(asked.spec, view, self._cluster) for view in views if view.name != asked.without]
        excluded: list[Exclusion] = [item for item in found if item is not None]
        return refusal(asked.spec, excluded) if self._views else NO_NODES


def _amounts(view: NodeView) -> tuple[int, int, int, int]:
    """What is free: millicores, MiB of memory, GPUs, slots."""
    free = view.free
    slots = 1 if view.slots is None else view.slots - view.running_tasks
    return free.millicores, free.memory_mib, free.gpus, slots
