from collections.abc import Sequence

from nodewise.core.model.ids import TaskRef
from nodewise.core.model.task import WaitingTask
from nodewise.core.ports import PolicyContext


class Newest:
    """Last come, first served."""

    name = "newest"
    summary = "Last come, first served."

    def order(self, waiting: Sequence[WaitingTask], context: PolicyContext) -> Sequence[TaskRef]:
        by_name = sorted(waiting, key=lambda task: task.ref)
        return [task.ref for task in sorted(by_name, key=lambda task: task.submitted_at, reverse=True)]
