"""The scheduler's look at the rows: load a snapshot, let `cycle.plan` decide, write what it says, wake the placers."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from random import Random
from typing import Final

import structlog
from prometheus_client import Counter, Gauge, Histogram
from sqlalchemy import Connection, Engine

from nodewise.core.db.engine import reading, transaction
from nodewise.core.db.queries.moves import TaskMove, move_tasks
from nodewise.core.db.queries.queue import (
    any_open,
    last_position,
    lock_ready,
    try_lock_cycle,
    update_expected,
    update_reasons,
)
from nodewise.core.lifecycle import TaskEvent, TaskState
from nodewise.core.messages import WAKE_PLACER
from nodewise.core.messaging.wake import Waker
from nodewise.core.model.decision import Reason, ReasonCode
from nodewise.core.model.ids import TaskRef
from nodewise.core.model.problem import Planner
from nodewise.core.ports import Policy
from nodewise.core.settings import Settings
from nodewise.scheduler.cycle import Admission, LastPlan, Plan, Planning, Snapshot, plan
from nodewise.scheduler.expected import Expectation, expectations, news
from nodewise.scheduler.loading import Loader

BATCHES_ADMITTED: Final = 4
"""So many placement batches may be ADMITTED at a time: enough to keep placers busy, few enough to stay reorderable."""

LOOKS_BEFORE_REST: Final = 5
"""So many whole looks follow after the last run has ended: they tell the metrics, and learn what there is to learn."""

ADMITTED: Final = Reason(code=ReasonCode.ADMITTED, text="a node has room; a placer takes it next")

_SEARCH_SHARE: Final = 0.05
"""A search for a better plan takes at most this share of a mean task, because nothing starts meanwhile."""
_FIRST_SHARE: Final = 0.2
"""Of the time allowed, where it is not known yet how long tasks take."""

_QUEUE = Gauge("nodewise_queue_tasks", "READY tasks after a cycle, by why they wait.", ["reason"])
_OLDEST = Gauge(
    "nodewise_queue_oldest_wait_seconds", "How long the longest-waiting READY task has been ready."
)
_ADMITTED = Counter("nodewise_admitted_total", "Tasks admitted.")
_PLANNING = Histogram(
    "nodewise_planning_seconds", "Duration of a decision while there are runs to be planned."
)
_log = structlog.get_logger()


@dataclass(slots=True)
class _Kept:
    """What one look leaves to the next. Losing it costs a new plan."""

    last: LastPlan = field(default_factory=LastPlan)
    told: dict[TaskRef, Expectation] = field(default_factory=dict)
    empty_looks: int = 0
    """So many looks in a row found no run that has not ended."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scheduler:
    """The edges of the cycle. Safe to run in several processes: one cycle is active at a time."""

    engine: Engine
    waker: Waker
    settings: Settings
    policies: Mapping[str, Policy]
    planners: Mapping[str, Planner]
    loader: Loader
    rng: Random
    clock: Callable[[], datetime]
    stopwatch: Callable[[], float] = time.monotonic
    _kept: _Kept = field(default_factory=_Kept)

    def look(self) -> bool:
        """One cycle; True when there is more to do right now (never: a change of the rows wakes us)."""
        if self._rests():
            return False
        with transaction(self.engine) as connection:
            if not try_lock_cycle(connection):
                return False
            now = self.clock()
            snapshot = self.loader.snapshot(connection, now)
            decided = self._decided(connection, snapshot, now)
            admitted = _admit(connection, decided.admitted, now)
            update_reasons(connection, decided.reasons)
            told = self._tell(connection, decided, snapshot)
        self._kept.last, self._kept.told = decided.memory, told
        _measure(snapshot, decided, now)
        self._announce(admitted, decided, beyond=snapshot.beyond)
        self.loader.forecaster.catch_up(self.engine)
        return False

    def _rests(self) -> bool:
        """Whether nothing is open, and was not in the last looks either: then all has been told and learned."""
        with reading(self.engine) as connection:
            empty = not any_open(connection)
        rests = empty and self._kept.empty_looks >= LOOKS_BEFORE_REST
        self._kept.empty_looks = self._kept.empty_looks + 1 if empty else 0
        return rests

    def _decided(self, connection: Connection, snapshot: Snapshot, now: datetime) -> Plan:
        started = self.stopwatch()
        decided = plan(
            snapshot,
            self.policies,
            self.loader.context(connection, snapshot.cluster, now=now, rng=self.rng),
            max_admitted=BATCHES_ADMITTED * self.settings.placement_batch,
            ageing=self.settings.ageing,
            planning=self._planning(started + self._search_seconds()),
        )
        if snapshot.runs:
            _PLANNING.observe(self.stopwatch() - started)
        return decided

    def _planning(self, until: float) -> Planning:
        return Planning(
            planners=self.planners,
            objective=self.settings.objective,
            link_mib_per_s=self.settings.link_mib_per_s,
            horizon=self.settings.planning_horizon,
            out_of_time=lambda: self.stopwatch() > until,
            memory=self._kept.last,
        )

    def _search_seconds(self) -> float:
        most, last = self.settings.planning_seconds, self._kept.last.plan
        if last is None or not last.tasks:
            return most * _FIRST_SHARE
        total = sum((task.end - task.start for task in last.tasks.values()), timedelta())
        return min(most, total.total_seconds() / len(last.tasks) * _SEARCH_SHARE)

    def _tell(self, connection: Connection, decided: Plan, snapshot: Snapshot) -> dict[TaskRef, Expectation]:
        """Write where and when planned tasks are expected; return what their rows say now."""
        expected, told = expectations(decided.expected, snapshot.runs), self._kept.told
        changed = news(expected, told, snapshot.runs)
        rows = {ref: None if at is None else (at.node, at.start, at.end) for ref, at in changed.items()}
        update_expected(connection, rows)
        return {ref: changed.get(ref) or told[ref] for ref in expected}

    def _announce(self, admitted: int, decided: Plan, *, beyond: int) -> None:
        if not admitted:
            return
        _ADMITTED.inc(admitted)
        _log.info("admitted", tasks=admitted, still_waiting=sum(decided.waiting.values()) + beyond)
        self.waker.wake(WAKE_PLACER)


def _admit(connection: Connection, admissions: Sequence[Admission], now: datetime) -> int:
    """Move them to ADMITTED, as far as nobody else moves them just now; return how many moved."""
    if not admissions:
        return 0
    locked = lock_ready(connection, [admission.ref for admission in admissions])
    first = last_position(connection) + 1
    moves = [
        TaskMove(
            ref=admission.ref,
            state=TaskState.READY,
            event=TaskEvent.ADMIT,
            at=now,
            reason=ADMITTED,
            position=first + index,
            allowed_nodes=admission.nodes,
        )
        for index, admission in enumerate(admissions)
        if admission.ref in locked
    ]
    return len(move_tasks(connection, moves, service="scheduler"))


def _measure(snapshot: Snapshot, decided: Plan, now: datetime) -> None:
    _QUEUE.clear()
    for code, count in decided.waiting.items():
        _QUEUE.labels(code.value).set(count)
    if snapshot.beyond:
        _QUEUE.labels(ReasonCode.QUEUED.value).inc(snapshot.beyond)
    admitted = {admission.ref for admission in decided.admitted}
    ready = [queued.task.ready_at for queued in snapshot.queue if queued.task.ref not in admitted]
    _OLDEST.set(max(0.0, (now - min(ready)).total_seconds()) if ready else 0.0)
