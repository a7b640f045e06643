"""Solutions of the local search: an order and a node per task, made into a plan by the common mapping."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf

from nodewise.planning.instance import Instance
from nodewise.planning.list_scheduling import PartialPlan
from nodewise.planning.score import Score, score_ends

ANY = -1
"""In place of a node: where the task finishes first."""


@dataclass(frozen=True, slots=True, eq=False)
class Solution:
    """A finished plan, its tasks by start, and its score."""

    plan: PartialPlan
    order: list[int]
    score: Score


class Decoder:
    """Makes orders and nodes into plans; counts the tasks it has placed."""

    def __init__(self, instance: Instance) -> None:
        self.instance = instance
        self.placed = 0
        self._depth = [0] * len(instance.ids)
        for depth, task in enumerate(instance.free):
            self._depth[task] = depth

    def decode(self, order: Sequence[int], nodes: Sequence[int]) -> Solution:
        """The plan of tasks placed in an order (parents first), each on its node; O(tasks x parents) if none is `ANY`."""
        plan = PartialPlan(self.instance)
        for task in order:
            node = nodes[task]
            start = inf if node == ANY else plan.start_on(task, node)
            if start == inf:
                node, start = plan.earliest_finish(task)
            plan.place(task, node, start)
        self.placed += len(order)
        return self.solution(plan)

    def solution(self, plan: PartialPlan) -> Solution:
        """A plan as a solution: decoding its order and nodes again gives each task the same start or an earlier one."""
        starts, depth = plan.start, self._depth
        order = sorted(self.instance.free, key=lambda task: (starts[task], depth[task]))
        return Solution(plan, order, score_ends(self.instance, plan.end))

    def settled(self, solution: Solution) -> Solution:
        """What decoding again and again leads to: a plan that decoding its own order and nodes does not change."""
        while True:
            again = self.decode(solution.order, solution.plan.node)
            if again.plan.start == solution.plan.start:
                return solution
            solution = again
