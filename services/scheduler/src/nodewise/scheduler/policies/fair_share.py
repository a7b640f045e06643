from collections.abc import Sequence
from heapq import heapify, heappop, heapreplace

from nodewise.core.estimates.memory import effective_resources
from nodewise.core.model.ids import TaskRef
from nodewise.core.model.resources import Resources
from nodewise.core.model.task import WaitingTask
from nodewise.core.ports import PolicyContext
from nodewise.scheduler.policies.fifo import arrival


class FairShare:
    """Weighted dominant resource fairness over teams.

    Ghodsi et al., Dominant resource fairness: fair allocation of multiple resource types, NSDI 2011. Progressive filling:
    the team with the smallest dominant share (its largest share of any resource, divided by its weight) goes next and
    takes its oldest task, starting from what its live tasks hold. O(n log n). Without a cluster, shares are
    those of all that is held and wanted.
    """

    name = "fair_share"
    summary = "The team with the smallest share of the cluster first (weighted, dominant resource), then its oldest task."

    def order(self, waiting: Sequence[WaitingTask], context: PolicyContext) -> Sequence[TaskRef]:
        teams: dict[str, list[WaitingTask]] = {}
        for task in sorted(waiting, key=arrival, reverse=True):
            teams.setdefault(task.team, []).append(task)
        total = _total(waiting, context)
        used = {team: context.booked.get(team, Resources()) for team in teams}

        def place(team: str) -> tuple[float, tuple[object, ...], str]:
            share = dominant_share(used[team], total) / context.shares.get(team, 1.0)
            return (share, arrival(teams[team][-1]), team)

        heap = [place(team) for team in teams]
        heapify(heap)
        order: list[TaskRef] = []
        while heap:
            team = heap[0][2]
            task = teams[team].pop()
            order.append(task.ref)
            used[team] += effective_resources(task.spec)
            if teams[team]:
                heapreplace(heap, place(team))
            else:
                heappop(heap)
        return order


def dominant_share(used: Resources, total: Resources) -> float:
    """The largest share of any resource; of what the cluster does not have nobody has a share."""
    pairs = (
        (used.millicores, total.millicores),
        (used.memory_mib, total.memory_mib),
        (used.gpus, total.gpus),
    )
    return max((amount / whole for amount, whole in pairs if whole), default=0.0)


def _total(waiting: Sequence[WaitingTask], context: PolicyContext) -> Resources:
    if context.cluster is not None:
        return _sum([view.node.capacity for view in context.cluster.nodes])
    return _sum([*context.booked.values(), *(effective_resources(task.spec) for task in waiting)])


def _sum(amounts: Sequence[Resources]) -> Resources:
    return Resources(
        millicores=sum(amount.millicores for amount in amounts),
        memory_mib=sum(amount.memory_mib for amount in amounts),
        gpus=sum(amount.gpus for amount in amounts),
    )
