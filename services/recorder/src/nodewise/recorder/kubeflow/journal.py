"""What KFP shows of a run, against what is on record of it. Pure: decides, changes nothing.

What is final on record stays. A task only moves on: KFP's answers may be older than what was read before. KFP's clock is believed
for how long something took; when it began is kept between its placement and now.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Final

from nodewise.core.engine.kubeflow.paths import in_the_ir
from nodewise.core.engine.kubeflow.runs import KfpRun, KfpState, run_event
from nodewise.core.engine.kubeflow.tasks import RunSighting, SightedState, TaskSighting
from nodewise.core.lifecycle import (
    FINAL_TASK_STATES,
    AttemptState,
    RunEvent,
    TaskEvent,
    TaskState,
    next_task_state,
)
from nodewise.core.model.decision import Reason, ReasonCode
from nodewise.core.model.ids import TaskPath
from nodewise.recorder.kubeflow.known import Birth, KnownTask, Step, Verdict
from nodewise.recorder.storable import storable_text

Known = Mapping[TaskPath, KnownTask]

_CANCELED: Final = Reason(code=ReasonCode.RUN_CANCELED, text="the run was canceled")
_NOT_NEEDED: Final = Reason(
    code=ReasonCode.NOT_NEEDED,
    text="nothing of it ran: its branch was not taken, or its loop had fewer items",
)
_WHEN: Final = "when "
"""Argo's words for a condition that is not met begin so."""
_ENDS: Final = frozenset({SightedState.SUCCEEDED, SightedState.FAILED})


MOST_TASKS: Final = 20_000
"""So many tasks of a run are on record; KFP may run more rounds of a loop, but nobody would read them here."""


def read_run(
    known: Known, run: KfpRun, sighting: RunSighting, *, cancel_requested: bool, now: datetime
) -> Verdict:
    """What a sighting changes.

    Args:
        known: the run's tasks on record, by path.
        run: as v2beta1 showed it, before `sighting` was taken.
        sighting: its tasks.
        cancel_requested: whether somebody asked us to cancel it.
        now: the recorder's time.
    """
    siblings = _siblings(known)
    births: list[Birth] = []
    steps: list[Step] = []
    says: dict[TaskPath, Reason] = {}
    tasks = dict(known)
    for seen in _of_leaves(sighting.tasks, known, siblings):
        if seen.path not in tasks:
            if len(tasks) >= MOST_TASKS:
                continue
            like = siblings[in_the_ir(seen.path)]
            births.append(Birth(path=seen.path, like=like.path, node=seen.node))
            tasks[seen.path] = _born(like, seen.path)
        moved = list(_moves(tasks[seen.path], seen, canceled=cancel_requested, now=now))
        steps += moved
        tasks[seen.path] = _after(tasks[seen.path], moved)
        if not moved and (said := _says(tasks[seen.path], seen)) is not None:
            says[seen.path] = said
    says = {**_of_the_run(tasks, sighting), **says}
    end = run_event(run, cancel_requested=cancel_requested) if run.is_final else None
    if end is not None:
        steps += _left_over(tasks, end, now=now)
    return Verdict(
        births=tuple(births),
        steps=tuple(steps),
        says={} if end else says,
        end=end,
        error=_error(run, sighting) if end is RunEvent.FAIL else None,
    )


def end_all(known: Known, why: Reason, *, event: RunEvent, now: datetime) -> Verdict:
    """The run ends although KFP does not say so: it never had it, or has lost it."""
    return Verdict(
        steps=tuple(_left_over(known, event, now=now, why=why)),
        end=event,
        error=why.text if event is RunEvent.FAIL else None,
    )


def _siblings(known: Known) -> dict[str, KnownTask]:
    """One task on record for each leaf of the IR."""
    found: dict[str, KnownTask] = {}
    for path, task in known.items():
        found.setdefault(in_the_ir(path), task)
    return found


def _of_leaves(
    seen: Iterable[TaskSighting], known: Known, siblings: Mapping[str, KnownTask]
) -> Iterator[TaskSighting]:
    """Sightings of leaf tasks; a sub-pipeline that was skipped as a whole is one of each leaf task in it."""
    for one in seen:
        leaf = in_the_ir(one.path)
        if leaf in siblings:
            yield one
        elif one.state is SightedState.SKIPPED:
            inside = (f"{one.path}.", f"{one.path}[")
            for path in known:
                if path.startswith(inside):
                    yield TaskSighting(path=path, state=one.state, message=one.message)


