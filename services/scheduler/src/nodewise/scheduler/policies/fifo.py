from collections.abc import Sequence

from nodewise.core.model.ids import TaskRef
from nodewise.core.model.task import WaitingTask
from nodewise.core.ports import PolicyContext


def arrival(task: WaitingTask) -> tuple[object, ...]:
    """Sort key of arrival: by the run's submission, then by the time the task became ready, then by name."""
    return (task.submitted_at, task.ready_at, task.ref.path, task.ref.run_id)


class Fifo:
    """First come, first served. O(n log n)."""

    name = "fifo"
    summary = "First come, first served: earliest submission first, then earliest ready."

    def order(self, waiting: Sequence[WaitingTask], context: PolicyContext) -> Sequence[TaskRef]:  # noqa: ARG002
        return [task.ref for task in sorted(waiting, key=arrival)]
