from collections.abc import Callable

from nodewise.core.model.problem import PlanningContext
from nodewise.planning.indexed import IndexedPlanner
from nodewise.planning.instance import Instance
from nodewise.planning.list_scheduling import PartialPlan
from nodewise.planning.ready_list import by_offers


def min_min(instance: Instance, out_of_time: Callable[[], bool]) -> PartialPlan:
    """The plan of `MinMin` on an indexed problem."""
    return by_offers(instance, lambda offer: offer.finish, out_of_time=out_of_time)


class MinMin(IndexedPlanner):
    """Of the ready tasks always the one that can finish first, there.

    Ibarra, Kim: "Heuristic algorithms for scheduling independent tasks on nonidentical processors", JACM 24(2), 1977;
    on DAGs over the tasks that are ready. O(tasks x ready tasks). Keeps short tasks moving; long ones come last.
    """

    name = "min_min"
    summary = "of the ready tasks, the one that can finish first"

    def on(self, instance: Instance, context: PlanningContext) -> PartialPlan:
        return min_min(instance, context.out_of_time)