def _born(like: KnownTask, path: TaskPath) -> KnownTask:
    return KnownTask(
        path=path,
        state=TaskState.WAITING,
        task_class=like.task_class,
        placed=None,
        effort_flops=like.effort_flops,
        input_bytes=like.input_bytes,
    )


def _moves(task: KnownTask, seen: TaskSighting, *, canceled: bool, now: datetime) -> Iterator[Step]:
    if task.state in FINAL_TASK_STATES:
        return
    if seen.state is SightedState.SKIPPED:
        if task.state is not TaskState.RUNNING:
            yield _left_out(task, seen, canceled=canceled, now=now)
        return
    state = task.state
    if state is TaskState.WAITING:
        yield _sight(task, seen)
        state = TaskState.PLACED
    elif seen.attempts > task.attempt:
        yield _restart(task, seen, now)
        state = TaskState.PLACED
    if seen.state in _ENDS:
        yield _ended(task, seen, canceled=canceled, now=now)
    elif seen.state is SightedState.RUNNING and state is TaskState.PLACED:
        yield _start(task, seen, now)


def _sight(task: KnownTask, seen: TaskSighting) -> Step:
    text = "appeared in KFP"
    return Step(
        path=task.path,
        event=TaskEvent.SIGHT,
        reason=Reason(code=ReasonCode.PLACED, text=text),
        number=seen.attempts,
        failures=seen.attempts - 1,
        node=seen.node,
    )


def _restart(task: KnownTask, seen: TaskSighting, now: datetime) -> Step:
    text = f"attempt {task.attempt} failed; KFP tries it again"
    return Step(
        path=task.path,
        event=TaskEvent.RESTART,
        reason=Reason(code=ReasonCode.POD_FAILED, text=text),
        attempt_state=AttemptState.FAILED,
        number=seen.attempts,
        failures=seen.attempts - 1,
        finished_at=now,
        node=seen.node,
    )


def _start(task: KnownTask, seen: TaskSighting, now: datetime) -> Step:
    started, _ = _times(task, seen, now)
    return Step(
        path=task.path,
        event=TaskEvent.START,
        reason=Reason(code=ReasonCode.PLACED, text=f"runs on {_where(task, seen)}"),
        attempt_state=AttemptState.RUNNING,
        node=seen.node,
        started_at=started or now,
    )


def _ended(task: KnownTask, seen: TaskSighting, *, canceled: bool, now: datetime) -> Step:
    started, finished = _times(task, seen, now)
    event, state, reason = _end_of(task, seen, canceled=canceled)
    return Step(
        path=task.path,
        event=event,
        reason=reason,
        attempt_state=state,
        failures=max(task.attempt, seen.attempts) if event is TaskEvent.FAIL else None,
        node=seen.node,
        started_at=started,
        finished_at=finished,
        seconds=_seconds(seen) if event is TaskEvent.SUCCEED else None,
    )


def _end_of(task: KnownTask, seen: TaskSighting, *, canceled: bool) -> tuple[TaskEvent, AttemptState, Reason]:
    if seen.state is SightedState.SUCCEEDED:
        reason = Reason(code=ReasonCode.FINISHED, text=f"finished on {_where(task, seen)}")
        if seen.cached:
            reason = Reason(code=ReasonCode.CACHED, text="KFP took the result of an earlier run")
        return TaskEvent.SUCCEED, AttemptState.SUCCEEDED, reason
    if canceled:
        return TaskEvent.CANCEL, AttemptState.CANCELED, _CANCELED
    text = storable_text(seen.message or f"its pod on {_where(task, seen)} failed without a word")
    return TaskEvent.FAIL, AttemptState.FAILED, Reason(code=ReasonCode.POD_FAILED, text=text)


def _where(task: KnownTask, seen: TaskSighting) -> str:
    return str(seen.node or (task.placed.node if task.placed else "a node that KFP does not name"))


def _skip(task: KnownTask, why: Reason, now: datetime) -> Step:
    return Step(
        path=task.path,
        event=TaskEvent.SKIP,
        reason=why,
        attempt_state=AttemptState.CANCELED,
        finished_at=now,
    )


def _left_out(task: KnownTask, seen: TaskSighting, *, canceled: bool, now: datetime) -> Step:
    why = _why_skipped(seen)
    if canceled and why.code is not ReasonCode.CONDITION_NOT_MET:
        return _cancel(task, now)
    return _skip(task, why, now)


