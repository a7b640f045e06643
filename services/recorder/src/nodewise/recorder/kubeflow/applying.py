"""Writes what the journal decided: per batch of runs one transaction, locks in the order of the schema's docstring."""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import zip_longest
from typing import Any, Final

from sqlalchemy import Connection, Engine, Row

from nodewise.core.db.engine import transaction
from nodewise.core.db.queries import attempts, estimates, lives
from nodewise.core.db.queries import kubeflow_following as queries
from nodewise.core.db.queries.attempts import AttemptUpdate
from nodewise.core.db.queries.bookings import book, release
from nodewise.core.db.queries.lives import OpenRun
from nodewise.core.db.queries.moves import TaskMove, move_run, move_tasks
from nodewise.core.db.queries.placements import NewAttempt, insert_attempts
from nodewise.core.estimates.learning import Observation
from nodewise.core.lifecycle import (
    FINAL_TASK_STATES,
    LIVE_ATTEMPT_STATES,
    RunEvent,
    RunState,
    TaskEvent,
    TaskState,
    next_task_state,
)
from nodewise.core.model.decision import Placement, Reason, ReasonCode
from nodewise.core.model.ids import AttemptKey, NodeName, RunId, TaskPath, TaskRef
from nodewise.recorder.kubeflow.births import give_birth
from nodewise.recorder.kubeflow.known import KnownTask, Placed, Step, Verdict, observation

Judge = Callable[[Connection, OpenRun, Mapping[TaskPath, KnownTask]], Verdict | None]
"""Says of a locked run, with its tasks on record, what changes; None: nothing."""

_SERVICE: Final = "recorder"
_FOREVER: Final = timedelta(days=36_500)


@dataclass(frozen=True, slots=True, kw_only=True)
class Applied:
    """What was written: tasks that moved by event, attempts that began to run, how many ended, runs that ended."""

    events: tuple[TaskEvent, ...] = ()
    started: frozenset[AttemptKey] = frozenset()
    ended: frozenset[AttemptKey] = frozenset()
    ended_runs: tuple[RunId, ...] = ()

    def __add__(self, other: "Applied") -> "Applied":
        return Applied(
            events=self.events + other.events,
            started=self.started | other.started,
            ended=self.ended | other.ended,
            ended_runs=self.ended_runs + other.ended_runs,
        )


def apply(connection: Connection, run_ids: Sequence[RunId], judge: Judge, *, now: datetime) -> Applied:
    """Lock the runs, judge them, write all that follows. Doing it again changes nothing.

    1. Lock those that have not ended, read their tasks, judge.
    2. Births, moves round by round, reasons; the runs themselves.
    3. Attempts, then bookings; what is learned comes last, as in the order of locks.
    """
    runs = lives.lock_open_runs(connection, run_ids)
    known = _known(queries.tasks_of(connection, [run.id for run in runs]))
    work = _Work(now=now)
    for run in runs:
        tasks = known.get(run.id, {})
        verdict = judge(connection, run, tasks)
        if verdict is not None:
            work.take(connection, run, tasks, verdict)
    work.write(connection)
    return work.applied()


def book_started(engine: Engine, started: frozenset[AttemptKey]) -> None:
    """Book the room of what began to run, where there is room: Kubernetes has decided already, this is the record of it."""
    if not started:
        return
    with transaction(engine) as connection:
        book(connection, queries.unbooked(connection, started), also_cordoned=True)


@dataclass(frozen=True, slots=True)
class _Subject:
    """A task that moves, and the attempt with which it begins, where it is new."""

    run_id: RunId
    task: KnownTask
    begins: NewAttempt | None

    def key(self, number: int) -> AttemptKey:
        return AttemptKey(run_id=self.run_id, path=self.task.path, attempt=number)


