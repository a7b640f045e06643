"""Simulated tasks as the policies and strategies of production see them."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

from nodewise.core.model.ids import NodeName, RunId, TaskPath, TaskRef
from nodewise.core.model.problem import Problem, ProblemTask
from nodewise.core.model.task import ModelFacts, Requirements, TaskKind, TaskSpec, WaitingTask
from nodewise.simulator.tables import Tables

EPOCH: Final = datetime(2000, 1, 1, tzinfo=UTC)
"""Second 0 of every simulation."""

_LATEST_SECONDS: Final = 2e11
"""Dates end some 8,000 years after the epoch: what is later is told as this."""
_FLOPS_PER_SECOND: Final = 1e9
"""Estimated effort is believed seconds at this rate: policies only compare it."""
_NAMING_LETTERS: Final = 4
"""So many letters name a kind: `train`, `evaluate` and `prepare` do, too."""


def moment(seconds: float) -> datetime:
    """The date of a simulated second."""
    return EPOCH + timedelta(seconds=min(seconds, _LATEST_SECONDS))


def kind_of(task_class: str) -> TaskKind:
    """The kind that a class such as `train/cnn` begins with; OTHER where it names none."""
    head = task_class.partition("/")[0].lower()[:_NAMING_LETTERS]
    kinds = {kind.value[:_NAMING_LETTERS]: kind for kind in TaskKind}
    return kinds.get(head, TaskKind.OTHER)


def spec_of(task: ProblemTask, allowed: Sequence[NodeName], *, everywhere: bool) -> TaskSpec:
    """The task as production would have compiled it; nodes without a run time are not allowed."""
    model = task.task_class.partition("/")[2]
    return TaskSpec(
        path=TaskPath(task.name),
        component=task.name,
        kind=kind_of(task.task_class),
        task_class=task.task_class,
        resources=task.resources,
        model=ModelFacts(type=model) if model else None,
        requirements=Requirements() if everywhere else Requirements(nodes=tuple(allowed)),
        upstream=tuple(TaskPath(item.task) for item in task.after),
    )


class Waiters:
    """Makes the waiting tasks of one simulation: `policy` and `strategy` are those of every run."""

    def __init__(self, tables: Tables, believed: Problem, *, policy: str, strategy: str) -> None:
        self._tables = tables
        self._names = [node.name for node in tables.nodes]
        self._seen = [task for pipeline in believed.pipelines for task in pipeline.tasks]
        self._choice = (policy, strategy)
        self.refs = [TaskRef(run_id=RunId(found.pipeline), path=TaskPath(found.task)) for found in tables.ids]
        self.number = {ref: i for i, ref in enumerate(self.refs)}

    def waiting(self, task: int, ready_at: float) -> WaitingTask:
        """The task as it waits since then. Its effort is the least that it is believed to take anywhere."""
        tables = self._tables
        pipeline = tables.pipelines[tables.pipeline_of[task]]
        policy, strategy = self._choice
        everywhere = len(tables.tasks[task].seconds) == len(self._names)
        return WaitingTask(
            ref=self.refs[task],
            spec=spec_of(tables.tasks[task], list(tables.tasks[task].seconds), everywhere=everywhere),
            submitted_at=moment(pipeline.submitted_at),
            ready_at=moment(ready_at),
            priority=pipeline.priority,
            deadline=None if pipeline.deadline is None else moment(pipeline.deadline),
            team=pipeline.team,
            policy=policy,
            strategy=strategy,
            effort_flops=min(self._seen[task].seconds.values()) * _FLOPS_PER_SECOND,
        )
