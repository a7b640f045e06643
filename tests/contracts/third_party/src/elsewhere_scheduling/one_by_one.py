from collections.abc import Iterator

from nodewise.core.errors import Unplannable
from nodewise.core.model.problem import (
    Assignment,
    PlanningContext,
    Problem,
    ProblemNode,
    ProblemPipeline,
    ProblemTask,
    Schedule,
    TaskId,
)


class OneByOne:
    """One task after another, each on its fastest node: nothing ever runs side by side."""

    name = "one_by_one"
    summary = "Nothing side by side."

    def plan(self, problem: Problem, context: PlanningContext) -> Schedule:
        found = dict(problem.fixed)
        clock = max([problem.now, *(at.end for at in found.values()), *(held.end for held in problem.held)])
        for pipeline in problem.pipelines:
            for task in _parents_first(pipeline):
                key = TaskId(pipeline=pipeline.name, task=task.name)
                if key not in found:
                    node = _fastest(problem, key, task)
                    parents = [(found[TaskId(pipeline=key.pipeline, task=d.task)], d.mib) for d in task.after]
                    arrivals = [
                        at.end + problem.links.seconds(mib, at.node, node.name) for at, mib in parents
                    ]
                    start = max([clock, pipeline.submitted_at, task.not_before, *arrivals])
                    clock = start + task.seconds[node.name]
                    found[key] = Assignment(id=key, node=node.name, start=start, end=clock)
        return Schedule(assignments=found)


def _fastest(problem: Problem, key: TaskId, task: ProblemTask) -> ProblemNode:
    able = [n for n in problem.nodes if n.name in task.seconds and task.resources.fits_in(n.capacity)]
    if not able:
        raise Unplannable([f"{key.pipeline}/{key.task}"])
    return min(able, key=lambda node: (task.seconds[node.name], node.name))


def _parents_first(pipeline: ProblemPipeline) -> Iterator[ProblemTask]:
    left, done = list(pipeline.tasks), set[str]()
    while left:
        task = next(one for one in left if all(parent.task in done for parent in one.after))
        left.remove(task)
        done.add(task.name)
        yield task