class _Work:
    """All that one transaction writes. Mutable within it only."""

    def __init__(self, *, now: datetime) -> None:
        self._now = now
        self._rounds: list[list[TaskMove]] = []
        self._closed: list[AttemptUpdate] = []
        self._begun: list[NewAttempt] = []
        self._updates: list[AttemptUpdate] = []
        self._seen: dict[AttemptKey, NodeName] = {}
        self._says: dict[TaskRef, Reason] = {}
        self._outcomes: list[tuple[datetime, AttemptKey, Observation]] = []
        self._ends: list[tuple[OpenRun, Verdict]] = []
        self._runs: list[tuple[OpenRun, bool, datetime | None]] = []
        self._events: list[TaskEvent] = []
        self._ended_runs: list[RunId] = []

    def take(
        self,
        connection: Connection,
        run: OpenRun,
        tasks: Mapping[TaskPath, KnownTask],
        verdict: Verdict,
    ) -> None:
        born = give_birth(connection, run.id, verdict.births, now=self._now)
        known = {**tasks, **{path: one.task for path, one in born.items()}}
        chains: dict[TaskPath, list[Step]] = defaultdict(list)
        for step in verdict.steps:
            chains[step.path].append(step)
        moves = []
        for path, steps in chains.items():
            begins = born[path].attempt if path in born else None
            moves.append(self._chain(_Subject(run.id, known[path], begins), steps))
        for number, layer in enumerate(zip_longest(*moves)):
            while len(self._rounds) <= number:
                self._rounds.append([])
            self._rounds[number] += [move for move in layer if move is not None]
        self._says |= {TaskRef(run_id=run.id, path=path): why for path, why in verdict.says.items()}
        started = [step.started_at for step in verdict.steps if step.started_at is not None]
        ran = bool(started) or any(task.state is TaskState.RUNNING for task in tasks.values())
        self._runs.append((run, ran, min(started, default=None)))
        if verdict.end is not None:
            self._ends.append((run, verdict))

    def write(self, connection: Connection) -> None:
        for moves in self._rounds:
            move_tasks(connection, moves, service=_SERVICE)
            self._events += [move.event for move in moves]
        queries.say(connection, self._says)
        self._move_runs(connection)
        attempts.save_updates(connection, self._closed)
        for new in self._begun:
            insert_attempts(connection, [new], placer=_SERVICE, now=self._now, lease=_FOREVER)
        attempts.save_updates(connection, self._updates)
        queries.correct_nodes(connection, self._seen)
        ended = self.applied().ended
        if ended:
            release(connection, ended, at=self._now)
        learned = [seen for _, _, seen in sorted(self._outcomes, key=lambda one: one[:2])]
        estimates.record_outcomes(connection, learned, at=self._now)

    def applied(self) -> Applied:
        updates = [*self._closed, *self._updates]
        return Applied(
            events=tuple(self._events),
            started=frozenset(one.key for one in updates if one.state in LIVE_ATTEMPT_STATES),
            ended=frozenset(one.key for one in updates if one.state not in LIVE_ATTEMPT_STATES),
            ended_runs=tuple(self._ended_runs),
        )

    def _chain(self, subject: "_Subject", steps: Sequence[Step]) -> list[TaskMove]:
        """The moves of one task, each from the state that the one before leaves."""
        moves, state, number = [], subject.task.state, subject.task.attempt
        for step in steps:
            self._attempt(subject, step, number)
            number = step.number or number
            moves.append(_move(subject, step, state, number=number, now=self._now))
            state = next_task_state(state, step.event)
        return moves

    def _attempt(self, subject: "_Subject", step: Step, number: int) -> None:
        """What a step does to the task's attempts, of which the latest has that number."""
        placed = subject.task.placed
        if step.attempt_state is not None and number:
            update = _update(subject.key(number), step, self._now)
            (self._closed if step.event is TaskEvent.RESTART else self._updates).append(update)
        if step.event is TaskEvent.SIGHT and subject.begins is not None:
            self._begun.append(replace(subject.begins, key=subject.key(step.number or 1)))
        if step.event is TaskEvent.RESTART and placed is not None:
            self._begun.append(_again(subject.key(step.number or number + 1), placed))
        if step.node is not None:
            self._seen[subject.key(step.number or number)] = step.node
        if step.seconds is not None and placed is not None:
            learned = observation(subject.task, placed, step.seconds)
            self._outcomes.append((step.finished_at or self._now, subject.key(number), learned))

    def _move_runs(self, connection: Connection) -> None:
        lives.mark_scheduled(connection, sorted(run.id for run, _, _ in self._runs))
        states = {
            run.id: _begun(connection, run, ran=ran, first=first, now=self._now)
            for run, ran, first in self._runs
        }
        for run, verdict in self._ends:
            if _end(connection, run.id, states[run.id], verdict, now=self._now):
                self._ended_runs.append(run.id)


