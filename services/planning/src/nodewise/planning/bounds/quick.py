"""Lower bounds without an index: for problems so large that even reading them into one takes longer than there is.

The longest chain of each pipeline, every task on its fastest node and all data at once where it is needed; and of each resource, all
work where it takes least of it, for the mean flow the pipeline with the least work first (Smith, Naval Research Logistics 3, 1956).
All leave out what only makes schedules longer.
"""

from collections.abc import Iterable, Sequence
from graphlib import TopologicalSorter
from itertools import chain
from math import inf

import numpy as np

from nodewise.core.model.ids import NodeName
from nodewise.core.model.problem import Objective, Problem, ProblemNode, ProblemPipeline, ProblemTask, TaskId
from nodewise.planning.bounds.model import Floats


def quick(problem: Problem) -> dict[Objective, dict[str, float]]:
    """Each bound by its name; O(tasks x nodes + edges)."""
    pipelines = [pipeline for pipeline in problem.pipelines if pipeline.tasks]
    if not pipelines:
        return {Objective.MAKESPAN: {}, Objective.MEAN_FLOW: {}}
    origin = min(pipeline.submitted_at for pipeline in pipelines)
    ends = [_last_end(problem, pipeline) for pipeline in pipelines]
    flows = [end - pipeline.submitted_at for end, pipeline in zip(ends, pipelines, strict=True)]
    last, mean = _work(problem, pipelines)
    submitted = sum(pipeline.submitted_at for pipeline in pipelines) / len(pipelines)
    return {
        Objective.MAKESPAN: {"chains": max(ends) - origin, "work": last - origin},
        Objective.MEAN_FLOW: {"chains": sum(flows) / len(flows), "work": mean - submitted},
    }


def _last_end(problem: Problem, pipeline: ProblemPipeline) -> float:
    ends: dict[str, float] = {}
    release = max(problem.now, pipeline.submitted_at)
    for task in _parents_first(pipeline):
        at = problem.fixed.get(TaskId(pipeline=pipeline.name, task=task.name)) if problem.fixed else None
        if at is not None:
            ends[task.name] = at.end
            continue
        start = max(release, task.not_before)
        for item in task.after:
            start = max(start, ends[item.task])
        ends[task.name] = start + min(task.seconds.values(), default=0.0)
    return max(ends.values())


def _parents_first(pipeline: ProblemPipeline) -> Sequence[ProblemTask]:
    seen: set[str] = set()
    for task in pipeline.tasks:
        if any(item.task not in seen for item in task.after):
            by_name = {task.name: task for task in pipeline.tasks}
            graph = {task.name: [item.task for item in task.after] for task in pipeline.tasks}
            return [by_name[name] for name in TopologicalSorter(graph).static_order()]
        seen.add(task.name)
    return pipeline.tasks


def _work(problem: Problem, pipelines: Sequence[ProblemPipeline]) -> tuple[float, float]:
    """When the last pipeline is done at least, and when they are on average, counting one resource at a time.

    As if all could begin with the first. A pipeline without free tasks counts as done at its submission.
    """
    free = [
        (number, task)
        for number, pipeline in enumerate(pipelines)
        for task in pipeline.tasks
        if not problem.fixed or TaskId(pipeline=pipeline.name, task=task.name) not in problem.fixed
    ]
    submitted = np.array([pipeline.submitted_at for pipeline in pipelines])
    last, mean = float(submitted.min()), float(submitted.mean())
    if not free:
        return last, mean
    first = min(max(problem.now, pipelines[number].submitted_at, task.not_before) for number, task in free)
    numbers = np.fromiter((number for number, _ in free), dtype=np.int64)
    open_ = np.bincount(numbers, minlength=len(pipelines)) > 0
    names = [node.name for node in problem.nodes]
    run = _table(len(names), (_row(task, names) for _, task in free))
    needs = _table(
        4, ((1.0, size.millicores, size.memory_mib, size.gpus) for size in (t.resources for _, t in free))
    )
    for demand, sizes in zip(needs.T, np.array([_sizes(node) for node in problem.nodes]).T, strict=True):
        with np.errstate(divide="ignore", invalid="ignore"):
            part = 1.0 / sizes
            costs = np.where(np.isfinite(run) & np.isfinite(part), run * part, inf)
        least = costs.min(axis=1)
        counted = (demand > 0) & np.isfinite(least)
        amount = np.where(counted, demand * np.where(counted, least, 0.0), 0.0)
        each = np.bincount(numbers, amount, minlength=len(pipelines))
        ends = np.where(open_, 0.0, submitted)
        ends[open_] = first + np.cumsum(np.sort(each[open_])) / len(names)
        last, mean = max(last, float(ends[open_].max())), max(mean, float(ends.mean()))
    return last, mean


def _table(columns: int, rows: Iterable[Iterable[float]]) -> Floats:
    """As `np.array`, several times as quick."""
    return np.fromiter(chain.from_iterable(rows), dtype=np.float64).reshape(-1, columns)


def _row(task: ProblemTask, names: list[NodeName]) -> Iterable[float]:
    """Run times by node, infinite where there is none; the first case is the common one, and five times as quick."""
    seconds = task.seconds
    return seconds.values() if list(seconds) == names else [seconds.get(name, inf) for name in names]


def _sizes(node: ProblemNode) -> tuple[float, float, float, float]:
    size = node.capacity
    return (inf if node.slots is None else node.slots, size.millicores, size.memory_mib, size.gpus)
