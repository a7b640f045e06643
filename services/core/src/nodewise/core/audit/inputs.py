"""Whether everything was there when a task started."""

from collections.abc import Iterator, Mapping
from datetime import timedelta

from nodewise.core.audit.finding import Check, Finding
from nodewise.core.audit.record import EventRecord, RunRecord, TaskRecord
from nodewise.core.lifecycle import TaskEvent, TaskState
from nodewise.core.model.ids import TaskPath


def inputs_first(run: RunRecord, *, clocks: timedelta) -> Iterator[Finding]:
    """Two ways to ask, for all that a task waits for and that succeeded.

    By the order of events, which needs no clock: its first placement was written after their ends. (Not where a run
    was bound early: there all are placed at once.) By the clocks, which nodes and recorder stamp and which may differ
    by `clocks`: no attempt began before their ends.
    """
    tasks = {task.path: task for task in run.tasks}
    good = {event.path: event for event in run.events if _ends_well(event)}
    placed: dict[TaskPath | None, EventRecord] = {}
    for event in run.events:
        if event.event == TaskEvent.PLACE:
            placed.setdefault(event.path, event)
    if not run.bound_early:
        for path, event in placed.items():
            if path in tasks:
                yield from _placed_early(run, tasks[path], event, good)
    yield from _started_early(run, tasks, clocks)


def _ends_well(event: EventRecord) -> bool:
    return event.path is not None and event.event in {TaskEvent.SUCCEED, TaskEvent.RESOLVE}


def _placed_early(
    run: RunRecord, task: TaskRecord, placed: EventRecord, good: Mapping[TaskPath | None, EventRecord]
) -> Iterator[Finding]:
    for up in task.upstream:
        end = good.get(up)
        if end is not None and end.id > placed.id:
            yield Finding(
                check=Check.INPUTS_FIRST,
                run_id=run.id,
                path=task.path,
                attempt=placed.attempt,
                since=placed.at,
                until=end.at,
                text=f"it was placed before {up} had succeeded",
            )


def _started_early(
    run: RunRecord, tasks: Mapping[TaskPath, TaskRecord], clocks: timedelta
) -> Iterator[Finding]:
    for one in run.attempts:
        task = tasks.get(one.path)
        for up in task.upstream if task and one.started_at else ():
            before = tasks.get(up)
            if before is None or before.state is not TaskState.SUCCEEDED or before.finished_at is None:
                continue
            if one.started_at is not None and one.started_at + clocks < before.finished_at:
                early = (before.finished_at - one.started_at).total_seconds()
                yield Finding(
                    check=Check.INPUTS_FIRST,
                    run_id=run.id,
                    path=one.path,
                    attempt=one.attempt,
                    node=one.node,
                    since=one.started_at,
                    until=before.finished_at,
                    text=f"it started {early:.3f} s before {up} had ended",
                )
