"""Names of things. All are strings on the wire; `NewType` keeps them apart in the code."""

from dataclasses import dataclass
from typing import NewType

RunId = NewType("RunId", str)
"""A UUID in its canonical text form."""

TaskPath = NewType("TaskPath", str)
"""Names a task within its run, uniquely: `train`, later `loop[0].train`."""

NodeName = NewType("NodeName", str)

ScheduleId = NewType("ScheduleId", str)
"""A UUID in its canonical text form."""


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class TaskRef:
    """One task of one run."""

    run_id: RunId
    path: TaskPath

    def __str__(self) -> str:
        return f"{self.run_id}/{self.path}"


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class AttemptKey:
    """One try at one task: the key of every effect (rule 6). Attempts count from 1."""

    run_id: RunId
    path: TaskPath
    attempt: int

    def __post_init__(self) -> None:
        if self.attempt < 1:
            raise ValueError(f"attempt must be at least 1, got {self.attempt}")

    @property
    def task(self) -> TaskRef:
        return TaskRef(run_id=self.run_id, path=self.path)

    def __str__(self) -> str:
        return f"{self.run_id}/{self.path}#{self.attempt}"
