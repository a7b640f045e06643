from collections.abc import Callable

from nodewise.core.model.problem import PlanningContext
from nodewise.planning.indexed import IndexedPlanner
from nodewise.planning.instance import Instance
from nodewise.planning.list_scheduling import PartialPlan
from nodewise.planning.ready_list import by_offers


def max_min(instance: Instance, out_of_time: Callable[[], bool]) -> PartialPlan:
    """The plan of `MaxMin` on an indexed problem."""
    return by_offers(instance, lambda offer: -offer.finish, out_of_time=out_of_time)


class MaxMin(IndexedPlanner):
    """Of the ready tasks always the one whose earliest finish is the latest, there.

    Ibarra, Kim: JACM 24(2), 1977; on DAGs over the tasks that are ready. O(tasks x ready tasks). Long tasks come first,
    so that the short ones fill what they leave.
    """

    name = "max_min"
    summary = "of the ready tasks, the one whose best finish is the latest"

    def on(self, instance: Instance, context: PlanningContext) -> PartialPlan:
        return max_min(instance, context.out_of_time)
