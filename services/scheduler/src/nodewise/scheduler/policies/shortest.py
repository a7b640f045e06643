import math
from collections.abc import Sequence

from nodewise.core.model.ids import TaskRef
from nodewise.core.model.task import WaitingTask
from nodewise.core.ports import PolicyContext
from nodewise.scheduler.policies.fifo import arrival


def _effort(task: WaitingTask) -> float:
    """Unknown effort comes after every known one: it is not zero."""
    return math.inf if task.effort_flops is None else task.effort_flops


class Shortest:
    """Shortest job first, by estimated effort. O(n log n).

    Least mean waiting time on one machine when all are there from the start (W. E. Smith, 1956). Tasks of unknown effort come after the
    known ones, first come, first served.
    """

    name = "shortest"
    summary = "Least estimated effort first; unknown effort last, then first come, first served."

    def order(self, waiting: Sequence[WaitingTask], context: PolicyContext) -> Sequence[TaskRef]:  # noqa: ARG002
        return [task.ref for task in sorted(waiting, key=lambda task: (_effort(task), *arrival(task)))]
