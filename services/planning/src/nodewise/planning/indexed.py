"""What planners share that do without the problem once it is indexed: they can plan parts of one, each around the last."""

from abc import ABC, abstractmethod

from nodewise.core.model.problem import PlanningContext, Problem, Schedule
from nodewise.planning.instance import Instance, index
from nodewise.planning.list_scheduling import PartialPlan


class IndexedPlanner(ABC):
    """A planner by what it makes of an indexed problem."""

    @abstractmethod
    def on(self, instance: Instance, context: PlanningContext) -> PartialPlan:
        """A plan of all free tasks, in the room that the instance has left."""

    def plan(self, problem: Problem, context: PlanningContext) -> Schedule:
        """See `Planner`."""
        return self.on(index(problem), context).schedule()
