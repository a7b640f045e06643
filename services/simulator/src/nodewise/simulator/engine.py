"""Discrete events: what happens when somebody decides. Pure; knows no policy, no strategy and no planner.

The simple algorithm: go to the next time at which something happens (a pipeline arrives, a task ends, a node goes or
comes back, somebody asked to be woken), let all of it happen, then ask the decider once; until nothing is left.

* A task is ready when its pipeline has arrived and its parents have ended.
* Its data travels as soon as it exists, so on a node it starts at the latest of: now, and each parent's end plus the
  transfer. From the decision on it holds its room there, as a booking does in production.
* What runs on a node that fails is lost and ready again at once; what ended there before stays readable.
"""

import heapq
import math
from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum
from typing import Protocol

from nodewise.core.model.node import NodeView
from nodewise.core.model.problem import Assignment
from nodewise.simulator.errors import Stalled
from nodewise.simulator.room import NodeRoom
from nodewise.simulator.scenario import Failure, Outcome
from nodewise.simulator.tables import Tables


class _Kind(IntEnum):
    """Events of one instant, in the order in which they happen: an end at the moment of a failure still counts."""

    END = 0
    UP = 1
    DOWN = 2
    ARRIVAL = 3


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try at a task."""

    task: int
    node: int
    start: float
    end: float


class Decider(Protocol):
    """Decides on a world, whenever something happened in it."""

    def decide(self, world: "World") -> None:
        """Place what is to be placed now (`world.place`), and ask to be woken (`world.wake_at`) where that helps."""
        ...


class World:
    """The simulated state. Mutable; only `place` and `wake_at` are for deciders, the rest is for reading.

    `ready` has what waits with the time since when, `running` the current attempts, `ended` the good ones.
    """

    def __init__(self, tables: Tables, failures: Iterable[Failure] = ()) -> None:
        self.tables = tables
        self.now = 0.0
        self.ready: dict[int, float] = {}
        self.running: dict[int, Attempt] = {}
        self.ended: dict[int, Attempt] = {}
        self.arrived: list[int] = []
        self.losses = 0
        self.room = NodeRoom(tables.nodes)
        self._ready_at: dict[int, float] = {}
        self._missing = [len(parents) for parents in tables.parents]
        self._down = [0] * len(tables.nodes)
        self._returns = [0] * len(tables.nodes)
        self._events: list[tuple[float, int, int]] = []
        self._wakes: list[float] = []
        self._tasks_of: list[list[int]] = [[] for _ in tables.pipelines]
        for task, pipeline in enumerate(tables.pipeline_of):
            self._tasks_of[pipeline].append(task)
        self._expect(failures)

    def _expect(self, failures: Iterable[Failure]) -> None:
        events = [
            (found.submitted_at, int(_Kind.ARRIVAL), i) for i, found in enumerate(self.tables.pipelines)
        ]
        number = {node.name: i for i, node in enumerate(self.tables.nodes)}
        for failure in failures:
            node = number[failure.node]
            events.append((failure.start, int(_Kind.DOWN), node))
            if failure.until != float("inf"):
                events.append((failure.until, int(_Kind.UP), node))
                self._returns[node] += 1
        self._events = events
        heapq.heapify(self._events)

    @property
    def unfinished(self) -> int:
        return len(self.tables.ids) - len(self.ended)

    @property
    def expects_more(self) -> bool:
        """Whether anything but a wake-up is still to happen."""
        return bool(self.running) or self.next_event < math.inf

    @property
    def next_event(self) -> float:
        """When something happens next, wake-ups apart (infinite: never)."""
        return self._events[0][0] if self._events else math.inf

    @property
    def down(self) -> tuple[int, ...]:
        """The nodes that are gone now."""
        return tuple(node for node, count in enumerate(self._down) if count)

    def is_lost(self, node: int) -> bool:
        """Whether the node is gone for good."""
        return self._down[node] > self._returns[node]

    def step(self) -> bool:
        """Let everything of the next instant happen; False: all tasks have ended, or nothing is to come."""
        if not (self._events or self._wakes) or not self.unfinished:
            return False
        self.now = min(self.next_event, self._wakes[0] if self._wakes else math.inf)
        while self._events and self._events[0][0] == self.now:
            _, kind, subject = heapq.heappop(self._events)
            self._happen(_Kind(kind), subject)
        while self._wakes and self._wakes[0] == self.now:
            heapq.heappop(self._wakes)
        return True

    def _happen(self, kind: _Kind, subject: int) -> None:
        match kind:
            case _Kind.END:
                self._end(subject)
            case _Kind.ARRIVAL:
                self._arrive(subject)
            case _Kind.DOWN:
                self._fail(subject)
            case _Kind.UP:
                self._down[subject] -= 1
                self._returns[subject] -= 1
                if not self._down[subject]:
                    self.room.open(subject)

    def _end(self, task: int) -> None:
        attempt = self.running.get(task)
        if attempt is None or attempt.end != self.now:
            return  # the end of an attempt that was lost
        del self.running[task]
        self.ended[task] = attempt
        self.room.release(attempt.node, self.tables.needs(task))
        for child in self.tables.children[task]:
            self._missing[child] -= 1
            if not self._missing[child]:
                self._make_ready(child)

    def _arrive(self, pipeline: int) -> None:
        self.arrived.append(pipeline)
        for task in self._tasks_of[pipeline]:
            if not self._missing[task]:
                self._make_ready(task)

    def _make_ready(self, task: int) -> None:
        self.ready[task] = self.now
        self._ready_at[task] = self.now

    def _fail(self, node: int) -> None:
        self._down[node] += 1
        if self._down[node] > 1:
            return
        self.room.close(node)
        for attempt in [found for found in self.running.values() if found.node == node]:
            del self.running[attempt.task]
            self.room.release(node, self.tables.needs(attempt.task))
            self._make_ready(attempt.task)
            self.losses += 1

    def data_at(self, task: int, node: int) -> float:
        """When the inputs of a ready task are on that node."""
        tables = self.tables
        arrivals = (
            self.ended[parent].end + tables.transfer_seconds(mib, self.ended[parent].node, node)
            for parent, mib in tables.parents[task]
        )
        return max(arrivals, default=0.0)

    def place(self, task: int, node: int) -> Attempt:
        """Start a ready task on a node that has room for it, as soon as its data is there."""
        start = max(self.now, self.data_at(task, node))
        attempt = Attempt(task, node, start, start + self.tables.seconds[task][node])
        del self.ready[task]
        self.room.book(node, self.tables.needs(task))
        self.running[task] = attempt
        heapq.heappush(self._events, (attempt.end, int(_Kind.END), task))
        return attempt

    def wake_at(self, time: float) -> None:
        """Ask to decide again then, though nothing may have happened."""
        if time > self.now:
            heapq.heappush(self._wakes, time)

    def views(self) -> tuple[NodeView, ...]:
        """The nodes that are up, by name, with what is booked on them."""
        return self.room.views()

    def outcome(self) -> Outcome:
        """What happened, by names."""
        ids, nodes = self.tables.ids, self.tables.nodes
        assignments = {
            ids[done.task]: Assignment(
                id=ids[done.task], node=nodes[done.node].name, start=done.start, end=done.end
            )
            for done in self.ended.values()
        }
        return Outcome(
            assignments=assignments, ready_at={ids[task]: time for task, time in self._ready_at.items()}
        )


def run(world: World, decider: Decider) -> Outcome:
    """Let the world run its course.

    Raises:
        Stalled: Tasks remain that the decider does not place though nothing is to come.
    """
    while world.step():
        decider.decide(world)
    if world.unfinished:
        first = min(world.ready, default=0)
        named = f"{world.tables.ids[first].pipeline}/{world.tables.ids[first].task}"
        raise Stalled(world.unfinished, named, "no node that can run it comes back")
    return world.outcome()
