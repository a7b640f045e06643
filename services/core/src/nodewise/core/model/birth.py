"""A task as it is born."""

from dataclasses import dataclass

from nodewise.core.lifecycle import TaskState
from nodewise.core.model.artifact import Values
from nodewise.core.model.task import TaskSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class NewTask:
    """A leaf task as it is born.

    `effort_flops` is the estimated work, `input_bytes` the size of its data set (None: unknown). `ready`: whether it may start at
    once, with these `inputs` (None: it may, if it has no upstream). `reason` is why it waits, for a person, where its upstream does
    not say it. A `finaliser` runs in a run that is being canceled, too.
    """

    spec: TaskSpec
    effort_flops: float | None = None
    input_bytes: float | None = None
    finaliser: bool = False
    ready: bool | None = None
    inputs: Values | None = None
    reason: str | None = None

    @property
    def state(self) -> TaskState:
        ready = not self.spec.upstream if self.ready is None else self.ready
        return TaskState.READY if ready else TaskState.WAITING
