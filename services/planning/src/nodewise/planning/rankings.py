"""HEFT by other rankings: starts for the search, since none of them is best everywhere.

H. Zhao, R. Sakellariou: "An experimental investigation into the rank function of the heterogeneous earliest finish time
scheduling algorithm", Euro-Par 2003: which of the mean, the best, the median or the worst run time ranks tasks best
differs from graph to graph, by up to half of the makespan.
"""

from collections.abc import Callable, Iterator

from nodewise.planning.instance import Instance
from nodewise.planning.list_scheduling import PartialPlan, by_priority, in_order, never
from nodewise.planning.ranks import upward_ranks

LARGEST = 200_000
"""Tasks x nodes above which so many passes would cost more than the search can spare."""


def rankings(instance: Instance, out_of_time: Callable[[], bool] = never) -> Iterator[PartialPlan]:
    """A pass of list scheduling for each way to rank but HEFT's own; O(tasks x nodes x parents) each; raises `OutOfTime`."""
    if not instance.free or len(instance.free) * len(instance.problem.nodes) > LARGEST:
        return
    for place in (0.0, 0.5, 1.0):
        own = _seconds_at(instance, place)
        for transfers in (1.0, 0.0):
            ranks = upward_ranks(instance, own, transfers=transfers)
            yield in_order(instance, by_priority(instance, ranks), out_of_time=out_of_time)
    order = by_priority(instance, upward_ranks(instance, transfers=0.0))
    yield in_order(instance, order, out_of_time=out_of_time)


def _seconds_at(instance: Instance, place: float) -> list[float]:
    """The run time of each task on its fastest (0), middle (0.5) or slowest (1) node."""
    found = [0.0] * len(instance.ids)
    for task in instance.free:
        nodes = instance.choices[task]
        found[task] = instance.seconds[task][nodes[round(place * (len(nodes) - 1))]]
    return found
