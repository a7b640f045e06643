from collections.abc import Callable

from nodewise.core.model.problem import PlanningContext
from nodewise.planning.indexed import IndexedPlanner
from nodewise.planning.instance import Instance
from nodewise.planning.list_scheduling import PartialPlan, by_priority, in_order, never, while_time


def optimistic_costs(instance: Instance, out_of_time: Callable[[], bool] = never) -> list[list[float]]:
    """Per task and node: the least time from the task's end to the end of its pipeline, if no node were ever busy.

    The table of the paper's equation (1). The mean transfer time is the same between all nodes, so the best node of a
    child is either the same one or the best of all: O(edges x nodes) instead of O(edges x nodes squared).
    """
    nodes = len(instance.problem.nodes)
    table: list[list[float]] = [[0.0] * nodes for _ in instance.ids]
    for task in while_time(reversed(instance.free), out_of_time):
        row = table[task]
        for child, mib in instance.children[task]:
            onward = [a + b for a, b in zip(table[child], instance.seconds[child], strict=True)]
            moved = min(onward) + mib * instance.mean_seconds_per_mib
            for node, stay in enumerate(onward):
                row[node] = max(row[node], min(stay, moved))
    return table


def peft(instance: Instance, out_of_time: Callable[[], bool] = never) -> PartialPlan:
    """The plan of `Peft` on an indexed problem; raises `OutOfTime`."""
    table = optimistic_costs(instance, out_of_time)
    priority = [sum(row) / len(row) if row else 0.0 for row in table]
    return in_order(instance, by_priority(instance, priority), bias=table, out_of_time=out_of_time)


class Peft(IndexedPlanner):
    """Predict earliest finish time: HEFT that looks ahead through a table of optimistic costs.

    Arabnejad, Barbosa: "List scheduling algorithm for heterogeneous systems by an optimistic cost table", IEEE TPDS
    25(3), 2014. O(edges x nodes).
    """

    name = "peft"
    summary = "like heft, but a node counts with what its choice makes of the tasks behind"

    def on(self, instance: Instance, context: PlanningContext) -> PartialPlan:  # noqa: ARG002
        return peft(instance)
