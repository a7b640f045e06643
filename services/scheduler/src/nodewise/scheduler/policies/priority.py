from collections.abc import Sequence

from nodewise.core.model.ids import TaskRef
from nodewise.core.model.task import WaitingTask
from nodewise.core.ports import PolicyContext
from nodewise.scheduler.policies.fifo import arrival


class Priority:
    """The run's priority decides; first come, first served among equals. O(n log n).

    There is no ageing: a steady stream of high priorities keeps low ones waiting.
    """

    name = "priority"
    summary = "Higher priority first, then first come, first served."

    def order(self, waiting: Sequence[WaitingTask], context: PolicyContext) -> Sequence[TaskRef]:  # noqa: ARG002
        return [task.ref for task in sorted(waiting, key=lambda task: (-task.priority, *arrival(task)))]
