"""The mapping that all planners share: tasks one after another, each to its place in the timelines.

List scheduling with insertion: a task starts as early as its parents' data, its release and a gap of the node allow.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from heapq import heapify, heappop, heappush
from math import inf
from typing import Final

from nodewise.core.errors import Unplannable
from nodewise.core.model.problem import Assignment, Schedule, TaskId
from nodewise.planning.instance import Instance

_ASKED_EVERY: Final = 256
"""Tasks, after which a plan that need not be finished asks for the time."""


@dataclass(frozen=True, slots=True)
class Offer:
    """The best place for a task now, and the second best (node -1, infinite: there is none)."""

    node: int
    start: float
    finish: float
    second_node: int = -1
    second_finish: float = inf


class PartialPlan:
    """A plan in the making. `node`, `start` and `end` are by task; fixed tasks are in from the beginning.

    A timeline is copied when it is first booked on: most plans of small parts leave most nodes alone.
    """

    __slots__ = ("_own", "_timelines", "end", "instance", "node", "start")

    def __init__(self, instance: Instance) -> None:
        self.instance = instance
        self._timelines = instance.room[:]
        self._own = bytearray(len(instance.room))
        self.node = [-1] * len(instance.ids)
        self.start = [0.0] * len(instance.ids)
        self.end = [0.0] * len(instance.ids)
        for task, (node, start, end) in instance.fixed.items():
            self.node[task], self.start[task], self.end[task] = node, start, end

    def start_on(self, task: int, node: int) -> float:
        """When a task, whose parents are all placed, could start on a node; O(parents + gaps passed)."""
        instance, ends, nodes = self.instance, self.end, self.node
        ready = instance.release[task]
        for parent, mib in instance.parents[task]:
            arrival = ends[parent]
            if mib:
                arrival += mib / instance.rates[nodes[parent]][node]
            if arrival > ready:  # noqa: PLR1730 - twice as fast as max(), and this is the innermost loop
                ready = arrival
        return self._timelines[node].earliest(ready, instance.seconds[task][node], instance.demand[task])

    def earliest_finish(self, task: int, bias: Sequence[float] | None = None) -> tuple[int, float]:
        """Node and start with the earliest finish, `bias` (per node, never negative) added to each finish.

        Ties go to the shorter run, then to the lower index. Nodes are tried fastest first, until even a run without
        any waiting could not win: O(nodes x (parents + gaps)), mostly far less.
        """
        instance, timelines = self.instance, self._timelines
        row, demand = instance.seconds[task], instance.demand[task]
        low, at_once, moved = self._inputs(task)
        best, best_node, best_start = inf, -1, inf
        for node in instance.choices[task]:
            duration = row[node]
            if low + duration >= best:
                break
            ready = at_once
            for end, mib, rates in moved:
                arrival = end + mib / rates[node]
                if arrival > ready:  # noqa: PLR1730
                    ready = arrival
            extra = bias[node] if bias else 0.0
            if ready + duration + extra < best:
                start = timelines[node].earliest(ready, duration, demand)
                if start + duration + extra < best:
                    best, best_node, best_start = start + duration + extra, node, start
        if best_node < 0:
            raise _unplannable(instance, task)
        return best_node, best_start

    def two_best(self, task: int) -> Offer:
        """The nodes with the earliest and the second earliest finish; the cost of `earliest_finish`."""
        row = self.instance.seconds[task]
        low = self._inputs(task)[0]
        best, best_node, best_start = inf, -1, inf
        second, second_node = inf, -1
        for node in self.instance.choices[task]:
            if low + row[node] >= second:
                break
            start = self.start_on(task, node)
            finish = start + row[node]
            if finish < best:
                second, second_node = best, best_node
                best, best_node, best_start = finish, node, start
            elif finish < second:
                second, second_node = finish, node
        if best_node < 0:
            raise _unplannable(self.instance, task)
        return Offer(best_node, best_start, best, second_node, second)

    def place(self, task: int, node: int, start: float) -> None:
        """Book a task."""
        end = start + self.instance.seconds[task][node]
        if not self._own[node]:
            self._own[node] = 1
            self._timelines[node] = self._timelines[node].copy()
        self._timelines[node].book(start, end, self.instance.demand[task])
        self.node[task], self.start[task], self.end[task] = node, start, end

    def schedule(self) -> Schedule:
        """The finished plan by names."""
        problem, found = self.instance.problem, dict[TaskId, Assignment]()
        for i, task_id in enumerate(self.instance.ids):
            if i not in self.instance.fixed:
                name = problem.nodes[self.node[i]].name
                found[task_id] = Assignment(id=task_id, node=name, start=self.start[i], end=self.end[i])
        return Schedule(assignments={**found, **problem.fixed})

    def _inputs(self, task: int) -> tuple[float, float, list[tuple[float, float, list[float]]]]:
        """When all parents have ended; when all have that send nothing; end, MiB and rates to each node of the others."""
        low = at_once = self.instance.release[task]
        moved: list[tuple[float, float, list[float]]] = []
        for parent, mib in self.instance.parents[task]:
            end = self.end[parent]
            low = max(low, end)
            if mib:
                moved.append((end, mib, self.instance.rates[self.node[parent]]))
            else:
                at_once = max(at_once, end)
        return low, at_once, moved


def _unplannable(instance: Instance, task: int) -> Unplannable:
    return Unplannable([f"{instance.ids[task].pipeline}/{instance.ids[task].task}"])


class OutOfTime(Exception):
    """A plan was given up, unfinished."""


def never() -> bool:
    """There is always time."""
    return False


def giving_up(out_of_time: Callable[[], bool]) -> Callable[[], bool]:
    """Asked instead of it, raises `OutOfTime` when time is out: even what would finish in haste is given up then."""

    def ask() -> bool:
        if out_of_time():
            raise OutOfTime
        return False

    return ask


def while_time(tasks: Iterable[int], out_of_time: Callable[[], bool]) -> Iterator[int]:
    """The tasks, as long as there is time; it is asked now and then.

    Raises:
        OutOfTime: It says so.
    """
    for place, task in enumerate(tasks):
        if place % _ASKED_EVERY == _ASKED_EVERY - 1 and out_of_time():
            raise OutOfTime
        yield task


def in_order(
    instance: Instance,
    order: Iterable[int],
    *,
    bias: Sequence[Sequence[float]] | None = None,
    out_of_time: Callable[[], bool] = never,
) -> PartialPlan:
    """Map tasks in an order (parents first), each to the node that finishes it first; O(tasks x nodes x parents).

    Raises:
        OutOfTime: It says so; it is asked now and then.
    """
    plan = PartialPlan(instance)
    for place, task in enumerate(order):
        if place % _ASKED_EVERY == _ASKED_EVERY - 1 and out_of_time():
            raise OutOfTime
        node, start = plan.earliest_finish(task, bias[task] if bias else None)
        plan.place(task, node, start)
    return plan


def by_priority(instance: Instance, priority: Sequence[float]) -> list[int]:
    """Free tasks by falling priority, but never before their parents; ties to the lower index. O(tasks log tasks + edges)."""
    missing = [-1] * len(instance.ids)
    for task in instance.free:
        missing[task] = sum(1 for parent, _ in instance.parents[task] if parent not in instance.fixed)
    heap = [(-priority[task], task) for task in instance.free if not missing[task]]
    heapify(heap)
    order: list[int] = []
    while heap:
        _, task = heappop(heap)
        order.append(task)
        for child, _ in instance.children[task]:
            missing[child] -= 1
            if missing[child] == 0:
                heappush(heap, (-priority[child], child))
    return order
