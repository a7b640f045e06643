from collections.abc import Callable

from nodewise.core.model.problem import PlanningContext
from nodewise.planning.indexed import IndexedPlanner
from nodewise.planning.instance import Instance
from nodewise.planning.list_scheduling import PartialPlan, by_priority, in_order, never
from nodewise.planning.ranks import upward_ranks


def shortest_first(instance: Instance) -> list[int]:
    """Free tasks, pipeline after pipeline: first the one that would be done first on the fastest nodes, task by task.

    With unrelated nodes the mean run time says little (one slow node spoils it); the fastest gave 5 % less mean flow.
    """
    due = [max(instance.problem.now, p.submitted_at) for p in instance.problem.pipelines]
    for task in instance.free:
        due[instance.pipeline_of[task]] += instance.seconds[task][instance.choices[task][0]]
    rank = {k: place for place, k in enumerate(sorted(range(len(due)), key=due.__getitem__))}
    tasks = by_priority(instance, upward_ranks(instance))
    return sorted(tasks, key=lambda task: rank[instance.pipeline_of[task]])


def eft(instance: Instance, out_of_time: Callable[[], bool] = never) -> PartialPlan:
    """The plan of `Eft` on an indexed problem; raises `OutOfTime`."""
    return in_order(instance, shortest_first(instance), out_of_time=out_of_time)


class Eft(IndexedPlanner):
    """Shortest remaining work first between pipelines, then earliest finish: short pipelines are done soon.

    The order is Smith's: "Various optimizers for single-stage production", Naval Research Logistics 3, 1956, with the
    work that is left of a pipeline, on the fastest nodes, as its time; the mapping is HEFT's. O(edges x nodes). Good for the mean flow time.
    """

    name = "eft"
    summary = "the pipeline with the least work left first, each task where it finishes first"

    def on(self, instance: Instance, context: PlanningContext) -> PartialPlan:  # noqa: ARG002
        return eft(instance)
