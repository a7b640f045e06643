"""Schedulers and placers on a real database with the agents faked, and a cluster of rows to place on."""

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from random import Random

import redis
from sqlalchemy import Connection, Engine, text

from nodewise.core import plugins
from nodewise.core.db.engine import transaction
from nodewise.core.db.queries.bookings import release
from nodewise.core.db.queries.moves import TaskMove, move_tasks
from nodewise.core.errors import StoreError
from nodewise.core.lifecycle import TaskEvent, TaskState
from nodewise.core.messaging.wake import Waker
from nodewise.core.model.decision import Reason, ReasonCode
from nodewise.core.model.ids import AttemptKey, NodeName, RunId, TaskPath, TaskRef
from nodewise.core.model.job import Job
from nodewise.core.model.resources import Resources
from nodewise.core.ports import Strategy
from nodewise.core.settings import Settings
from nodewise.placer.dispatch import Dispatcher
from nodewise.placer.jobs import JobBuilder
from nodewise.placer.service import Placer
from nodewise.scheduler.loading import Loader
from nodewise.scheduler.service import Scheduler
from tests.support.pipelines import compiled
from tests.support.rows import insert_node, insert_run, insert_task

Clock = Callable[[], datetime]


def wall_clock() -> datetime:
    return datetime.now(UTC)


@dataclass
class Turned:
    """A clock that only the test turns."""

    now: datetime = field(default_factory=wall_clock)

    def __call__(self) -> datetime:
        return self.now

    def forward(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


@dataclass
class RecordingCarrier:
    """An engine that only remembers what it was asked; with `broken`, its store is full."""

    started: list[tuple[NodeName, Job]] = field(default_factory=list)
    resent: list[tuple[NodeName, AttemptKey]] = field(default_factory=list)
    broken: bool = False

    def start(
        self, assignments: Sequence[tuple[NodeName, Job]], *, now: datetime
    ) -> Mapping[AttemptKey, str]:
        if self.broken:
            raise StoreError("the store is away")
        self.started += assignments
        return {job.key: f"store://file/{job.key}" for _, job in assignments}

    def resend(self, by_node: Mapping[NodeName, Sequence[tuple[AttemptKey, str]]], *, now: datetime) -> None:
        self.resent += [(node, key) for node, jobs in by_node.items() for key, _ in jobs]


def make_scheduler(engine: Engine, settings: Settings, *, clock: Clock = wall_clock) -> Scheduler:
    client = redis.Redis.from_url(settings.redis_url)
    return Scheduler(
        engine=engine,
        waker=Waker(client),
        settings=settings,
        policies=plugins.policies(),
        planners=plugins.planners(),
        loader=Loader(redis=client, settings=settings, planners=plugins.planners().keys()),
        rng=Random(1),
        clock=clock,
    )


def make_placer(
    engine: Engine,
    settings: Settings,
    *,
    name: str = "placer-1",
    carrier: RecordingCarrier | None = None,
    strategies: Mapping[str, Strategy] | None = None,
    clock: Clock = wall_clock,
) -> Placer:
    client = redis.Redis.from_url(settings.redis_url)
    jobs = JobBuilder(max_tasks=2000)
    return Placer(
        name=name,
        engine=engine,
        redis=client,
        waker=Waker(client),
        settings=settings,
        strategies=plugins.strategies() if strategies is None else strategies,
        options={},
        jobs=jobs,
        dispatcher=Dispatcher(engine=engine, jobs=jobs, carrier=carrier or RecordingCarrier()),
        rng=Random(1),
        clock=clock,
    )


@contextmanager
def looking(placers: list[Placer], failures: list[BaseException]) -> Iterator[None]:
    """All placers look again and again, each in a thread of its own, until the end."""
    done = threading.Event()

    def look(placer: Placer) -> None:
        try:
            while not done.wait(0.005):
                placer.look()
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=look, args=(placer,), daemon=True) for placer in placers]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        done.set()
        for thread in threads:
            thread.join(10)


def add_nodes(engine: Engine, **cores: float) -> None:
    """READY nodes by name, each with so many cores and 4 GiB."""
    with transaction(engine) as connection:
        for name, count in cores.items():
            insert_node(connection, name, Resources(millicores=round(count * 1000), memory_mib=4096))


def submit(
    connection: Connection,
    *paths: str,
    state: TaskState = TaskState.READY,
    resources: Resources | None = None,
    task: Mapping[str, object] | None = None,
    **run: object,
) -> RunId:
    """A run of a compiled pipeline of independent tasks, all in that state; `task` are further columns of each."""
    run_id = insert_run(connection, ir=compiled(tasks=dict.fromkeys(paths, ())), **run)
    for number, path in enumerate(paths, start=1):
        columns = {"position": number} if state is TaskState.ADMITTED else {}
        insert_task(
            connection, run_id, path, state=state, resources=resources, **(columns | dict(task or {}))
        )
    return run_id


def finish_placed(engine: Engine) -> int:
    """Do what a recorder does when all placed tasks have succeeded; return how many."""
    now = wall_clock()
    with transaction(engine) as connection:
        rows = connection.execute(
            text(
                "UPDATE attempts SET state = 'SUCCEEDED', finished_at = :now WHERE state = 'PLACED' "
                "RETURNING run_id, path, attempt"
            ),
            {"now": now},
        ).all()
        keys = [
            AttemptKey(run_id=RunId(str(row.run_id)), path=TaskPath(row.path), attempt=row.attempt)
            for row in rows
        ]
        move_tasks(connection, [_succeeded(key.task, now) for key in keys], service="recorder")
        release(connection, keys, at=now)
    return len(keys)


def _succeeded(ref: TaskRef, now: datetime) -> TaskMove:
    return TaskMove(
        ref=ref,
        state=TaskState.PLACED,
        event=TaskEvent.SUCCEED,
        at=now,
        finished_at=now,
        reason=Reason(code=ReasonCode.FINISHED, text="finished"),
    )


MOST_BOOKED = """
WITH steps AS (
    SELECT node, booked_at AS at, millicores AS change FROM bookings
    UNION ALL SELECT node, released_at, -millicores FROM bookings WHERE released_at IS NOT NULL
), sums AS (
    SELECT node, sum(change) OVER (PARTITION BY node ORDER BY at, change) AS booked FROM steps
)
SELECT s.node, max(s.booked) AS most, l.capacity_millicores AS capacity
FROM sums AS s JOIN node_loads AS l USING (node) GROUP BY s.node, l.capacity_millicores ORDER BY s.node
"""
"""The most that was ever booked at a time on each node, from the history."""

DRIFT = """
SELECT l.node FROM node_loads AS l LEFT JOIN bookings AS b ON b.node = l.node AND b.released_at IS NULL
GROUP BY l.node, l.booked_millicores, l.booked_memory_mib, l.booked_gpus, l.running_tasks
HAVING l.booked_millicores <> coalesce(sum(b.millicores), 0) OR l.booked_memory_mib <> coalesce(sum(b.memory_mib), 0)
    OR l.booked_gpus <> coalesce(sum(b.gpus), 0) OR l.running_tasks <> count(b.node)
"""
"""Nodes whose sums are not those of their open bookings: always none."""


def all_rows(engine: Engine, query: str, **values: object) -> list[tuple[object, ...]]:
    with engine.connect() as connection:
        return [tuple(row) for row in connection.execute(text(query), values)]
