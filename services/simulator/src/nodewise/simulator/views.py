"""Simulated tasks as the policies, strategies and planners of production see them."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

from nodewise.core.model.ids import NodeName, RunId, TaskPath, TaskRef
from nodewise.core.model.problem import ProblemTask
from nodewise.core.model.task import ModelFacts, Requirements, TaskFacts, TaskKind, TaskSpec, WaitingTask
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


def second(moment: datetime) -> float:
    """The simulated second of a date, to the microsecond."""
    return (moment - EPOCH).total_seconds()


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


class Views:
    """What the rows of one simulation would say of its tasks: `policy` and `strategy` are those of every run.

    The effort of a task is the least that it is believed to take on a node that can run it.
    """

    def __init__(
        self, tables: Tables, believed: Sequence[ProblemTask], *, policy: str, strategy: str
    ) -> None:
        self._tables = tables
        self._choice = (policy, strategy)
        names = [node.name for node in tables.nodes]
        self.refs = [TaskRef(run_id=RunId(found.pipeline), path=TaskPath(found.task)) for found in tables.ids]
        self.number = {ref: i for i, ref in enumerate(self.refs)}
        self.specs = [
            spec_of(task, list(task.seconds), everywhere=len(task.seconds) == len(names))
            for task in tables.tasks
        ]
        self.facts = [
            TaskFacts(
                ref=ref,
                task_class=spec.task_class,
                effort_flops=min(seen.seconds[names[node]] for node in able) * _FLOPS_PER_SECOND,
            )
            for ref, spec, seen, able in zip(self.refs, self.specs, believed, tables.allowed, strict=True)
        ]

    def waiting(self, task: int, ready_at: float) -> WaitingTask:
        """The task as it waits since then."""
        pipeline = self._tables.pipelines[self._tables.pipeline_of[task]]
        policy, strategy = self._choice
        return WaitingTask(
            ref=self.refs[task],
            spec=self.specs[task],
            submitted_at=moment(pipeline.submitted_at),
            ready_at=moment(ready_at),
            priority=pipeline.priority,
            deadline=None if pipeline.deadline is None else moment(pipeline.deadline),
            team=pipeline.team,
            policy=policy,
            strategy=strategy,
            effort_flops=self.facts[task].effort_flops,
        )
