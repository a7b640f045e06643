"""Whether a run has reached its end, or will."""

from collections.abc import Iterator
from datetime import datetime, timedelta

from nodewise.core.audit.finding import Check, Finding
from nodewise.core.audit.record import RunRecord
from nodewise.core.lifecycle import FINAL_RUN_STATES, FINAL_TASK_STATES, TaskState

_MOVED_BY_SOMEBODY = frozenset({TaskState.READY, TaskState.ADMITTED, TaskState.PLACED, TaskState.RUNNING})
"""The scheduler looks at what is READY, a placer at what is ADMITTED, and the rest ends, at the latest with its lease."""


def reaches_an_end(run: RunRecord, *, now: datetime, patience: timedelta) -> Iterator[Finding]:
    """A final run has final tasks only. An open one has a task that somebody moves, which the others wait for in the end,
    or is yet to be looked at (not settled); or it moved a moment ago, so that the next look is due.
    """
    if run.state in FINAL_RUN_STATES:
        for task in run.tasks:
            if task.state not in FINAL_TASK_STATES:
                yield Finding(
                    check=Check.REACHES_AN_END,
                    run_id=run.id,
                    path=task.path,
                    text=f"the run is {run.state}, and this task {task.state}",
                )
        return
    if not run.settled or any(task.state in _MOVED_BY_SOMEBODY for task in run.tasks):
        return
    last = max((event.at for event in run.events), default=None)
    if run.bound_early and any(task.state not in FINAL_TASK_STATES for task in run.tasks):
        return
    if last is None or now - last > patience:
        yield Finding(
            check=Check.REACHES_AN_END,
            run_id=run.id,
            since=last,
            until=now,
            text=f"the run is {run.state}, and nothing is under way that would move it",
        )
