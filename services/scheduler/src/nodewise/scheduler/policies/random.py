from collections.abc import Sequence

from nodewise.core.model.ids import TaskRef
from nodewise.core.model.task import WaitingTask
from nodewise.core.ports import PolicyContext


class Random:
    """Every order is equally likely; the baseline that others are compared with. O(n log n).

    The tasks are sorted by name before they are shuffled, so that the same `rng` gives the same order however
    the tasks came.
    """

    name = "random"
    summary = "Any order, each equally likely: the baseline."

    def order(self, waiting: Sequence[WaitingTask], context: PolicyContext) -> Sequence[TaskRef]:
        refs = sorted(task.ref for task in waiting)
        context.rng.shuffle(refs)
        return refs
