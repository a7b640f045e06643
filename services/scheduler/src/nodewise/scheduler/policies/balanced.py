import math
from collections.abc import Sequence

from nodewise.core.model.ids import RunId, TaskRef
from nodewise.core.model.task import WaitingTask
from nodewise.core.ports import PolicyContext
from nodewise.scheduler.best_case import best_case
from nodewise.scheduler.policies.fifo import arrival


class Balanced:
    """Priority, then the run with the least predicted work waiting, then first come, first served.

    Shortest remaining work first serves mean flow time (L. Schrage, A proof of the optimality of the shortest remaining
    processing time discipline, 1968); a run's tasks stay together, so a run that has begun is finished. Runs whose
    strategy is a planner are planned together instead, one priority at a time (`nodewise.planning.stages`).
    O(n log n + kinds of tasks x nodes).
    """

    name = "balanced"
    summary = (
        "Higher priority first, then the run with the least predicted work left; plans whole runs together."
    )

    def order(self, waiting: Sequence[WaitingTask], context: PolicyContext) -> Sequence[TaskRef]:
        seconds = best_case(context)
        by_run: dict[RunId, list[float]] = {}
        for task in waiting:
            by_run.setdefault(task.ref.run_id, []).append(seconds(task))
        work = {run: math.fsum(parts) for run, parts in by_run.items()}

        def key(task: WaitingTask) -> tuple[object, ...]:
            return (-task.priority, work[task.ref.run_id], task.submitted_at, task.ref.run_id, *arrival(task))

        return [task.ref for task in sorted(waiting, key=key)]
