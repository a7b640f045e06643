"""A run as it stands: one row for every leaf task that was made, and nothing else. All the rest follows from the rows."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from nodewise.core.ir.placeholders import Fact
from nodewise.core.lifecycle import FINAL_TASK_STATES, TaskState
from nodewise.core.model.artifact import TaskOutputs
from nodewise.core.model.ids import TaskPath

LIVE_TASK_STATES: Final = frozenset(TaskState) - FINAL_TASK_STATES - {TaskState.WAITING}
"""Handed to somebody, and not ended."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One leaf task. `outputs` are there once it SUCCEEDED; `message` says why it did not. `attempt` counts from 1."""

    state: TaskState = TaskState.WAITING
    outputs: TaskOutputs = field(default_factory=TaskOutputs)
    message: str = ""
    attempt: int = 1


Rows = Mapping[TaskPath, Row]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFacts:
    """What placeholders can say of the run. Times are RFC 3339 text; an empty one was never known.

    `scheduled` is the time of its schedule that it is the run of; for other runs it is that of their creation.
    """

    name: str = ""
    run_id: str = ""
    resource_name: str = ""
    root: str = ""
    created: str = ""
    scheduled: str = ""

    @classmethod
    def of_run(
        cls, run_id: str, name: str, *, submitted_at: datetime, scheduled_for: datetime | None
    ) -> "RunFacts":
        """The facts of a run on record."""
        scheduled = scheduled_for.isoformat() if scheduled_for else ""
        return cls(name=name, run_id=run_id, created=submitted_at.isoformat(), scheduled=scheduled)

    def of_task(self, path: str) -> Mapping[Fact, str]:
        """All facts, for the task at that path: its name is the last part of it."""
        return {
            Fact.JOB_NAME: self.name,
            Fact.JOB_RESOURCE_NAME: self.resource_name or self.name,
            Fact.JOB_ID: self.run_id,
            Fact.TASK_NAME: path.rsplit(".", 1)[-1],
            Fact.TASK_ID: f"{self.run_id}/{path}",
            Fact.ROOT: self.root,
            Fact.CREATED: self.created,
            Fact.SCHEDULED: self.scheduled or self.created,
        }
