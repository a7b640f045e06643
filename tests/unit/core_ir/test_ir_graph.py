"""Order and cycles of a DAG."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from nodewise.core.ir.graph import find_cycle, topological_order

GRAPHS = st.integers(1, 12).flatmap(
    lambda size: st.lists(st.sets(st.integers(0, size - 1), max_size=4), min_size=size, max_size=size)
)


@given(GRAPHS)
def test_there_is_an_order_or_a_cycle(edges: list[set[int]]) -> None:
    upstream = {f"n{node:02}": sorted(f"n{need:02}" for need in needs) for node, needs in enumerate(edges)}
    order = topological_order(upstream)
    position = {node: index for index, node in enumerate(order)}
    assert len(position) == len(order)
    assert all(position[need] < position[node] for node in order for need in upstream[node])
    if len(order) < len(upstream):
        cycle = find_cycle(upstream, order)
        assert cycle[0] == cycle[-1]
        assert all(need in upstream[node] for node, need in pairwise(cycle))


def test_a_graph_of_many_nodes_needs_no_recursion() -> None:
    chain = {f"{number:06}": [f"{number - 1:06}"] if number else [] for number in range(50_000)}
    assert topological_order(chain) == sorted(chain)
    chain["000000"] = ["049999"]
    assert len(find_cycle(chain, topological_order(chain))) == 50_001
