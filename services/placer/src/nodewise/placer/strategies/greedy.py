from collections.abc import Mapping, Sequence

from nodewise.core.model.decision import Decision
from nodewise.core.model.ids import NodeName
from nodewise.core.model.node import Cluster, NodeView
from nodewise.core.model.task import WaitingTask
from nodewise.core.ports import PlacementContext
from nodewise.placer.placement import Choice, others, place_each
from nodewise.placer.scores import booked_share, load_per_core, strength


class Greedy:
    """Worst fit: the least loaded node, then more cores, then more memory, then the lower name.

    Load is the booked share of the cores. Among equals the measured load counts, but only where it is known and
    fresh of all of them: an unknown load is neither high nor low.
    """

    name = "greedy"
    summary = "The least loaded node, then the one with more cores, then with more memory."

    def place(
        self,
        tasks: Sequence[WaitingTask],
        cluster: Cluster,
        context: PlacementContext,  # noqa: ARG002 - the port's signature
    ) -> Sequence[Decision]:
        def choose(_: WaitingTask, nodes: Sequence[NodeView]) -> Choice:
            return _least_loaded(nodes, {view.name: load_per_core(view, cluster) for view in nodes})

        return place_each(tasks, cluster, choose)


def _least_loaded(nodes: Sequence[NodeView], measured: Mapping[NodeName, float | None]) -> Choice:
    booked = {view.name: booked_share(view) for view in nodes}
    least = min(booked.values())
    tied = [view for view in nodes if booked[view.name] == least]
    load = _comparable({view.name: measured[view.name] for view in tied})
    chosen = min(tied, key=lambda view: (load[view.name], *(-size for size in strength(view)), view.name))
    scores = {
        view.name: {
            "booked_share": booked[view.name],
            "load_per_core": measured[view.name],
            "cores": view.node.capacity.millicores / 1000,
            "memory_mib": float(view.node.capacity.memory_mib),
        }
        for view in nodes
    }
    told = {name: f"{share:.2g}" for name, share in booked.items()}
    text = f"least loaded: {least:.2g} of its cores booked{_tie(tied, load)}{others(told, chosen.name)}"
    return Choice(node=chosen.name, text=text, scores=scores)


def _comparable(measured: Mapping[NodeName, float | None]) -> dict[NodeName, float]:
    known = {name: load for name, load in measured.items() if load is not None}
    return known if len(known) == len(measured) else dict.fromkeys(measured, 0.0)


def _tie(tied: Sequence[NodeView], load: Mapping[NodeName, float]) -> str:
    if len(tied) == 1:
        return ""
    if len({load[view.name] for view in tied}) > 1:
        return ", by measured load among equals"
    return ", by size among equals"
