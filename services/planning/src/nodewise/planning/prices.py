"""What a second of each node is worth to all tasks together: the reason to leave a fast node to those who need it."""

from collections.abc import Callable, Sequence
from math import inf

from nodewise.planning.instance import Instance
from nodewise.planning.list_scheduling import OutOfTime, never
from nodewise.planning.timeline import Demand

ROUNDS = 60
"""After that many the prices of 300 tasks on 10 nodes move by less than plans react to."""


def node_prices(instance: Instance, out_of_time: Callable[[], bool] = never) -> list[float]:
    """Prices with mean 1 at which, if each task took its cheapest node, all nodes would be about equally busy.

    They approach the dual of the load balancing relaxation (Lenstra, Shmoys, Tardos: "Approximation algorithms for
    scheduling unrelated parallel machines", Mathematical Programming 46, 1990) by multiplicative weights (Plotkin,
    Shmoys, Tardos: "Fast approximation algorithms for fractional packing and covering problems", MOR 20(2), 1995), in
    steps that shrink. O(rounds x tasks x nodes).

    Raises:
        OutOfTime: It says so between two rounds.
    """
    nodes = len(instance.problem.nodes)
    prices = [1.0] * nodes
    work = {task: _work(instance, task) for task in instance.free}
    for step in range(ROUNDS):
        if out_of_time():
            raise OutOfTime
        loads = [0.0] * nodes
        for row in work.values():
            costs = [seconds * price for seconds, price in zip(row, prices, strict=True)]
            node = costs.index(min(costs))
            loads[node] += row[node]
        mean = sum(loads) / nodes
        if mean == 0:
            break
        pace = 0.3 / (1 + step / 10)
        prices = [
            p * min(2.0, max(0.5, 0.05 + load / mean)) ** pace for p, load in zip(prices, loads, strict=True)
        ]
        scale = nodes / sum(prices)
        prices = [price * scale for price in prices]
    return prices


def regrets(instance: Instance, prices: Sequence[float]) -> list[list[float]]:
    """Per task and node: how much more the task's work costs there than on its cheapest node; O(tasks x nodes)."""
    found = [[0.0] * len(prices) for _ in instance.ids]
    for task in instance.free:
        costs = [seconds * price for seconds, price in zip(_work(instance, task), prices, strict=True)]
        least = min(costs)
        found[task] = [cost - least if cost < inf else 0.0 for cost in costs]
    return found


def _work(instance: Instance, task: int) -> list[float]:
    """Run time on each node times the share of the node that it takes: the largest of its resources and its slot."""
    row = instance.seconds[task]
    shares = _shares(instance, instance.demand[task])
    return [s if s == inf else s * share for s, share in zip(row, shares, strict=True)]


def _shares(instance: Instance, demand: Demand) -> list[float]:
    found = []
    for node in instance.problem.nodes:
        room = (node.capacity.millicores, node.capacity.memory_mib, node.capacity.gpus)
        parts = [amount / limit for amount, limit in zip(demand, room, strict=True) if limit]
        found.append(max([*parts, 1.0 / node.slots if node.slots else 0.0]))
    return found
