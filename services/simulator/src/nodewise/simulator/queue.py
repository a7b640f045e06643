"""What waits in the simulated world: since when, and until when it rests."""

import math
from collections.abc import Sequence
from typing import Final

from nodewise.core.model.decision import Deferral, ReasonCode
from nodewise.core.model.task import WaitingTask
from nodewise.simulator.engine import World
from nodewise.simulator.errors import Stalled
from nodewise.simulator.views import Views

REST_SECONDS: Final = 1.0
AT_ONCE: Final = frozenset(
    {ReasonCode.NO_ROOM, ReasonCode.NO_NODES, ReasonCode.LOST_RACE, ReasonCode.UNSATISFIABLE}
)
"""A deferred task rests so long, but not after these deferrals: both as in the live stack; a test compares them."""

_VAIN_WAKES: Final = 16
"""After so many wake-ups in a row that changed nothing, each twice as far off as the last, nothing will."""


class Queue:
    """The ready tasks, in the order that they were given last. Mutable within one simulation.

    `is_unchanged`: nothing has happened between the last two looks.
    """

    def __init__(self, world: World, views: Views) -> None:
        self._world = world
        self._views = views
        self._tasks: dict[int, WaitingTask] = {}
        self._not_before: dict[int, float] = {}
        self.is_unchanged = False
        self._why = ""
        self._vain_wakes = 0
        self._seen: tuple[int, ...] = ()

    def refresh(self, *, lost: bool) -> None:
        """Take in what became ready; after a loss anew, since what was lost is ready since then."""
        world = self._world
        if lost:
            self._tasks.clear()
        for task, ready_at in world.ready.items():
            if task not in self._tasks:
                self._tasks[task] = self._views.waiting(task, ready_at)
        seen = (len(world.ended), len(world.running), len(world.arrived), world.losses, *world.down)
        self.is_unchanged = seen == self._seen
        self._seen = seen
        if not self.is_unchanged:
            self._vain_wakes = 0

    def awake(self) -> list[int]:
        """What waits and does not rest."""
        now, rests = self._world.now, self._not_before
        if not rests:
            return list(self._tasks)
        return [task for task in self._tasks if rests.get(task, now) <= now]

    def tasks(self, numbers: Sequence[int]) -> list[WaitingTask]:
        return [self._tasks[number] for number in numbers]

    def keep_in(self, order: Sequence[int]) -> None:
        """Keep the queue in this order of some of its tasks: what is nearly sorted already is sorted quickly."""
        given = set(order)
        others = [(task, found) for task, found in self._tasks.items() if task not in given]
        self._tasks = {task: self._tasks[task] for task in order} | dict(others)

    def remove(self, task: int) -> None:
        """It was placed."""
        del self._tasks[task]
        self._not_before.pop(task, None)

    def defer(self, task: int, deferral: Deferral) -> None:
        """It comes back, after a rest where the live stack lets it rest."""
        self._why = deferral.reason.text
        if deferral.reason.code not in AT_ONCE:
            self._not_before[task] = self._world.now + REST_SECONDS

    def wake(self, due: float | None = None) -> float:
        """Come back for those that rest, and when something is due; ever later while nothing changes. Return when.

        Raises:
            Stalled: Nothing changed for long, and nothing is to come.
        """
        world = self._world
        times = [time for time in self._not_before.values() if time > world.now]
        later = REST_SECONDS * ((1 << min(self._vain_wakes, _VAIN_WAKES)) - 1)
        wakes = [min(times) + later] if times else []
        if due is not None:
            wakes.append(max(due, world.now + later))
        if not wakes:
            return math.inf
        if self._vain_wakes > _VAIN_WAKES and not world.expects_more:
            found = world.tables.ids[min(self._not_before, default=min(self._tasks))]
            raise Stalled(world.unfinished, f"{found.pipeline}/{found.task}", self._why)
        self._vain_wakes += 1
        world.wake_at(min(wakes))
        return min(wakes)
