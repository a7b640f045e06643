"""What holds room in the simulated world, as the services read it from live attempts and their bookings."""

from collections.abc import Mapping, Sequence

from nodewise.core.model.node import Node
from nodewise.core.model.resources import Resources
from nodewise.core.model.situation import Occupancy
from nodewise.core.ports import Predict
from nodewise.simulator.engine import World
from nodewise.simulator.room import node_of
from nodewise.simulator.views import Views, moment


class Occupancies:
    """Remembers, of what runs, what was believed when it was placed. Mutable within one simulation.

    A task whose data is under way has its start already: when it arrives is known.
    """

    def __init__(self, world: World, views: Views, predict: Predict) -> None:
        self._world = world
        self._views = views
        self._predict = predict
        self._nodes: Sequence[Node] = [node_of(found) for found in world.tables.nodes]
        self._held: dict[int, Occupancy] = {}

    def add(self, task: int) -> None:
        """Note a task that was just placed."""
        attempt, node = self._world.running[task], self._nodes[self._world.running[task].node]
        self._held[task] = Occupancy(
            ref=self._views.refs[task],
            node=node.name,
            resources=self._world.tables.needs(task),
            placed_at=moment(self._world.now),
            started_at=moment(attempt.start),
            prediction=self._predict(self._views.facts[task], node),
        )

    def refresh(self) -> list[int]:
        """Forget what runs no more; return it. O(running)."""
        running = self._world.running
        gone = [task for task in self._held if task not in running]
        for task in gone:
            del self._held[task]
        return gone

    def running(self) -> tuple[Occupancy, ...]:
        return tuple(self._held.values())

    def booked(self) -> Mapping[str, Resources]:
        """What the running tasks of each team hold. O(running)."""
        tables, booked = self._world.tables, dict[str, Resources]()
        for task in self._held:
            team = tables.pipelines[tables.pipeline_of[task]].team
            booked[team] = booked.get(team, Resources()) + tables.needs(task)
        return booked
