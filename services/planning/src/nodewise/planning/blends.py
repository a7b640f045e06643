"""Plans between the extremes: part shortest-first, part longest-way-first, with nodes by price. Starts for the search."""

from collections.abc import Callable, Iterator

from nodewise.planning.eft import shortest_first
from nodewise.planning.instance import Instance
from nodewise.planning.list_scheduling import PartialPlan, by_priority, in_order, never
from nodewise.planning.prices import node_prices, regrets
from nodewise.planning.ranks import upward_ranks

CUTS = (0.8, 0.5, 0.0, 1.0, 0.9, 0.7)
"""Which part of all tasks goes shortest pipeline first; the rest, the long pipelines, goes longest way first.

The most useful first, for want of time."""

WEIGHTS = (2.0, 4.0, 1.0, 0.0)
"""How much the regret of a node counts beside the finish on it."""

LARGEST = 1_000_000
"""Tasks x nodes above which even one blend would cost more than the search can spare."""


def blends(instance: Instance, out_of_time: Callable[[], bool] = never) -> Iterator[PartialPlan]:
    """Every blend of cut and weight, each a pass of list scheduling: O(tasks x nodes x parents).

    Short pipelines first is good for the mean flow, but leaves long chains to the end, where nodes run empty. The last
    fifth of the tasks in HEFT's order mends that at the cost of few, long pipelines. Paying for the nodes that others need
    more (see `prices`) helps both: earliest finish alone takes a fast node for whatever comes first.

    Raises:
        OutOfTime: It says so before a blend is finished.
    """
    if not instance.free or len(instance.free) * len(instance.problem.nodes) > LARGEST:
        return
    ranked = by_priority(instance, upward_ranks(instance))
    place = {task: k for k, task in enumerate(ranked)}
    shortest = shortest_first(instance)
    regret = regrets(instance, node_prices(instance, out_of_time))
    alone = len({instance.pipeline_of[task] for task in instance.free}) == 1
    for weight in WEIGHTS:
        bias = [[weight * cost for cost in row] for row in regret]
        for cut in (0.0,) if alone else CUTS:
            k = int(cut * len(shortest))
            yield in_order(
                instance,
                shortest[:k] + sorted(shortest[k:], key=place.__getitem__),
                bias=bias,
                out_of_time=out_of_time,
            )
