from bisect import bisect_right
from collections.abc import Sequence

from nodewise.core.model.decision import Decision
from nodewise.core.model.ids import NodeName
from nodewise.core.model.node import Cluster, NodeView
from nodewise.core.model.task import WaitingTask
from nodewise.core.ports import PlacementContext
from nodewise.placer.placement import Choice, place_each


class _Turn:
    """Whose turn it is: the first name after the one placed on last, around the ring of names."""

    def __init__(self, previous: NodeName | None) -> None:
        self.previous = previous

    def choose(self, _: WaitingTask, nodes: Sequence[NodeView]) -> Choice:
        names = [view.name for view in nodes]
        before = self.previous
        index = 0 if before is None else bisect_right(names, before) % len(names)
        self.previous = names[index]
        text = "first in turn" if before is None else f"next in turn after {before}"
        return Choice(node=names[index], text=f"{text}, of {len(names)} that can take it")


class RoundRobin:
    """One node after the other, in name order, leaving out those that cannot take the task."""

    name = "round_robin"
    summary = "The next node in name order that can take the task."

    def place(
        self, tasks: Sequence[WaitingTask], cluster: Cluster, context: PlacementContext
    ) -> Sequence[Decision]:
        return place_each(tasks, cluster, _Turn(context.previous_node).choose)