def _begun(
    connection: Connection, run: OpenRun, *, ran: bool, first: datetime | None, now: datetime
) -> RunState:
    """The run's state after its first start and its request to cancel, if there are any."""
    state = run.state
    if state is RunState.PENDING and ran:
        move_run(connection, run.id, state, RunEvent.START, at=max(run.submitted_at, first or now))
        state = RunState.RUNNING
    if run.cancel_requested and state is not RunState.CANCELING:
        move_run(connection, run.id, state, RunEvent.REQUEST_CANCEL, at=now)
        state = RunState.CANCELING
    return state


def _end(connection: Connection, run_id: RunId, state: RunState, verdict: Verdict, *, now: datetime) -> bool:
    event = verdict.end
    if event is None:
        return False
    if event is RunEvent.CANCEL and state is not RunState.CANCELING:
        move_run(connection, run_id, state, RunEvent.REQUEST_CANCEL, at=now)
        state = RunState.CANCELING
    if state is RunState.CANCELING:
        event = RunEvent.CANCEL
    error = _error(connection, run_id, verdict) if event is RunEvent.FAIL else None
    return move_run(connection, run_id, state, event, at=now, error=error)


def _error(connection: Connection, run_id: RunId, verdict: Verdict) -> str | None:
    failures = lives.failures(connection, run_id)
    if not failures:
        return verdict.error
    path, reason = next(iter(failures.items()))
    return f"task {path!r} failed: {reason or 'no reason was reported'}"


def _move(subject: _Subject, step: Step, state: TaskState, *, number: int, now: datetime) -> TaskMove:
    task = subject.task
    final = next_task_state(state, step.event) in FINAL_TASK_STATES
    return TaskMove(
        ref=TaskRef(run_id=subject.run_id, path=task.path),
        state=state,
        event=step.event,
        at=now,
        reason=step.reason,
        attempt=number or None,
        failures=None if step.failures is None else min(step.failures, number),
        node=step.node or (task.placed.node if task.placed else None),
        started_at=step.started_at,
        finished_at=(step.finished_at or now) if final else None,
    )


def _update(key: AttemptKey, step: Step, now: datetime) -> AttemptUpdate:
    assert step.attempt_state is not None  # noqa: S101 - the caller looked
    live = step.attempt_state in LIVE_ATTEMPT_STATES
    return AttemptUpdate(
        key=key,
        state=step.attempt_state,
        accepted_at=now,
        started_at=step.started_at,
        finished_at=None if live else step.finished_at or now,
        end_code=None if live else step.reason.code.value,
        end_message=None if live else step.reason.text,
    )


def _again(key: AttemptKey, placed: Placed) -> NewAttempt:
    """The attempt that KFP makes by itself: bound as the one before."""
    why = Reason(code=ReasonCode.PLACED, text="KFP tries it again where it is bound to")
    return NewAttempt(
        key=key,
        placement=Placement(ref=key.task, node=placed.node, reason=why),
        node_class=placed.node_class,
        policy=placed.policy,
        strategy=placed.strategy,
    )


def _known(rows: Sequence[Row[Any]]) -> dict[RunId, dict[TaskPath, KnownTask]]:
    found: dict[RunId, dict[TaskPath, KnownTask]] = {}
    for row in rows:
        path = TaskPath(row.path)
        found.setdefault(RunId(str(row.run_id)), {})[path] = KnownTask(
            path=path,
            state=TaskState(row.state),
            task_class=row.task_class,
            placed=None if row.attempt is None else _placed(row),
            upstream=tuple(TaskPath(up) for up in row.upstream),
            reason=Reason(code=ReasonCode(row.reason_code), text=row.reason or "")
            if row.reason_code
            else None,
            effort_flops=row.effort_flops,
            input_bytes=row.input_bytes,
        )
    return found


def _placed(row: Row[Any]) -> Placed:
    return Placed(
        number=row.attempt,
        node=NodeName(row.node),
        node_class=row.node_class,
        policy=row.policy,
        strategy=row.strategy,
        placed_at=row.placed_at,
        started_at=row.started_at,
        accelerator=row.accelerator,
        capacity_millicores=row.capacity_millicores,
    )
