"""Part b: tasks placed per second end to end, from the commit of their submissions until they are booked and dispatched.

The scheduler and the placers are processes as in production, on Postgres with durable commits and Valkey. The tasks are
copies of one submission that the gateway took, committed at once, in runs of 100. Nodes are rows with room for all: nothing
runs. What was dispatched is accepted by this process, as an agent's heartbeat would, or it would be sent again. The peer
is the least that a queue in the same Postgres does: one worker claims rows in batches of 100 with SKIP LOCKED.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass

import psutil
import psycopg
import redis

from bench.measure import BenchFailed, save
from bench.stack.copies import copy, put_aside, submitted
from bench.stack.report import Target, judge, show
from bench.stack.serving import SEED, Servers, Service, gateway, placer, scheduler, servers
from nodewise.core.db.engine import create_database, transaction
from nodewise.core.messages import WAKE_SCHEDULER
from nodewise.core.messaging.wake import Waker
from nodewise.core.model.resources import Resources
from tests.support.pipelines import compiled
from tests.support.placing import finish_placed
from tests.support.rows import insert_node
from tests.support.waiting import wait_until

TASKS_PER_RUN = 100
MILLICORES = 100
LEAST_RATE = 1500.0
PLAIN = "fifo_greedy"
WHO = {"scheduler": "nodewise.scheduler", "placers": "nodewise.placer", "Postgres": "postgres"}
"""By what stands in the command lines of their processes."""
_POLL_SECONDS = 0.02
_PATIENCE_SECONDS = 300.0

_ACCEPT = """
UPDATE attempts SET accepted_at = clock_timestamp()
WHERE accepted_at IS NULL AND dispatched_at IS NOT NULL AND state = 'PLACED'
"""
_CLAIM = """
UPDATE jobs SET state = 'done' WHERE id IN (
    SELECT id FROM jobs WHERE state = 'waiting' ORDER BY id LIMIT 100 FOR UPDATE SKIP LOCKED)
"""
_CHECK = """
SELECT (SELECT count(*) FROM bookings WHERE released_at IS NULL),
       (SELECT count(*) FROM tasks WHERE state = 'PLACED'),
       (SELECT count(*) FROM attempts WHERE state = 'PLACED' AND dispatched_at IS NOT NULL AND job_uri IS NOT NULL)
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """A measurement: `batch` is how many tasks a placer claims at a time, `preset` who orders and who maps them."""

    placers: int
    nodes: int
    tasks: int = 2000
    preset: str = PLAIN
    batch: int = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """What was measured of a shape. The seconds of a scheduler's look and of a placer's batch are means.

    `processor_ms` is processor time a task, by who took it.
    """

    shape: Shape
    tasks_per_second: float
    look_seconds: float
    batch_seconds: float
    processor_ms: Mapping[str, float]


SHAPES: Sequence[Shape] = (
    *(Shape(placers=placers, nodes=nodes) for nodes in (10, 100, 1000) for placers in (1, 2, 4)),
    Shape(placers=2, nodes=10, batch=500),
    Shape(placers=2, nodes=100, batch=500),
    Shape(placers=2, nodes=10, preset="balanced"),
    Shape(placers=2, nodes=100, preset="balanced"),
)


def run(shapes: Sequence[Shape] = SHAPES) -> None:
    """Measure, print, save, judge."""
    with servers() as found:
        bare = _bare(found.databases.url(found.databases.create_empty()), max(one.tasks for one in shapes))
        rates = [_told(_measured(found.afresh(), shape)) for shape in shapes]
    show(
        f"b. tasks from submission to dispatch; a bare queue with SKIP LOCKED: {bare:,.0f} / s",
        ("preset", "batch", "nodes", "placers", "tasks", "tasks / s", "a look, ms", "a batch, ms", *(f"{who}, CPU ms" for who in WHO)),
        [
            (one.shape.preset, *(f"{n:,}" for n in (one.shape.batch, one.shape.nodes, one.shape.placers, one.shape.tasks)),
             f"{one.tasks_per_second:,.0f}", f"{1000 * one.look_seconds:.0f}", f"{1000 * one.batch_seconds:.0f}",
             *(f"{one.processor_ms[who]:.2f}" for who in WHO))
            for one in rates
        ],
    )  # fmt: skip
    best = max(one.tasks_per_second for one in rates)
    targets = (Target(what="tasks placed / s, the best of the table", value=best, at_least=LEAST_RATE),)
    save(
        "stack_dispatching",
        {"seed": SEED, "rates": rates, "bare_skip_locked": bare, "targets": targets},
        command="python -m bench.stack dispatching",
    )
    judge(targets)


def _told(rate: Rate) -> Rate:
    """Say it at once: the whole table takes minutes."""
    print(f"{rate.shape}: {rate.tasks_per_second:,.0f} tasks / s", flush=True)
    return rate


