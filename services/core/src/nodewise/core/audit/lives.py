"""Events, replayed: do they lead, by steps that the tables have, from each subject's birth to where it is?"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise

from nodewise.core.audit.finding import Check, Finding
from nodewise.core.audit.record import EventRecord, RunRecord
from nodewise.core.errors import IllegalTransition
from nodewise.core.lifecycle import (
    TASK_EVENT_OWNERS,
    RunEvent,
    RunState,
    TaskEvent,
    TaskState,
    next_run_state,
    next_task_state,
)
from nodewise.core.model.ids import TaskPath

_BIRTH = "submit"
_Subject = TaskPath | None


def known_transitions(run: RunRecord) -> Iterator[Finding]:
    """O(events). A step is judged by the tables, by the state that the step before it left, and by who may take it."""
    lives: dict[_Subject, list[EventRecord]] = {}
    for event in run.events:
        lives.setdefault(event.path, []).append(event)
    current: Mapping[_Subject, str] = {None: run.state, **{task.path: task.state for task in run.tasks}}
    for subject in current.keys() | lives.keys():
        events = lives.get(subject, [])
        for at, text in _wrong(events, current.get(subject)):
            yield Finding(
                check=Check.KNOWN_TRANSITIONS,
                run_id=run.id,
                path=subject,
                attempt=at.attempt if at else None,
                since=at.at if at else None,
                text=text,
            )


def _wrong(events: Sequence[EventRecord], current: str | None) -> Iterator[tuple[EventRecord | None, str]]:
    if not events:
        yield None, f"it is {current}, and has no history"
        return
    first, last = events[0], events[-1]
    if first.event != _BIRTH or first.from_state is not None:
        yield first, f"its history begins with {_step(first)}"
    if last.to_state != current:
        yield last, f"it is {current or 'gone'}, and its history ends with {_step(last)}"
    for before, event in pairwise(events):
        if event.from_state != before.to_state:
            yield event, f"{_step(event)} came after {_step(before)}"
        elif not _is_known(event):
            yield event, f"no table has {_step(event)}"
        elif event.path is not None and TASK_EVENT_OWNERS[TaskEvent(event.event)] != event.service:
            yield event, f"{event.service} may not take the step {_step(event)}"


def _step(event: EventRecord) -> str:
    return f"{event.event} ({event.from_state or 'nothing'} to {event.to_state})"


def _is_known(event: EventRecord) -> bool:
    before = event.from_state or ""
    try:
        if event.path is None:
            return next_run_state(RunState(before), RunEvent(event.event)) == event.to_state
        return next_task_state(TaskState(before), TaskEvent(event.event)) == event.to_state
    except (IllegalTransition, ValueError):
        return False