def _why_skipped(seen: TaskSighting) -> Reason:
    if (seen.message or "").startswith(_WHEN):
        return Reason(code=ReasonCode.CONDITION_NOT_MET, text="its condition is not met")
    text = storable_text(f"KFP left it out: {seen.message or 'what it needs did not succeed'}")
    return Reason(code=ReasonCode.UPSTREAM_SKIPPED, text=text)


def _says(task: KnownTask, seen: TaskSighting) -> Reason | None:
    """Why it still waits; None: nothing new, or it does not wait."""
    if task.state is not TaskState.PLACED or not seen.message:
        return None
    if seen.state is SightedState.UNSCHEDULABLE:
        said = Reason(code=ReasonCode.POD_UNSCHEDULABLE, text=storable_text(seen.message))
    else:
        said = Reason(code=ReasonCode.POD_PENDING, text=storable_text(seen.message))
    return None if said == task.reason else said


def _of_the_run(known: Known, sighting: RunSighting) -> dict[TaskPath, Reason]:
    """What keeps KFP's own first pod from a node keeps all of the run: its first tasks say so."""
    message = sighting.message or ""
    if sighting.tasks or not message.startswith("Unschedulable"):
        return {}
    said = Reason(
        code=ReasonCode.POD_UNSCHEDULABLE, text=storable_text(f"KFP's own pod of the run: {message}")
    )
    return {
        path: said
        for path, task in known.items()
        if task.state is TaskState.PLACED and not task.upstream and task.reason != said
    }


def _left_over(known: Known, end: RunEvent, *, now: datetime, why: Reason | None = None) -> Iterator[Step]:
    """What becomes of tasks of which nothing (more) was seen when their run ended."""
    for task in known.values():
        if task.state in FINAL_TASK_STATES:
            continue
        if task.state is TaskState.RUNNING:
            yield _cut_off(task, end, why=why, now=now)
        elif end is RunEvent.CANCEL:
            yield _cancel(task, now)
        else:
            yield _skip(task, why or _NOT_NEEDED, now)


def _cut_off(task: KnownTask, end: RunEvent, *, why: Reason | None, now: datetime) -> Step:
    """It ran when it was last seen."""
    if end is RunEvent.CANCEL:
        return _cancel(task, now)
    good = end is RunEvent.SUCCEED
    text = f"its run ended{' well' if good else ''}, and KFP does not say more of it"
    code = ReasonCode.FINISHED if good else ReasonCode.POD_FAILED
    return Step(
        path=task.path,
        event=TaskEvent.SUCCEED if good else TaskEvent.FAIL,
        reason=why or Reason(code=code, text=text),
        attempt_state=AttemptState.SUCCEEDED if good else AttemptState.FAILED,
        failures=None if good else max(task.attempt, 1),
        finished_at=now,
    )


def _cancel(task: KnownTask, now: datetime) -> Step:
    return Step(
        path=task.path,
        event=TaskEvent.CANCEL,
        reason=_CANCELED,
        attempt_state=AttemptState.CANCELED,
        finished_at=now,
    )


def _after(task: KnownTask, steps: Iterable[Step]) -> KnownTask:
    """The task once it has made these moves."""
    for step in steps:
        task = replace(task, state=next_task_state(task.state, step.event))
    return task


def _error(run: KfpRun, sighting: RunSighting) -> str:
    if run.state is KfpState.FAILED and (sighting.message or run.error):
        return storable_text(f"KFP: {sighting.message or run.error}")
    return "KFP ended the run as failed, without a word"


def _times(task: KnownTask, seen: TaskSighting, now: datetime) -> tuple[datetime | None, datetime | None]:
    """Start and end on our clock: shifted together, so that it took as long as KFP says, between its placement and now."""
    began = task.placed.placed_at if task.placed else None
    ended = (seen.ended_at or now) if seen.state in _ENDS else None
    started = seen.started_at
    if started is None:
        return (task.placed.started_at if task.placed else None), (now if ended else None)
    if began is not None and started < began:
        ended = None if ended is None else ended + (began - started)
        started = began
    if ended is not None and ended > now:
        started, ended = max(began or started, started - (ended - now)), now
    started = min(started, max(began or now, now))
    return started, None if ended is None else max(started, ended)


def _seconds(seen: TaskSighting) -> float | None:
    if seen.cached or seen.started_at is None or seen.ended_at is None:
        return None
    # KFP's times are whole seconds: what ended in the second in which it began took half of one, say.
    return max(0.5, (seen.ended_at - seen.started_at).total_seconds())
