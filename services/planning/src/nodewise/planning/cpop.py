from collections.abc import Callable
from math import inf

from nodewise.core.model.problem import PlanningContext
from nodewise.planning.indexed import IndexedPlanner
from nodewise.planning.instance import Instance
from nodewise.planning.list_scheduling import PartialPlan, by_priority, never, while_time
from nodewise.planning.ranks import downward_ranks, upward_ranks


def cpop(instance: Instance, out_of_time: Callable[[], bool] = never) -> PartialPlan:
    """The plan of `Cpop` on an indexed problem; raises `OutOfTime`."""
    priority = [up + down for up, down in zip(upward_ranks(instance), downward_ranks(instance), strict=True)]
    critical = _critical_path(instance, priority)
    chosen = _critical_node(instance, critical)
    plan = PartialPlan(instance)
    for task in while_time(by_priority(instance, priority), out_of_time):
        if task in critical and instance.seconds[task][chosen] < inf:
            node, start = chosen, plan.start_on(task, chosen)
        else:
            node, start = plan.earliest_finish(task)
        if start == inf:
            node, start = plan.earliest_finish(task)
        plan.place(task, node, start)
    return plan


def _critical_path(instance: Instance, priority: list[float]) -> set[int]:
    """From the first task of highest priority down, each time to the child of highest priority."""
    entries = [t for t in instance.free if all(p in instance.fixed for p, _ in instance.parents[t])]
    path: set[int] = set()
    step = max(entries, key=lambda t: (priority[t], -t), default=None)
    while step is not None:
        path.add(step)
        free = [child for child, _ in instance.children[step] if child not in instance.fixed]
        step = max(free, key=lambda t: (priority[t], -t), default=None)
    return path


def _critical_node(instance: Instance, critical: set[int]) -> int:
    """The node that runs the critical path fastest; one that can run more of it comes before one that can run less."""

    def burden(node: int) -> tuple[int, float]:
        times = [instance.seconds[task][node] for task in sorted(critical)]
        return times.count(inf), sum(time for time in times if time < inf)

    return min(range(len(instance.problem.nodes)), key=burden, default=-1)


class Cpop(IndexedPlanner):
    """Critical path on a processor: all of the critical path on the one node that is fastest for it.

    Topcuoglu, Hariri, Wu: IEEE TPDS 13(3), 2002, the companion of HEFT. O(edges x nodes). Strong where transfers are
    dear; of several pipelines only the longest has its path kept together.
    """

    name = "cpop"
    summary = "the critical path together on its fastest node, the rest where it finishes first"

    def on(self, instance: Instance, context: PlanningContext) -> PartialPlan:  # noqa: ARG002
        return cpop(instance)
