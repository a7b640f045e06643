"""The order of a DAG, and the cycle where there is none."""

from collections import deque
from collections.abc import Mapping, Sequence


def topological_order(upstream: Mapping[str, Sequence[str]]) -> list[str]:
    """The nodes, each after all it depends on; ties in alphabetical order of discovery (Kahn's algorithm).

    Iterative, O(nodes + edges) after sorting. Nodes on a cycle, or behind one, are left out:
    the order is complete if and only if there is no cycle.

    Args:
        upstream: for each node the distinct nodes that it depends on; each of them is a key too.
    """
    missing = {node: len(needs) for node, needs in upstream.items()}
    downstream: dict[str, list[str]] = {node: [] for node in upstream}
    for node in sorted(upstream):
        for need in upstream[node]:
            downstream[need].append(node)
    free = deque(sorted(node for node, count in missing.items() if not count))
    order: list[str] = []
    while free:
        node = free.popleft()
        order.append(node)
        for follower in downstream[node]:
            missing[follower] -= 1
            if not missing[follower]:
                free.append(follower)
    return order


def find_cycle(upstream: Mapping[str, Sequence[str]], outside: Sequence[str]) -> list[str]:
    """One cycle, as the nodes along it, the first repeated at the end; each one needs the next.

    Args:
        upstream: a graph that has a cycle.
        outside: what `topological_order` returned, so that every other node has an upstream that is not in it.
    """
    ordered = set(outside)
    node = min(set(upstream) - ordered)
    trail: list[str] = []
    position: dict[str, int] = {}
    while node not in position:
        position[node] = len(trail)
        trail.append(node)
        node = min(need for need in upstream[node] if need not in ordered)
    return [*trail[position[node] :], node]
