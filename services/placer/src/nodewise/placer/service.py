"""The placer's look at the rows. See `look` for its steps."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from random import Random
from typing import Final

import prometheus_client
import redis
import structlog
from sqlalchemy import Connection, Engine

from nodewise.core.cluster import load_cluster
from nodewise.core.db.engine import reading, transaction
from nodewise.core.db.forecasts import Forecaster, hurried
from nodewise.core.db.queries.inputs import upstream_data
from nodewise.core.db.queries.placements import (
    ClaimedTask,
    any_queued,
    claim_admitted,
)
from nodewise.core.estimates.memory import effective_resources
from nodewise.core.messages import WAKE_RECORDER, WAKE_SCHEDULER
from nodewise.core.messaging.wake import Waker
from nodewise.core.model.decision import Deferral, Reason, ReasonCode
from nodewise.core.model.ids import AttemptKey, TaskRef
from nodewise.core.model.job import Job
from nodewise.core.model.situation import Occupancy
from nodewise.core.model.task import WaitingTask
from nodewise.core.ports import Strategy
from nodewise.core.settings import Settings
from nodewise.placer.context import mapping_context
from nodewise.placer.dispatch import Dispatcher
from nodewise.placer.jobs import JobBuilder
from nodewise.placer.live import LiveTasks
from nodewise.placer.mapping import map_tasks
from nodewise.placer.settle import Desk, Settled, settle

LOST_RACES: Final = 5
"""So often a task is tried again at once on a fresh snapshot before it goes back to the queue."""

_PLACED = prometheus_client.Counter("nodewise_placements_total", "Tasks placed.", ["node", "strategy"])
_LOST = prometheus_client.Counter("nodewise_placement_conflicts_total", "Bookings that lost a race.")
_DEFERRED = prometheus_client.Counter(
    "nodewise_deferrals_total", "Tasks given back to the queue.", ["reason"]
)
_SECONDS = prometheus_client.Histogram(
    "nodewise_placement_seconds", "Duration of one batch, from claim to commit."
)
_log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class Placer:
    """The edges of placing. As many as you like may look at once: they take disjoint batches."""

    name: str
    engine: Engine
    redis: "redis.Redis"
    waker: Waker
    settings: Settings
    strategies: Mapping[str, Strategy]
    options: Mapping[str, Mapping[str, object]]
    jobs: JobBuilder
    dispatcher: Dispatcher
    rng: Random
    clock: Callable[[], datetime]
    forecaster: Forecaster = field(default_factory=hurried)

    def look(self) -> bool:
        """Place what is admitted; True when there is more to do right now.

        1. Batch by batch: claim, decide on a fresh snapshot, book, commit, hand to the engine.
        2. Who lost a race is looked at again at once, a few times, then goes back to the queue.
        3. What an agent did not accept in time is sent again.
        4. What was learned meanwhile is taken into account from the next look on.
        """
        races: Counter[TaskRef] = Counter()
        live = LiveTasks()
        while self._batch(races, live):
            pass
        self.dispatcher.redispatch(self.clock())
        self.forecaster.catch_up(self.engine)
        return False

    def _batch(self, races: Counter[TaskRef], live: LiveTasks) -> bool:
        """One batch; True when more may be admitted that nobody has looked at."""
        with _SECONDS.time(), transaction(self.engine) as connection:
            now = self.clock()
            claimed = claim_admitted(connection, limit=self.settings.placement_batch)
            if not claimed:
                return False
            given_up, jobs = self._given_up(connection, claimed, races)
            settled = self._settled(connection, claimed, given_up, live=live, now=now)
        live.add(_occupancies(settled, claimed, now))
        self.dispatcher.dispatch(settled, jobs, self.clock())
        races.update(settled.lost)
        _measure(settled)
        with reading(self.engine) as connection:
            starved = any_queued(connection)
        if starved:
            self.waker.wake(WAKE_SCHEDULER)
        if settled.rejected:
            self.waker.wake(WAKE_RECORDER)
        return bool(settled.lost) or len(claimed) == self.settings.placement_batch

    def _given_up(
        self, connection: Connection, claimed: Sequence[ClaimedTask], races: Mapping[TaskRef, int]
    ) -> tuple[Sequence[Deferral], Mapping[AttemptKey, Job]]:
        jobs, problems = self.jobs.build(connection, claimed)
        return _given_up(claimed, problems, races), jobs

    def _settled(
        self,
        connection: Connection,
        claimed: Sequence[ClaimedTask],
        given_up: Sequence[Deferral],
        *,
        live: LiveTasks,
        now: datetime,
    ) -> Settled:
        refused = {deferral.ref for deferral in given_up}
        cluster = load_cluster(connection, self.redis, now=now, staleness=self.settings.staleness)
        forecast = self.forecaster.latest(connection)
        tasks = _with_inputs(connection, [c.task for c in claimed if c.task.ref not in refused])
        context = mapping_context(self, connection, forecast, now=now, live=live)
        decisions = map_tasks(tasks, cluster, context)
        desk = Desk(placer=self.name, now=now, lease=self.settings.lease, cluster=cluster, forecast=forecast)
        return settle(connection, claimed, [*given_up, *decisions], desk)


def _occupancies(settled: Settled, claimed: Sequence[ClaimedTask], now: datetime) -> Iterator[Occupancy]:
    for item in claimed:
        if item.key in settled.placed:
            new = settled.placed[item.key]
            yield Occupancy(
                ref=item.task.ref,
                node=new.placement.node,
                resources=effective_resources(item.task.spec),
                placed_at=now,
                prediction=new.prediction,
            )


def _with_inputs(connection: Connection, tasks: Sequence[WaitingTask]) -> list[WaitingTask]:
    found = upstream_data(connection, tasks)
    return [replace(task, inputs=found.get(task.ref, ())) for task in tasks]


def _given_up(
    claimed: Sequence[ClaimedTask], problems: Mapping[AttemptKey, str], races: Mapping[TaskRef, int]
) -> list[Deferral]:
    """Tasks on which no strategy needs to be asked: their job cannot be built, or they lost too many races."""
    found = []
    for item in claimed:
        if item.key in problems:
            reason = Reason(code=ReasonCode.JOB_NOT_BUILT, text=problems[item.key])
        elif races.get(item.task.ref, 0) >= LOST_RACES:
            text = f"other placers took the room first, {LOST_RACES} times in a row"
            reason = Reason(code=ReasonCode.LOST_RACE, text=text)
        else:
            continue
        found.append(Deferral(ref=item.task.ref, reason=reason))
    return found


def _measure(settled: Settled) -> None:
    for new in settled.placed.values():
        _PLACED.labels(new.placement.node, new.strategy).inc()
    for deferral in (*settled.deferred, *settled.rejected):
        _DEFERRED.labels(deferral.reason.code.value).inc()
    _LOST.inc(len(settled.lost))
    _log.info("placed", placed=len(settled.placed), deferred=len(settled.deferred), lost=len(settled.lost))
