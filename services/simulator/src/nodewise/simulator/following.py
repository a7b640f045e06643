"""Carries out a plan with the durations of the truth."""

import heapq
from collections.abc import Mapping

from nodewise.core.model.problem import Assignment, TaskId
from nodewise.simulator.engine import World
from nodewise.simulator.tables import Tables


class PlanFollower:
    """Keeps each task's node and the order on each node; starts shift when durations differ from the plan's.

    A task starts as soon as its data is there, the tasks before it on its node have started, and there is room. With the
    durations of the plan nothing starts later than planned. What a failing node loses goes first when it is back. What was
    to run on a node that is gone for good goes to others, in its turn: each task to the one that has the least before it
    and runs it fastest.
    """

    def __init__(self, tables: Tables, plan: Mapping[TaskId, Assignment]) -> None:
        node = {found.name: i for i, found in enumerate(tables.nodes)}
        planned = {i: plan[name] for i, name in enumerate(tables.ids) if name in plan}
        self._entry = {
            task: (rank, task, node[planned[task].node])
            for rank, task in enumerate(_by_start(tables, {i: at.start for i, at in planned.items()}))
        }
        self._queues: list[list[tuple[int, int]]] = [[] for _ in tables.nodes]
        self._started: set[int] = set()
        self._losses = 0
        self._down: tuple[int, ...] = ()
        self._tables = tables
        for task in self._entry:
            self._enqueue(task)

    def decide(self, world: World) -> None:
        """Start what may start. O(nodes + started)."""
        if world.losses != self._losses:
            self._losses = world.losses
            self._take_back(world)
        if world.down != self._down:
            self._down = world.down
            self._leave_lost(world)
        for node, queue in enumerate(self._queues):
            while queue and self._start(world, queue[0][1], node):
                heapq.heappop(queue)

    def _enqueue(self, task: int) -> None:
        rank, _, node = self._entry[task]
        heapq.heappush(self._queues[node], (rank, task))

    def _take_back(self, world: World) -> None:
        lost = [task for task in world.ready if task in self._started]
        self._started.difference_update(lost)
        for task in lost:
            self._enqueue(task)

    def _leave_lost(self, world: World) -> None:
        """Give what waits for nodes that never come back to the others, as far as these can run it."""
        lost = [node for node in self._down if world.is_lost(node)]
        homeless = sorted(entry for node in lost for entry in self._queues[node])
        if not homeless:
            return
        seconds = self._tables.seconds
        for node in lost:
            self._queues[node] = []
        work = [sum(seconds[task][node] for _, task in queue) for node, queue in enumerate(self._queues)]
        for rank, task in homeless:
            able = [node for node in self._tables.allowed[task] if node not in lost]
            if able:
                node = min(able, key=lambda node: (work[node] + seconds[task][node], node))
                work[node] += seconds[task][node]
                self._entry[task] = (rank, task, node)
            self._enqueue(task)

    def _start(self, world: World, task: int, node: int) -> bool:
        if task not in world.ready or not world.room.fits(node, world.tables.needs(task)):
            return False
        arrival = world.data_at(task, node)
        if arrival > world.now:
            world.wake_at(arrival)
            return False
        world.place(task, node)
        self._started.add(task)
        return True


def _by_start(tables: Tables, starts: Mapping[int, float]) -> list[int]:
    """The planned tasks by planned start, parents before children even where their times are equal."""
    missing = {task: sum(parent in starts for parent, _ in tables.parents[task]) for task in starts}
    heap = [(starts[task], task) for task, count in missing.items() if not count]
    heapq.heapify(heap)
    order = []
    while heap:
        _, task = heapq.heappop(heap)
        order.append(task)
        for child in tables.children[task]:
            if child in missing:
                missing[child] -= 1
                if not missing[child]:
                    heapq.heappush(heap, (starts[child], child))
    return order
