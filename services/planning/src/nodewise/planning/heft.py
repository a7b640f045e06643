from collections.abc import Callable

from nodewise.core.model.problem import PlanningContext
from nodewise.planning.indexed import IndexedPlanner
from nodewise.planning.instance import Instance
from nodewise.planning.list_scheduling import PartialPlan, by_priority, in_order, never
from nodewise.planning.ranks import upward_ranks


def heft(instance: Instance, out_of_time: Callable[[], bool] = never) -> PartialPlan:
    """The plan of `Heft` on an indexed problem; raises `OutOfTime`."""
    return in_order(instance, by_priority(instance, upward_ranks(instance)), out_of_time=out_of_time)


class Heft(IndexedPlanner):
    """Heterogeneous earliest finish time: the task with the longest way to the end first, where it finishes first.

    Topcuoglu, Hariri, Wu: "Performance-effective and low-complexity task scheduling for heterogeneous computing",
    IEEE TPDS 13(3), 2002. O(edges x nodes). Good for the makespan; pipelines all end late together.
    """

    name = "heft"
    summary = "longest way to the end first, each task where it finishes first"

    def on(self, instance: Instance, context: PlanningContext) -> PartialPlan:  # noqa: ARG002
        return heft(instance)
