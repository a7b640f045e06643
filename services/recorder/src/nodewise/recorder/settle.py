"""Moves locked runs on as far as their tasks allow: what is born, becomes ready, is skipped, canceled, ended."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from sqlalchemy import Connection

from nodewise.core.db.queries import lives
from nodewise.core.db.queries.lives import OpenRun, RunTask
from nodewise.core.db.queries.moves import TaskMove, move_run, move_tasks
from nodewise.core.db.queries.new_tasks import insert_tasks
from nodewise.core.errors import InvalidPipeline
from nodewise.core.ir import Program
from nodewise.core.ir.locate import tried_again
from nodewise.core.lifecycle import FINAL_TASK_STATES, RunEvent, RunState, TaskEvent, TaskState
from nodewise.core.model.decision import Reason, ReasonCode
from nodewise.core.model.ids import RunId, TaskPath, TaskRef
from nodewise.recorder.course import NOT_PLACED, Course, Library, cancellations, course
from nodewise.recorder.library import RecordLibrary
from nodewise.recorder.programs import Programs

SERVICE: Final = "recorder"
_HAS_RUN: Final = frozenset({TaskState.RUNNING, TaskState.SUCCEEDED, TaskState.FAILED})

Tasks = Mapping[TaskPath, RunTask]


@dataclass(frozen=True, slots=True, kw_only=True)
class Settled:
    """What moved: tasks by event, and the runs that ended."""

    events: tuple[TaskEvent, ...] = ()
    ended: tuple[RunId, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Step:
    run: OpenRun
    tasks: Tasks
    course: Course


def settle(
    connection: Connection,
    runs: Sequence[OpenRun],
    programs: Programs,
    *,
    starts: Mapping[RunId, datetime],
    now: datetime,
) -> Settled:
    """Advance locked runs after their tasks moved. Doing it again changes nothing.

    Args:
        connection: A transaction that holds the locks.
        runs: Locked by this transaction.
        programs: The pipelines.
        starts: The earliest start of a task that was just heard of, by run.
        now: The time of all that happens here.
    """
    if not runs:
        return Settled()
    read = programs.load(connection, {run.spec_digest for run in runs})
    tasks = lives.tasks_of_runs(connection, [run.id for run in runs])
    library = RecordLibrary(connection)
    runs = [_begun(connection, run, tasks[run.id], starts=starts, now=now) for run in runs]
    canceled = [move for run in runs for move in cancellations(run, tasks[run.id], now=now)]
    moved = move_tasks(connection, canceled, service=SERVICE)
    tasks = _after(tasks, canceled, moved)
    steps = [_step(run, tasks[run.id], read[run.spec_digest], library, now=now) for run in runs]
    moves = [*canceled, *(move for step in steps for move in step.course.moves)]
    moved |= _write(connection, steps, moves[len(canceled) :], now=now)
    ended = [step.run.id for step in steps if _close(connection, step, moved, now=now)]
    lives.mark_settled(connection, [run.id for run in runs], at=now)
    return Settled(
        events=tuple(move.event for move in moves if move.ref in moved),
        ended=tuple(ended),
    )


def _begun(
    connection: Connection, run: OpenRun, tasks: Tasks, *, starts: Mapping[RunId, datetime], now: datetime
) -> OpenRun:
    """The run after its first start and its request to cancel, if there are any."""
    state = run.state
    has_run = any(task.row.state in _HAS_RUN for task in tasks.values())
    if state is RunState.PENDING and (run.id in starts or has_run):
        at = max(run.submitted_at, starts.get(run.id, now))
        move_run(connection, run.id, state, RunEvent.START, at=at)
        state = RunState.RUNNING
    if run.cancel_requested and state is not RunState.CANCELING:
        move_run(connection, run.id, state, RunEvent.REQUEST_CANCEL, at=now)
        state = RunState.CANCELING
    return replace(run, state=state)


def _after(
    tasks: Mapping[RunId, Tasks], canceled: Sequence[TaskMove], moved: set[TaskRef]
) -> Mapping[RunId, Tasks]:
    """The tasks after these cancellations. What could not be canceled, a placer took meanwhile."""
    after = {run_id: dict(of_run) for run_id, of_run in tasks.items()}
    for move in canceled:
        task = after[move.ref.run_id][move.ref.path]
        state = TaskState.CANCELED if move.ref in moved else TaskState.PLACED
        row = replace(task.row, state=state, message=move.reason.text)
        after[move.ref.run_id][move.ref.path] = replace(task, row=row)
    return after


def _step(
    run: OpenRun, tasks: Tasks, program: Program | InvalidPipeline, library: Library, *, now: datetime
) -> _Step:
    if isinstance(program, InvalidPipeline):
        return _Step(run=run, tasks=tasks, course=_unreadable(run, tasks, program, now=now))
    return _Step(run=run, tasks=tasks, course=course(run, tasks, program, library, now=now))


def _unreadable(run: OpenRun, tasks: Tasks, error: InvalidPipeline, *, now: datetime) -> Course:
    """Nothing more of it can start; what runs may end."""
    text = f"its pipeline cannot be read by this release: {error}"
    waiting = {
        path: task.row.state
        for path, task in tasks.items()
        if task.row.state in NOT_PLACED or task.row.state is TaskState.WAITING
    }
    live = any(task.row.state not in FINAL_TASK_STATES for path, task in tasks.items() if path not in waiting)
    moves = tuple(
        TaskMove(
            ref=TaskRef(run_id=run.id, path=path),
            state=state,
            event=TaskEvent.SKIP,
            at=now,
            reason=Reason(code=ReasonCode.INPUT_UNRESOLVED, text=text),
            finished_at=now,
        )
        for path, state in waiting.items()
    )
    return Course(moves=moves, outcome=None if live else RunState.FAILED, reason=text)


def _write(
    connection: Connection, steps: Sequence[_Step], moves: Sequence[TaskMove], *, now: datetime
) -> set[TaskRef]:
    """Births first: a task may be born and moved at once."""
    for step in steps:
        insert_tasks(
            connection, step.run.id, step.course.births, first=len(step.tasks), at=now, service=SERVICE
        )
    lives.update_upstream(connection, {ref: up for step in steps for ref, up in step.course.upstream.items()})
    return move_tasks(connection, moves, service=SERVICE)


def _close(connection: Connection, step: _Step, moved: set[TaskRef], *, now: datetime) -> bool:
    """End the run, if all that had to move did."""
    outcome = step.course.outcome
    if outcome is None or any(move.ref not in moved for move in step.course.moves):
        return False
    event = _last_event(step.run, outcome)
    error = _error(connection, step) if event is RunEvent.FAIL else None
    lives.save_outputs(connection, step.run.id, step.course.outputs)
    return move_run(connection, step.run.id, step.run.state, event, at=now, error=error)


def _last_event(run: OpenRun, outcome: RunState) -> RunEvent:
    if run.state is RunState.CANCELING:
        return RunEvent.CANCEL
    return RunEvent.SUCCEED if outcome is RunState.SUCCEEDED else RunEvent.FAIL


def _error(connection: Connection, step: _Step) -> str:
    """What broke the run first. A failure in a sub-pipeline that was tried again broke nothing."""
    overcome = tried_again([*step.tasks, *(birth.spec.path for birth in step.course.births)])
    for path, reason in lives.failures(connection, step.run.id).items():
        if path not in overcome:
            return f"task {path!r} failed: {reason or 'no reason was reported'}"
    return step.course.reason or "a task did not succeed"