def _measured(found: Servers, shape: Shape) -> Rate:
    with gateway(found.env) as api:
        run_id = submitted(api, _body(shape))
    url = found.settings.database_url
    with psycopg.connect(url) as connection:
        put_aside(connection, run_id)
    _add_nodes(found, shape)
    with _services(found, shape) as services, psycopg.connect(url, autocommit=True) as connection:
        # The submission itself warms up.
        _until_dispatched(connection, TASKS_PER_RUN)
        engine = create_database(found.settings)
        finish_placed(engine)
        engine.dispose()
        before, busy = _spent(services), _processor_seconds()
        seconds = _timed(found, connection, shape)
        took = {who: 1000 * (now - busy[who]) / shape.tasks for who, now in _processor_seconds().items()}
        spent = [(s1 - s0, n1 - n0) for (s0, n0), (s1, n1) in zip(before, _spent(services), strict=True)]
        placed = connection.execute(_CHECK).fetchone()
    if placed != (shape.tasks,) * 3:
        raise BenchFailed(f"booked, placed, dispatched: {placed}, not {shape.tasks} each")
    look, *batches = spent
    return Rate(
        shape=shape,
        tasks_per_second=shape.tasks / seconds,
        look_seconds=look[0] / max(1, look[1]),
        batch_seconds=sum(s for s, _ in batches) / max(1, sum(n for _, n in batches)),
        processor_ms=took,
    )


def _processor_seconds() -> dict[str, float]:
    """What the processes that this one started have taken so far."""
    taken = dict.fromkeys(WHO, 0.0)
    for process in psutil.Process().children(recursive=True):
        with suppress(psutil.Error):
            words, times = " ".join(process.cmdline()), process.cpu_times()
            who = next((name for name, mark in WHO.items() if mark in words), None)
            if who is not None:
                taken[who] += times.user + times.system
    return taken


def _body(shape: Shape) -> dict[str, object]:
    names = [f"t{number}" for number in range(TASKS_PER_RUN)]
    ir = compiled(tasks=dict.fromkeys(names, ()))
    for executor in ir["deploymentSpec"]["executors"].values():
        executor["container"]["resources"] = {"cpuRequest": MILLICORES / 1000, "memoryRequest": 0.001}
    return {"pipeline_spec": ir, "strategy": shape.preset, "cache": False}


def _add_nodes(found: Servers, shape: Shape) -> None:
    """So many tasks more than its share has each node room for: one that is full is no rarity, as in a cluster in use."""
    share = 2 + shape.tasks // shape.nodes + TASKS_PER_RUN // shape.nodes
    engine = create_database(found.settings)
    with transaction(engine) as connection:
        for number in range(shape.nodes):
            room = Resources(millicores=MILLICORES * share, memory_mib=1024 * share)
            insert_node(connection, f"n{number:04}", room)
    engine.dispose()


@contextmanager
def _services(found: Servers, shape: Shape) -> Iterator[list[Service]]:
    """The scheduler first, then the placers."""
    env = {**found.env, "NODEWISE_PLACEMENT_BATCH": str(shape.batch)}
    with ExitStack() as stack:
        yield [
            stack.enter_context(scheduler(env)),
            *(stack.enter_context(placer(f"placer-{n}", env)) for n in range(1, shape.placers + 1)),
        ]


def _spent(services: Sequence[Service]) -> list[tuple[float, float]]:
    """Seconds and how often: of the scheduler's looks and each placer's batches."""
    names = ["nodewise_cycle_seconds", *["nodewise_placement_seconds"] * (len(services) - 1)]
    return [
        (service.metric(f"{name}_sum"), service.metric(f"{name}_count"))
        for service, name in zip(services, names, strict=True)
    ]


def _timed(found: Servers, connection: "psycopg.Connection[tuple[object, ...]]", shape: Shape) -> float:
    """Seconds from the commit of the submissions until the last of their tasks is dispatched."""
    with connection.transaction():
        copy(connection, shape.tasks // TASKS_PER_RUN)
        connection.execute("ANALYZE")
        start = time.perf_counter()
    with redis.Redis.from_url(found.settings.redis_url) as client:
        Waker(client).wake(WAKE_SCHEDULER)
    _until_dispatched(connection, shape.tasks)
    return time.perf_counter() - start


def _until_dispatched(connection: "psycopg.Connection[tuple[object, ...]]", tasks: int) -> None:
    left = tasks

    def done() -> bool:
        nonlocal left
        left -= connection.execute(_ACCEPT).rowcount
        return left <= 0

    wait_until(done, _PATIENCE_SECONDS, f"{tasks} tasks to be dispatched", every=_POLL_SECONDS)


def _bare(url: str, tasks: int) -> float:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("CREATE TABLE jobs (id int PRIMARY KEY, state text NOT NULL)")
        connection.execute("INSERT INTO jobs SELECT n, 'waiting' FROM generate_series(1, %s) AS n", (tasks,))
        start = time.perf_counter()
        while connection.execute(_CLAIM).rowcount:
            pass
        return tasks / (time.perf_counter() - start)
