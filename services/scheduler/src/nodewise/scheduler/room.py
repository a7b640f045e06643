"""The free room of a cluster during one walk along the queue. Pure; mutable within the walk only."""

from collections.abc import Sequence

from nodewise.core.estimates.memory import effective_resources
from nodewise.core.feasibility import exclusion
from nodewise.core.model.decision import Exclusion, Reason
from nodewise.core.model.ids import NodeName
from nodewise.core.model.node import Cluster
from nodewise.core.model.task import TaskSpec
from nodewise.core.refusals import NO_NODES, refusal

Signature = tuple[object, ...]


def signature(spec: TaskSpec) -> Signature:
    """What decides where a task fits: tasks of one signature fit on the same nodes."""
    wanted = spec.requirements
    return (
        effective_resources(spec), wanted.nodes, wanted.architectures, wanted.worker_types, wanted.accelerator,
        tuple(sorted(wanted.labels.items())),
    )  # fmt: skip


class Room:
    """First-fit booking on a copy of a snapshot.

    Room only shrinks during a walk, so a node that once refused a signature is not asked again: a walk costs
    O(tasks + signatures x nodes), however many tasks find nothing.
    """

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._views = list(cluster.nodes)
        self._first: dict[Signature, int] = {}
        self._refusals: dict[Signature, Reason] = {}

    def refused(self, spec: TaskSpec, nodes: Sequence[NodeName] | None = None) -> Reason | None:
        """Why none of `nodes` (None: of all) can take it now; None: one can. Books nothing."""
        kind = (signature(spec), nodes)
        if kind not in self._refusals and self._candidate(kind, spec, nodes) is None:
            self._refusals[kind] = self._refusal(spec)
        return self._refusals.get(kind)

    def take(self, spec: TaskSpec, nodes: Sequence[NodeName] | None = None) -> Reason | None:
        """Book it on the first of `nodes` that can take it; else say why none can, and book nothing."""
        kind = (signature(spec), nodes)
        refused = self.refused(spec, nodes)
        if refused is None:
            index = self._first[kind]
            self._views[index] = self._views[index].with_booking(effective_resources(spec))
        return refused

    def _candidate(self, kind: Signature, spec: TaskSpec, nodes: Sequence[NodeName] | None) -> int | None:
        for index in range(self._first.get(kind, 0), len(self._views)):
            self._first[kind] = index
            view = self._views[index]
            if (nodes is None or view.name in nodes) and exclusion(spec, view, self._cluster) is None:
                return index
        return None

    def _refusal(self, spec: TaskSpec) -> Reason:
        found = [exclusion(spec, view, self._cluster) for view in self._views]
        excluded: list[Exclusion] = [item for item in found if item is not None]
        return refusal(spec, excluded) if self._views else NO_NODES
