from collections.abc import Sequence

from nodewise.core.model.decision import Decision
from nodewise.core.model.node import Cluster, NodeView
from nodewise.core.model.task import WaitingTask
from nodewise.core.ports import PlacementContext
from nodewise.placer.placement import Choice, place_each


class Random:
    """Every node that can take the task is equally likely; the baseline that others are compared with."""

    name = "random"
    summary = "Any node that can take the task, each equally likely: the baseline."

    def place(
        self, tasks: Sequence[WaitingTask], cluster: Cluster, context: PlacementContext
    ) -> Sequence[Decision]:
        def choose(_: WaitingTask, nodes: Sequence[NodeView]) -> Choice:
            chosen = context.rng.choice(nodes)
            return Choice(node=chosen.name, text=f"drawn at random from {len(nodes)} that can take it")

        return place_each(tasks, cluster, choose)
