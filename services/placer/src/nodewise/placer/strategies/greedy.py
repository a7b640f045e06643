from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from nodewise.core.model.decision import Decision
from nodewise.core.model.ids import NodeName
from nodewise.core.model.node import Cluster, NodeView
from nodewise.core.model.task import WaitingTask
from nodewise.core.ports import PlacementContext
from nodewise.placer.placement import Choice, Score, others, place_each
from nodewise.placer.scores import booked_share, load_per_core, percent, strength


class Greedy:
    """Worst fit: the least booked share of the cores, then the lowest measured load, more cores, more memory, the name.

    The measured load per core counts only where it is known and fresh of all nodes that are equally booked: an unknown
    load is neither high nor low.
    """

    name = "greedy"
    summary = (
        "The node with the least booked share of its cores; among equals the lowest measured load per core, "
        "then more cores, then more memory."
    )

    def place(
        self,
        tasks: Sequence[WaitingTask],
        cluster: Cluster,
        context: PlacementContext,  # noqa: ARG002 - the port's signature
    ) -> Sequence[Decision]:
        return place_each(tasks, cluster, _LeastLoaded(cluster).choose)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Figures:
    """What is compared of a node as it is booked now. `order`: the largest first, then by name."""

    view: NodeView
    name: NodeName
    booked: float
    load: float | None
    order: tuple[int, int, NodeName]
    scores: Mapping[str, Score]


class _LeastLoaded:
    """Remembers the figures of each node until it is booked."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._known: dict[NodeName, _Figures] = {}

    def choose(self, _: WaitingTask, nodes: Sequence[NodeView]) -> Choice:
        figures = {found.name: found for found in map(self._figures, nodes)}
        least = min([found.booked for found in figures.values()])
        tied = [found for found in figures.values() if found.booked == least]
        load = _comparable({found.name: found.load for found in tied})
        chosen = min(tied, key=lambda found: (load[found.name], found.order))
        scores = {name: found.scores for name, found in figures.items()}
        return Choice(node=chosen.name, text=_because(chosen.name, figures, tied, load), scores=scores)

    def _figures(self, view: NodeView) -> _Figures:
        known = self._known.get(view.node.name)
        if known is None or known.view is not view:
            known = self._known[view.name] = _figures(view, self._cluster)
        return known


def _figures(view: NodeView, cluster: Cluster) -> _Figures:
    booked, load = booked_share(view), load_per_core(view, cluster)
    cores, memory = strength(view)
    return _Figures(
        view=view,
        name=view.name,
        booked=booked,
        load=load,
        order=(-cores, -memory, view.name),
        scores={
            "booked_share": booked,
            "load_per_core": load,
            "cores": view.node.capacity.millicores / 1000,
            "memory_mib": float(view.node.capacity.memory_mib),
        },
    )


def _comparable(measured: Mapping[NodeName, float | None]) -> dict[NodeName, float]:
    known = {name: load for name, load in measured.items() if load is not None}
    return known if len(known) == len(measured) else dict.fromkeys(measured, 0.0)


def _because(
    chosen: NodeName,
    figures: Mapping[NodeName, _Figures],
    tied: Sequence[_Figures],
    load: Mapping[NodeName, float],
) -> str:
    """What decided, with the figures that it was decided by."""

    def share_of(name: NodeName) -> str:
        return percent(figures[name].booked)

    def load_of(name: NodeName) -> str:
        return f"{load[name]:.3g}"

    share = f"{share_of(chosen)} of its cores booked"
    if len(figures) == 1:
        return share
    if len(set(load.values())) > 1:
        equal = f"among equals load per core {load_of(chosen)}"
        return f"least loaded: {share}, {equal}{others(load, chosen, load_of)}"
    return f"least loaded: {share}{_tie(tied)}{others(figures, chosen, share_of)}"


def _tie(tied: Sequence[_Figures]) -> str:
    if len(tied) == 1:
        return ""
    sizes = {found.order[:2] for found in tied}
    return ", the largest among equals" if len(sizes) > 1 else ", first by name among equals"
