from collections.abc import Mapping, Sequence

from nodewise.core.model.decision import Decision
from nodewise.core.model.ids import NodeName
from nodewise.core.model.node import Cluster, NodeView
from nodewise.core.model.task import WaitingTask
from nodewise.core.ports import PlacementContext
from nodewise.placer.placement import Choice, others, place_each
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
    return Choice(node=chosen.name, text=_because(chosen, booked, tied, load), scores=scores)


def _comparable(measured: Mapping[NodeName, float | None]) -> dict[NodeName, float]:
    known = {name: load for name, load in measured.items() if load is not None}
    return known if len(known) == len(measured) else dict.fromkeys(measured, 0.0)


def _because(
    chosen: NodeView,
    booked: Mapping[NodeName, float],
    tied: Sequence[NodeView],
    load: Mapping[NodeName, float],
) -> str:
    """What decided, with the figures that it was decided by."""
    share = f"{percent(booked[chosen.name])} of its cores booked"
    if len(booked) == 1:
        return share
    if len(set(load.values())) > 1:
        loads = {name: f"{value:.3g}" for name, value in load.items()}
        equal = f"among equals load per core {loads[chosen.name]}"
        return f"least loaded: {share}, {equal}{others(loads, chosen.name)}"
    shares = {name: percent(value) for name, value in booked.items()}
    return f"least loaded: {share}{_tie(tied)}{others(shares, chosen.name)}"


def _tie(tied: Sequence[NodeView]) -> str:
    if len(tied) == 1:
        return ""
    sizes = {strength(view) for view in tied}
    return ", the largest among equals" if len(sizes) > 1 else ", first by name among equals"
