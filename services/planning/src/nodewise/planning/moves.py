"""The moves of the local search: each gives another order and other nodes, both near a solution's own."""

from bisect import bisect_right
from collections.abc import Callable, Sequence
from random import Random

from nodewise.planning.decoder import ANY, Solution
from nodewise.planning.instance import Instance

Neighbour = tuple[list[int], list[int]]
Move = Callable[[Instance, Solution, Random], Neighbour]


def chain(instance: Instance, solution: Solution, task: int) -> list[int]:
    """What made a task end when it does: back through the parent or the task on its node that ended last before it."""
    plan = solution.plan
    on_node: dict[int, list[tuple[float, int]]] = {}
    for other in solution.order:
        on_node.setdefault(plan.node[other], []).append((plan.end[other], other))
    for ended in on_node.values():
        ended.sort()
    found = [task]
    while True:
        before = [(plan.end[p], p) for p, _ in instance.parents[task] if p not in instance.fixed]
        ended, start = on_node[plan.node[task]], plan.start[task]
        for k in range(bisect_right(ended, (start, len(plan.end))) - 1, -1, -1):
            if plan.start[ended[k][1]] < start:  # what takes no time may end at that very moment
                before.append(ended[k])
                break
        _, task = max(before, default=(0.0, -1))
        if task < 0:
            return found
        found.append(task)


def move_critical(instance: Instance, solution: Solution, rng: Random) -> Neighbour:
    """Another place and perhaps another node for a task on the way to the last end."""
    last = max(solution.order, key=solution.plan.end.__getitem__)
    return _reinsert(instance, solution, rng, [rng.choice(chain(instance, solution, last))])


def move_tasks(instance: Instance, solution: Solution, rng: Random) -> Neighbour:
    """Another place and perhaps another node for one to three tasks."""
    count = min(len(solution.order), rng.choice((1, 1, 2, 3)))
    return _reinsert(instance, solution, rng, rng.sample(solution.order, count))


def move_pipeline(instance: Instance, solution: Solution, rng: Random) -> Neighbour:
    """All tasks of a pipeline earlier or later in the order, each where it finishes first then."""
    pipeline = instance.pipeline_of[rng.choice(solution.order)]
    mine = [task for task in solution.order if instance.pipeline_of[task] == pipeline]
    others = [task for task in solution.order if instance.pipeline_of[task] != pipeline]
    at = rng.randrange(len(others) + 1)
    nodes = solution.plan.node[:]
    for task in mine:
        nodes[task] = ANY
    return others[:at] + mine + others[at:], nodes


def swap_nodes(instance: Instance, solution: Solution, rng: Random) -> Neighbour:
    """Two tasks change nodes, and their places in the order as far as their parents and children allow."""
    a, b = rng.choice(solution.order), rng.choice(solution.order)
    nodes = solution.plan.node[:]
    if nodes[b] in instance.choices[a] and nodes[a] in instance.choices[b]:
        nodes[a], nodes[b] = nodes[b], nodes[a]
    order = solution.order[:]
    i, j = sorted((order.index(a), order.index(b)))
    order[i], order[j] = order[j], order[i]
    return parents_first(instance, order), nodes


def renew_window(instance: Instance, solution: Solution, rng: Random) -> Neighbour:
    """A few tasks that start one after another go in another order, each where it finishes first then."""
    size = min(len(solution.order), rng.randint(2, 12))
    at = rng.randrange(len(solution.order) - size + 1)
    nodes = solution.plan.node[:]
    window = solution.order[at : at + size]
    for task in window:
        nodes[task] = ANY
    rng.shuffle(window)
    order = solution.order[:at] + window + solution.order[at + size :]
    return parents_first(instance, order), nodes


def _reinsert(instance: Instance, solution: Solution, rng: Random, tasks: Sequence[int]) -> Neighbour:
    order, nodes = solution.order[:], solution.plan.node[:]
    for task in tasks:
        order.remove(task)
        low, high = _range(instance, order, task)
        order.insert(rng.randint(low, high), task)
        dice = rng.random()
        if dice < 0.4:
            nodes[task] = ANY
        elif dice < 0.8:
            nodes[task] = rng.choice(instance.choices[task])
    return order, nodes


def _range(instance: Instance, order: Sequence[int], task: int) -> tuple[int, int]:
    """The places in an order, which lacks the task, between its last parent and its first child."""
    parents = {p for p, _ in instance.parents[task]}
    children = {c for c, _ in instance.children[task]}
    low, high = 0, len(order)
    if parents:
        low = max((k + 1 for k, other in enumerate(order) if other in parents), default=0)
    if children:
        high = next((k for k, other in enumerate(order) if other in children), high)
    return low, high


def parents_first(instance: Instance, order: Sequence[int]) -> list[int]:
    """The order, each task preceded by those of its ancestors that came too late."""
    done: set[int] = set(instance.fixed)
    found: list[int] = []
    for first in order:
        stack = [first]
        while stack:
            task = stack[-1]
            missing = [p for p, _ in instance.parents[task] if p not in done]
            if missing:
                stack += missing
                continue
            stack.pop()
            if task not in done:
                done.add(task)
                found.append(task)
    return found
