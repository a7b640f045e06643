"""Decides without planning, when the time for planning is used up: little work per task, and every task is placed."""

import heapq
from collections.abc import Mapping, Sequence

from nodewise.core.model.problem import Problem
from nodewise.core.model.resources import Resources
from nodewise.simulator.engine import World
from nodewise.simulator.tables import Tables

Hint = tuple[int, float]
"""The node that a plan had for a task, and when it was to start."""


class HurriedDecider:
    """Gives each task a node when it becomes ready; each node runs its own in order, as soon as there is room.

    What an earlier plan names keeps its node and its turn. The rest goes behind that, higher priority first, then who
    was submitted first, each where it is believed to end first: a node is believed busy for the run times given to it,
    by the share of the node that each needs. What waits on a node that goes is given another one. O(nodes) for a task,
    O(nodes) whenever something happens.
    """

    def __init__(self, tables: Tables, believed: Problem, hints: Mapping[int, Hint]) -> None:
        self._tables = tables
        seen = [task for pipeline in believed.pipelines for task in pipeline.tasks]
        self._seconds = [
            {node: task.seconds[tables.nodes[node].name] for node in allowed}
            for task, allowed in zip(seen, tables.allowed, strict=True)
        ]
        self._hints = hints
        self._busy_until = [0.0] * len(tables.nodes)
        self._queues: list[list[tuple[tuple[float, ...], int]]] = [[] for _ in tables.nodes]
        self._queued: set[int] = set()
        self._homeless: list[int] = []
        self._down: tuple[int, ...] = ()
        self.placed = 0

    def decide(self, world: World) -> None:
        """Give nodes to what is new, and start what may start."""
        new = self._new(world)
        if world.down != self._down:
            self._down = world.down
            new += [*self._homeless, *self._evicted()]
            self._homeless = []
        for task in sorted(new, key=self._turn):
            self._give(world, task)
        for node, queue in enumerate(self._queues):
            while queue and world.room.fits(node, self._tables.needs(queue[0][1])):
                _, task = heapq.heappop(queue)
                self._queued.discard(task)
                world.place(task, node)
                self.placed += 1

    def _new(self, world: World) -> list[int]:
        """What is ready since the last time: it stands at the end."""
        found = []
        for task in reversed(world.ready):
            if task in self._queued:
                break
            found.append(task)
        return found

    def _evicted(self) -> list[int]:
        found = [task for node in self._down for _, task in self._queues[node]]
        for node in self._down:
            self._queues[node] = []
        return found

    def _turn(self, task: int) -> tuple[float, ...]:
        pipeline = self._tables.pipelines[self._tables.pipeline_of[task]]
        if task in self._hints:
            return (0, self._hints[task][1], task)
        return (1, -pipeline.priority, pipeline.submitted_at, task)

    def _give(self, world: World, task: int) -> None:
        self._queued.add(task)
        able = [node for node in self._tables.allowed[task] if node not in self._down]
        if not able:
            self._homeless.append(task)
            return
        node = self._hints[task][0] if task in self._hints else -1
        if node not in able:
            node = min(able, key=lambda node: (self._end(world, task, node), node))
        part = self._seconds[task][node] * _share(self._tables, task, node)
        self._busy_until[node] = max(self._busy_until[node], world.now) + part
        heapq.heappush(self._queues[node], (self._turn(task), task))

    def _end(self, world: World, task: int, node: int) -> float:
        start = max(self._busy_until[node], world.now, world.data_at(task, node))
        return start + self._seconds[task][node]


def _share(tables: Tables, task: int, node: int) -> float:
    """The part of a node that a task has for itself while it runs."""
    found, needs = tables.nodes[node], tables.needs(task)
    parts = [_part(needs, found.capacity)]
    if found.slots is not None:
        parts.append(1 / found.slots)
    return max(parts)


def _part(needs: Resources, capacity: Resources) -> float:
    pairs: Sequence[tuple[int, int]] = (
        (needs.millicores, capacity.millicores),
        (needs.memory_mib, capacity.memory_mib),
        (needs.gpus, capacity.gpus),
    )
    return max(need / most if most else 0.0 for need, most in pairs)
