"""Moves locked runs on as far as their tasks allow: what becomes ready, what is skipped, canceled, ended."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from sqlalchemy import Connection

from nodewise.core.db.queries import lives
from nodewise.core.db.queries.lives import OpenRun
from nodewise.core.db.queries.moves import TaskMove, move_run, move_tasks
from nodewise.core.ir import advance
from nodewise.core.lifecycle import FINAL_TASK_STATES, RunEvent, RunState, TaskEvent, TaskState
from nodewise.core.model.decision import Reason, ReasonCode
from nodewise.core.model.ids import RunId, TaskPath, TaskRef
from nodewise.core.model.pipeline import Pipeline, PipelineTask, PythonComponent
from nodewise.core.model.task import TaskSpec

SERVICE: Final = "recorder"
_CACHED_PIPELINES: Final = 256
_HAS_RUN: Final = frozenset({TaskState.RUNNING, TaskState.SUCCEEDED, TaskState.FAILED})
_NOT_PLACED: Final = frozenset({TaskState.WAITING, TaskState.READY, TaskState.ADMITTED})

States = Mapping[TaskPath, TaskState]


class PipelineShapes:
    """The shape of each pipeline (who needs whom), read once from the rows of its tasks.

    The interpreter needs no more, and a run goes on even if a newer reader refuses its IR.
    """

    def __init__(self) -> None:
        self._by_digest: dict[str, Pipeline] = {}

    def of(self, connection: Connection, run: OpenRun, states: States) -> Pipeline:
        known = self._by_digest.get(run.spec_digest)
        if known is not None and known.tasks.keys() == states.keys():
            return known
        if len(self._by_digest) >= _CACHED_PIPELINES:
            self._by_digest.pop(next(iter(self._by_digest)))
        shape = _shape(connection, run.id)
        self._by_digest[run.spec_digest] = shape
        return shape


@dataclass(frozen=True, slots=True, kw_only=True)
class Settled:
    """What moved: tasks by event, and the runs that ended."""

    events: tuple[TaskEvent, ...] = ()
    ended: tuple[RunId, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Step:
    run: OpenRun
    moves: tuple[TaskMove, ...]
    outcome: RunState | None


def settle(
    connection: Connection,
    runs: Sequence[OpenRun],
    shapes: PipelineShapes,
    *,
    starts: Mapping[RunId, datetime],
    now: datetime,
) -> Settled:
    """Advance locked runs after their tasks moved. Doing it again changes nothing.

    Args:
        connection: A transaction that holds the locks.
        runs: Locked by this transaction.
        shapes: The pipelines' shapes.
        starts: The earliest start of a task that was just heard of, by run.
        now: The time of all that happens here.
    """
    states = lives.task_states(connection, [run.id for run in runs])
    runs = [_begun(connection, run, states[run.id], starts=starts, now=now) for run in runs]
    steps = [_step(connection, run, states[run.id], shapes, now=now) for run in runs]
    moves = [move for step in steps for move in step.moves]
    moved = move_tasks(connection, moves, service=SERVICE)
    ended = [step.run.id for step in steps if _close(connection, step, moved, now=now)]
    return Settled(
        events=tuple(move.event for move in moves if move.ref in moved),
        ended=tuple(ended),
    )


def _begun(
    connection: Connection, run: OpenRun, states: States, *, starts: Mapping[RunId, datetime], now: datetime
) -> OpenRun:
    """The run after its first start and its request to cancel, if there are any."""
    state = run.state
    if state is RunState.PENDING and (run.id in starts or _HAS_RUN & set(states.values())):
        at = max(run.submitted_at, starts.get(run.id, now))
        move_run(connection, run.id, state, RunEvent.START, at=at)
        state = RunState.RUNNING
    if run.cancel_requested and state is not RunState.CANCELING:
        move_run(connection, run.id, state, RunEvent.REQUEST_CANCEL, at=now)
        state = RunState.CANCELING
    return replace(run, state=state)


def _step(
    connection: Connection, run: OpenRun, states: States, shapes: PipelineShapes, *, now: datetime
) -> _Step:
    if run.state is RunState.CANCELING:
        return _canceled(run, states, now=now)
    return _advanced(run, states, shapes.of(connection, run, states), now=now)


def _canceled(run: OpenRun, states: States, *, now: datetime) -> _Step:
    reason = Reason(code=ReasonCode.RUN_CANCELED, text="the run was canceled")
    moves = tuple(
        _move(run, path, TaskEvent.CANCEL, state=state, reason=reason, now=now)
        for path, state in states.items()
        if state in _NOT_PLACED
    )
    live = any(state not in FINAL_TASK_STATES | _NOT_PLACED for state in states.values())
    return _Step(run=run, moves=moves, outcome=None if live else RunState.CANCELED)


def _advanced(run: OpenRun, states: States, pipeline: Pipeline, *, now: datetime) -> _Step:
    step = advance(pipeline, states)
    queued = Reason(code=ReasonCode.QUEUED, text="its inputs are there")
    moves = [
        _move(run, path, TaskEvent.INPUTS_READY, state=states[path], reason=queued, now=now)
        for path in step.ready
    ]
    after = dict(states) | dict.fromkeys(step.skipped, TaskState.SKIPPED)
    moves += [
        _move(
            run, path, TaskEvent.SKIP, state=states[path], reason=_why_skipped(pipeline, path, after), now=now
        )
        for path in step.skipped
    ]
    return _Step(run=run, moves=tuple(moves), outcome=step.outcome)


def _why_skipped(pipeline: Pipeline, path: TaskPath, states: States) -> Reason:
    """Names the first of its upstream tasks that did not succeed."""
    upstream = pipeline.tasks[path].spec.upstream
    culprit = next((name for name in upstream if states[name] is not TaskState.SUCCEEDED), None)
    text = f"needs {culprit!r}, which is {states[culprit].value}" if culprit else "its upstream failed"
    return Reason(code=ReasonCode.UPSTREAM_FAILED, text=text)


def _move(
    run: OpenRun, path: TaskPath, event: TaskEvent, *, state: TaskState, reason: Reason, now: datetime
) -> TaskMove:
    final = event is not TaskEvent.INPUTS_READY
    return TaskMove(
        ref=TaskRef(run_id=run.id, path=path),
        state=state,
        event=event,
        at=now,
        reason=reason,
        finished_at=now if final else None,
    )


def _close(connection: Connection, step: _Step, moved: set[TaskRef], *, now: datetime) -> bool:
    """End the run, if all that had to move did (a placer may have taken a task that was to be canceled)."""
    if step.outcome is None or any(move.ref not in moved for move in step.moves):
        return False
    event = _last_event(step)
    error = _error(connection, step.run.id) if event is RunEvent.FAIL else None
    return move_run(connection, step.run.id, step.run.state, event, at=now, error=error)


def _last_event(step: _Step) -> RunEvent:
    if step.run.state is RunState.CANCELING:
        return RunEvent.CANCEL
    return RunEvent.SUCCEED if step.outcome is RunState.SUCCEEDED else RunEvent.FAIL


def _error(connection: Connection, run_id: RunId) -> str:
    failure = lives.first_failure(connection, run_id)
    if failure is None:
        return "a task did not succeed"
    path, reason = failure
    return f"task {path!r} failed: {reason or 'no reason was reported'}"


def _shape(connection: Connection, run_id: RunId) -> Pipeline:
    code = PythonComponent(source="", function="")
    tasks = {
        path: PipelineTask(spec=TaskSpec(path=path, component=component, upstream=upstream), code=code)
        for path, component, upstream in lives.upstream_of_tasks(connection, run_id)
    }
    return Pipeline(name="", tasks=tasks)
