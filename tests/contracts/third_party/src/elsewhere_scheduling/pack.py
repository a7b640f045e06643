from collections.abc import Sequence

from nodewise.core.estimates.memory import effective_resources
from nodewise.core.feasibility import exclusion_of
from nodewise.core.model.decision import Decision, Deferral, Placement, Reason, ReasonCode
from nodewise.core.model.node import Cluster
from nodewise.core.model.task import WaitingTask
from nodewise.core.ports import PlacementContext


class Pack:
    """Best fit: the node with the least free CPU that can still take the task."""

    name = "pack"
    summary = "The fullest node with room."

    def place(
        self, tasks: Sequence[WaitingTask], cluster: Cluster, context: PlacementContext
    ) -> Sequence[Decision]:
        decisions: list[Decision] = []
        for task in tasks:
            able = [view for view in cluster.nodes if exclusion_of(task, view, cluster) is None]
            if not able:
                reason = Reason(code=ReasonCode.NO_ROOM, text="no node has room")
                decisions.append(Deferral(ref=task.ref, reason=reason))
                continue
            node = min(able, key=lambda view: (view.free.millicores, view.name)).name
            cluster = cluster.with_booking(node, effective_resources(task.spec))
            placed = Reason(code=ReasonCode.PLACED, text=f"the fullest of {len(able)} with room")
            decisions.append(Placement(ref=task.ref, node=node, reason=placed))
        return decisions
