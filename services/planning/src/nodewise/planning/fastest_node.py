from collections.abc import Callable
from math import inf

from nodewise.core.model.problem import PlanningContext
from nodewise.planning.indexed import IndexedPlanner
from nodewise.planning.instance import Instance
from nodewise.planning.list_scheduling import PartialPlan, by_priority, never, while_time
from nodewise.planning.ranks import upward_ranks


def fastest_node(instance: Instance, out_of_time: Callable[[], bool] = never) -> PartialPlan:
    """The plan of `FastestNode` on an indexed problem; raises `OutOfTime`."""
    favourite = _fastest(instance)
    return _on_nodes(instance, [favourite] * len(instance.ids), out_of_time)


def own_fastest_node(instance: Instance, out_of_time: Callable[[], bool] = never) -> PartialPlan:
    """The plan of `OwnFastestNode` on an indexed problem; raises `OutOfTime`."""
    nodes = [choices[0] if choices else -1 for choices in instance.choices]
    return _on_nodes(instance, nodes, out_of_time)


def _fastest(instance: Instance) -> int:
    """The node that runs most of the tasks, and these fastest."""

    def burden(node: int) -> tuple[int, float]:
        times = [instance.seconds[task][node] for task in instance.free]
        return times.count(inf), sum(time for time in times if time < inf)

    return min(range(len(instance.problem.nodes)), key=burden, default=-1)


def _on_nodes(instance: Instance, nodes: list[int], out_of_time: Callable[[], bool]) -> PartialPlan:
    """Each task on its node; on the one where it finishes first if that is none for it."""
    plan = PartialPlan(instance)
    for task in while_time(by_priority(instance, upward_ranks(instance)), out_of_time):
        node = nodes[task]
        start = plan.start_on(task, node) if instance.seconds[task][node] < inf else inf
        if start == inf:
            node, start = plan.earliest_finish(task)
        plan.place(task, node, start)
    return plan


class FastestNode(IndexedPlanner):
    """All tasks on the one node that runs them fastest in sum: no transfer at all, no parallelism between nodes.

    The base line of Coleman, Krishnamachari: "PISA: an adversarial approach to comparing task graph scheduling
    algorithms", 2024, that HEFT can lose to by 4x. O(tasks x nodes). What the node cannot run goes where it finishes first.
    """

    name = "fastest_node"
    summary = "everything on the one node that is fastest for all"

    def on(self, instance: Instance, context: PlanningContext) -> PartialPlan:  # noqa: ARG002
        return fastest_node(instance)


class OwnFastestNode(IndexedPlanner):
    """Each task on the node that runs it fastest, busy or not.

    Minimum execution time, MET: Braun et al., "A comparison of eleven static heuristics for mapping a class of
    independent tasks onto heterogeneous distributed computing systems", JPDC 61(6), 2001. O(tasks x parents).
    """

    name = "own_fastest_node"
    summary = "each task on its own fastest node, busy or not"

    def on(self, instance: Instance, context: PlanningContext) -> PartialPlan:  # noqa: ARG002
        return own_fastest_node(instance)
