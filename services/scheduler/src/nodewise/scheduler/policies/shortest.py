from collections.abc import Sequence

from nodewise.core.model.ids import TaskRef
from nodewise.core.model.task import WaitingTask
from nodewise.core.ports import PolicyContext
from nodewise.scheduler.best_case import best_case
from nodewise.scheduler.policies.fifo import arrival


class Shortest:
    """Shortest job first, by the learned run time on the best node that could ever take it.

    Least mean waiting time on one machine when all are there from the start (W. E. Smith, Various optimizers for
    single-stage production, 1956). O(n log n + kinds of tasks x nodes). Without a cluster it compares estimated effort;
    unknown effort comes last, first come, first served.
    """

    name = "shortest"
    summary = "Shortest predicted run time first, then first come, first served."

    def order(self, waiting: Sequence[WaitingTask], context: PolicyContext) -> Sequence[TaskRef]:
        seconds = best_case(context)
        return [task.ref for task in sorted(waiting, key=lambda task: (seconds(task), *arrival(task)))]
