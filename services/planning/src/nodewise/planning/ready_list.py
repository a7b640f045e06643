"""The loop of min-min, max-min and sufferage: among the tasks whose parents are placed, one is chosen by its offers."""

from collections.abc import Callable
from heapq import heappop, heappush

from nodewise.planning.instance import Instance
from nodewise.planning.list_scheduling import Offer, PartialPlan

Urgency = Callable[[Offer], float]
"""Of the best places of a task: the lowest value is placed next."""


class _ReadyList:
    """Offers of the ready tasks. Only those are made anew whose best or second node has just been booked."""

    def __init__(self, plan: PartialPlan, urgency: Urgency) -> None:
        self._plan = plan
        self._urgency = urgency
        self._offers: dict[int, tuple[int, Offer]] = {}
        self._watchers: list[set[int]] = [set() for _ in plan.instance.problem.nodes]
        self._heap: list[tuple[float, int, int]] = []

    def add(self, task: int) -> None:
        offer = self._plan.two_best(task)
        version = self._offers[task][0] + 1 if task in self._offers else 0
        self._offers[task] = (version, offer)
        self._watchers[offer.node].add(task)
        if offer.second_node >= 0:
            self._watchers[offer.second_node].add(task)
        heappush(self._heap, (self._urgency(offer), task, version))

    def pop(self) -> tuple[int, Offer]:
        while True:
            _, task, version = heappop(self._heap)
            if task in self._offers and self._offers[task][0] == version:
                return task, self._offers.pop(task)[1]

    def booked(self, node: int) -> None:
        stale, self._watchers[node] = self._watchers[node], set()
        for task in stale:
            if task in self._offers:
                self.add(task)


def by_offers(instance: Instance, urgency: Urgency, *, out_of_time: Callable[[], bool]) -> PartialPlan:
    """Place the most urgent ready task at its best offer, until none is left; ties to the lower index.

    O(tasks x ready tasks) if the tasks want different nodes (per step, one ready task in `nodes / 2` needs a new offer of
    O(nodes)), O(tasks x ready tasks x nodes) if they all want the same. When time runs out, the rest of the tasks goes
    as it comes, each where it finishes first.
    """
    plan = PartialPlan(instance)
    _place_by_offers(plan, urgency, out_of_time)
    for task in instance.free:
        if plan.node[task] < 0:
            plan.place(task, *plan.earliest_finish(task))
    return plan


def _place_by_offers(plan: PartialPlan, urgency: Urgency, out_of_time: Callable[[], bool]) -> None:
    instance, ready = plan.instance, _ReadyList(plan, urgency)
    missing = [sum(1 for p, _ in edges if p not in instance.fixed) for edges in instance.parents]
    for task in instance.free:
        if out_of_time():
            return
        if not missing[task]:
            ready.add(task)
    for _ in instance.free:
        if out_of_time():
            return
        task, offer = ready.pop()
        plan.place(task, offer.node, offer.start)
        ready.booked(offer.node)
        for child, _ in instance.children[task]:
            missing[child] -= 1
            if not missing[child] and child not in instance.fixed:
                ready.add(child)
