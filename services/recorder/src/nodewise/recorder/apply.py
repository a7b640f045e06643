"""Writes what the journal decided: per batch of runs one transaction, locks in the order of the schema's docstring."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy import Connection, Row

from nodewise.core.codec import decode
from nodewise.core.db.queries import attempts, cached_results, estimates, lives
from nodewise.core.db.queries.attempts import AttemptUpdate
from nodewise.core.db.queries.bookings import release
from nodewise.core.db.queries.lives import OpenRun
from nodewise.core.db.queries.moves import TaskMove, move_tasks
from nodewise.core.estimates.learning import Observation
from nodewise.core.lifecycle import (
    FINAL_TASK_STATES,
    AttemptState,
    RunState,
    TaskEvent,
    TaskState,
    next_task_state,
)
from nodewise.core.model.ids import AttemptKey, NodeName, RunId
from nodewise.core.model.task import RetryPolicy
from nodewise.recorder.journal import Change, LiveAttempt
from nodewise.recorder.programs import Programs
from nodewise.recorder.settle import SERVICE, settle
from nodewise.recorder.storable import storable_text

Judge = Callable[[Connection, Sequence[RunId]], Sequence[Change]]
"""Reads the live attempts of locked runs and says what becomes of them."""

_LARGEST_INT = 2**31 - 1
_NEW_WORK = frozenset({TaskEvent.INPUTS_READY, TaskEvent.RETRY, TaskEvent.LOSE})
_NOTHING_FOLLOWS = frozenset({TaskEvent.START, TaskEvent.RETRY, TaskEvent.LOSE})
"""The task has not ended, so nobody's inputs are there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Effects:
    """What was written, for those who act on it: the ended attempts, the events fired, the runs that ended."""

    ended_attempts: frozenset[AttemptKey] = frozenset()
    events: tuple[TaskEvent, ...] = ()
    ended_runs: tuple[RunId, ...] = ()

    @property
    def worth_a_look(self) -> bool:
        """Whether the scheduler has something new to decide: room became free, or tasks became ready."""
        return bool(self.ended_attempts) or not _NEW_WORK.isdisjoint(self.events)

    def __add__(self, other: "Effects") -> "Effects":
        return Effects(
            ended_attempts=self.ended_attempts | other.ended_attempts,
            events=self.events + other.events,
            ended_runs=self.ended_runs + other.ended_runs,
        )


def live_attempt(row: "Row[tuple[object, ...]]") -> LiveAttempt:
    """A row of `queries.attempts` as the journal reads it."""
    return LiveAttempt(
        key=attempts.attempt_key(row),
        state=AttemptState(row.state),
        task_state=TaskState(row.task_state),
        node=NodeName(row.node),
        node_class=row.node_class,
        task_class=row.task_class,
        placed_at=row.placed_at,
        lease_until=row.lease_until,
        accepted_at=row.accepted_at,
        started_at=row.started_at,
        failures=row.failures,
        retry=decode(RetryPolicy, row.retry or {}),
        cancel_requested=row.cancel_requested,
        effort_flops=row.effort_flops,
        input_bytes=row.input_bytes,
        capacity_millicores=row.capacity_millicores,
        accelerator=row.accelerator,
        cacheable=row.cacheable,
    )


def apply_to_runs(
    connection: Connection, run_ids: Sequence[RunId], judge: Judge, programs: Programs, *, now: datetime
) -> Effects:
    """Lock the runs, judge their live attempts, write all that follows. Doing it again changes nothing.

    1. Lock the runs that are open; their attempts cannot change under us from here on.
    2. Judge, move the tasks, move the runs on (tasks come before node_loads in the order of locks).
    3. Close the attempts, release their bookings, learn from their outcomes (whose locks come last of all).
    """
    runs = lives.lock_open_runs(connection, run_ids)
    changes = judge(connection, [run.id for run in runs])
    moved = move_tasks(connection, [_task_move(change, now) for change in changes], service=SERVICE)
    changes = [change for change in changes if change.key.task in moved]
    lives.mark_scheduled(connection, _first_placed(runs, changes))
    reusable = [
        change.key.task
        for change in changes
        if change.event is TaskEvent.SUCCEED and change.attempt.cacheable
    ]
    cached_results.store_results(connection, reusable, at=now)
    moving = _that_move_on(runs, changes)
    settled = settle(connection, moving, programs, starts=_first_starts(changes), now=now)
    attempts.save_updates(connection, [_attempt_update(change, now) for change in changes])
    ended = [change.key for change in changes if change.ended]
    if ended:
        release(connection, ended, at=now)
    estimates.record_outcomes(connection, _outcomes(changes), at=now)
    return Effects(
        ended_attempts=frozenset(ended),
        events=tuple(change.event for change in changes) + settled.events,
        ended_runs=settled.ended,
    )


def _first_placed(runs: Sequence[OpenRun], changes: Sequence[Change]) -> list[RunId]:
    """The runs whose first placement has not been noted yet, and of which something was heard."""
    heard = {change.key.run_id for change in changes}
    return [run.id for run in runs if run.id in heard and not run.placed_before]


def _that_move_on(runs: Sequence[OpenRun], changes: Sequence[Change]) -> list[OpenRun]:
    """All but the runs under way of which nothing was heard but that tasks started, or are to be tried again."""
    events: dict[RunId, set[TaskEvent]] = {}
    for change in changes:
        events.setdefault(change.key.run_id, set()).add(change.event)
    return [
        run
        for run in runs
        if run.state is not RunState.RUNNING
        or run.cancel_requested
        or not events.get(run.id)
        or not events[run.id] <= _NOTHING_FOLLOWS
    ]


def _task_move(change: Change, now: datetime) -> TaskMove:
    final = next_task_state(change.attempt.task_state, change.event) in FINAL_TASK_STATES
    return TaskMove(
        ref=change.key.task,
        state=change.attempt.task_state,
        event=change.event,
        at=now,
        reason=change.reason,
        failures=change.failures,
        node=change.attempt.node,
        not_before=change.not_before,
        started_at=change.started_at,
        finished_at=change.finished_at if final else None,
        outputs=change.outputs,
    )


def _attempt_update(change: Change, now: datetime) -> AttemptUpdate:
    report = change.report
    update = AttemptUpdate(
        key=change.key,
        state=change.state,
        accepted_at=now if report else None,
        started_at=change.started_at,
        finished_at=change.finished_at,
        log_key=report.log_key if report else None,
    )
    if not change.ended:
        return update
    if report is None:
        return replace(update, end_code=change.reason.code.value, end_message=change.reason.text)
    return replace(
        update,
        exit_code=_int4(report.exit_code),
        end_code=(report.reason or change.reason.code).value,
        end_message=storable_text(report.message or change.reason.text),
        peak_memory_mib=_int4(report.peak_memory_mib),
        cpu_seconds=_finite(report.cpu_seconds),
    )


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def _int4(value: int | None) -> int | None:
    return None if value is None else max(-_LARGEST_INT, min(value, _LARGEST_INT))


def _first_starts(changes: Sequence[Change]) -> Mapping[RunId, datetime]:
    first: dict[RunId, datetime] = {}
    for change in changes:
        if change.started_at is not None:
            run_id = change.key.run_id
            first[run_id] = min(change.started_at, first.get(run_id, change.started_at))
    return first


def _outcomes(changes: Sequence[Change]) -> list[Observation]:
    """Oldest first, in one order whatever the order of the changes."""
    ended = [(change.finished_at, change.key, change.outcome) for change in changes if change.finished_at]
    return [seen for _, _, seen in sorted(ended, key=lambda end: end[:2]) if seen is not None]
