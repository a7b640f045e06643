import math
from collections.abc import Sequence

from nodewise.core.model.ids import TaskRef
from nodewise.core.model.task import WaitingTask
from nodewise.core.ports import PolicyContext
from nodewise.scheduler.best_case import best_case
from nodewise.scheduler.policies.fifo import arrival


class Deadline:
    """Least slack first: the time that is left until the run's deadline once the task has run on its best node.

    Dertouzos and Mok, Multiprocessor online scheduling of hard-real-time tasks, 1989 (least laxity).
    O(n log n + kinds of tasks x nodes). What has no deadline comes after what has one, first come, first served. Without
    a cluster nothing is known of run times, and it is earliest deadline first.
    """

    name = "deadline"
    summary = "Least time to spare before its deadline first; without a deadline last."

    def order(self, waiting: Sequence[WaitingTask], context: PolicyContext) -> Sequence[TaskRef]:
        seconds = best_case(context) if context.cluster is not None else lambda _: 0.0

        def slack(task: WaitingTask) -> float:
            if task.deadline is None:
                return math.inf
            needed = seconds(task)
            # What no node can ever take is not urgent: it would only stand before those that can still make it.
            left = (task.deadline - context.now).total_seconds()
            return left - needed if math.isfinite(needed) else left

        def key(task: WaitingTask) -> tuple[object, ...]:
            return (task.deadline is None, slack(task), *arrival(task))

        return [task.ref for task in sorted(waiting, key=key)]
