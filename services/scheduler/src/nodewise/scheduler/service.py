"""The scheduler's look at the rows: load a snapshot, let `cycle.plan` decide, write what it says, wake the placers."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from random import Random
from typing import Final

import redis
import structlog
from prometheus_client import Counter, Gauge
from sqlalchemy import Connection, Engine

from nodewise.core.cluster import load_cluster
from nodewise.core.db.engine import transaction
from nodewise.core.db.queries.moves import TaskMove, move_tasks
from nodewise.core.db.queries.queue import (
    last_position,
    load_admitted,
    load_ready,
    lock_ready,
    try_lock_cycle,
    update_reasons,
)
from nodewise.core.lifecycle import TaskEvent, TaskState
from nodewise.core.messages import WAKE_PLACER
from nodewise.core.messaging.wake import Waker
from nodewise.core.model.decision import Reason, ReasonCode
from nodewise.core.model.ids import TaskRef
from nodewise.core.model.task import TaskSpec
from nodewise.core.ports import Policy, PolicyContext
from nodewise.core.settings import Settings
from nodewise.scheduler.cycle import Admission, AdmittedTask, Plan, Queued, Snapshot, plan

BATCHES_ADMITTED: Final = 4
"""So many placement batches may be ADMITTED at a time: enough to keep placers busy, few enough to stay reorderable."""

ADMITTED: Final = Reason(code=ReasonCode.ADMITTED, text="a node has room; a placer takes it next")

_QUEUE = Gauge("nodewise_queue_tasks", "READY tasks after a cycle, by why they wait.", ["reason"])
_OLDEST = Gauge(
    "nodewise_queue_oldest_wait_seconds", "How long the longest-waiting READY task has been ready."
)
_ADMITTED = Counter("nodewise_admitted_total", "Tasks admitted.")
_log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class Scheduler:
    """The edges of the cycle. Safe to run in several processes: one cycle is active at a time."""

    engine: Engine
    redis: "redis.Redis"
    waker: Waker
    settings: Settings
    policies: Mapping[str, Policy]
    rng: Random
    clock: Callable[[], datetime]
    specs: dict[TaskRef, TaskSpec] = field(default_factory=dict)
    """Specs decoded by earlier cycles."""

    def look(self) -> bool:
        """One cycle; True when there is more to do right now (never: a change of the rows wakes us)."""
        with transaction(self.engine) as connection:
            if not try_lock_cycle(connection):
                return False
            now = self.clock()
            snapshot = self._snapshot(connection, now)
            decided = plan(
                snapshot,
                self.policies,
                PolicyContext(now=now, rng=self.rng),
                max_admitted=BATCHES_ADMITTED * self.settings.placement_batch,
            )
            admitted = _admit(connection, decided.admitted, now)
            update_reasons(connection, decided.reasons)
        _measure(snapshot, decided, now)
        self._announce(admitted, decided)
        return False

    def _snapshot(self, connection: Connection, now: datetime) -> Snapshot:
        cluster = load_cluster(connection, self.redis, now=now, staleness=self.settings.staleness)
        queue = tuple(
            Queued(task=row.task, not_before=row.not_before, reason=row.reason)
            for row in load_ready(connection, self.specs)
        )
        admitted = tuple(
            AdmittedTask(ref=row.ref, spec=row.spec, allowed_nodes=row.allowed_nodes)
            for row in load_admitted(connection)
        )
        return Snapshot(queue=queue, cluster=cluster, admitted=admitted)

    def _announce(self, admitted: int, decided: Plan) -> None:
        if not admitted:
            return
        _ADMITTED.inc(admitted)
        _log.info("admitted", tasks=admitted, still_waiting=sum(decided.waiting.values()))
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
    admitted = {admission.ref for admission in decided.admitted}
    ready = [queued.task.ready_at for queued in snapshot.queue if queued.task.ref not in admitted]
    _OLDEST.set(max(0.0, (now - min(ready)).total_seconds()) if ready else 0.0)
