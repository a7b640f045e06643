from collections.abc import Callable

from nodewise.core.model.problem import PlanningContext
from nodewise.planning.indexed import IndexedPlanner
from nodewise.planning.instance import Instance
from nodewise.planning.list_scheduling import PartialPlan
from nodewise.planning.ready_list import by_offers


def sufferage(instance: Instance, out_of_time: Callable[[], bool]) -> PartialPlan:
    """The plan of `Sufferage` on an indexed problem."""
    return by_offers(instance, lambda offer: offer.finish - offer.second_finish, out_of_time=out_of_time)


class Sufferage(IndexedPlanner):
    """Of the ready tasks the one that would lose most if it did not get its best node.

    Maheswaran, Ali, Siegel, Hensgen, Freund: "Dynamic mapping of a class of independent tasks onto heterogeneous
    computing systems", JPDC 59(2), 1999; on DAGs over the tasks that are ready. A task with one possible node suffers
    without limit. O(tasks x ready tasks).
    """

    name = "sufferage"
    summary = "of the ready tasks, the one that loses most without its best node"

    def on(self, instance: Instance, context: PlanningContext) -> PartialPlan:
        return sufferage(instance, context.out_of_time)
