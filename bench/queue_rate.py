"""Tasks placed per second through the real tables (claimed, mapped, booked, recorded), by number of placers.

Each placer is a process, as in production; agents are left out (the engine only notes what it was given), and the server
is tuned as for tests (fsync off), for all in the table alike. The peer is the least that a queue in Postgres does on the
same server in the same run: claim rows with SKIP LOCKED in batches of 100 and mark them done, one worker.
"""

import logging
import multiprocessing
import tempfile
import time
from pathlib import Path
from typing import Any

import psycopg
import structlog
from rich.console import Console
from rich.table import Table
from sqlalchemy import Engine

from bench.measure import save
from nodewise.core.db.engine import create_database, transaction
from nodewise.core.lifecycle import TaskState
from nodewise.core.model.resources import Resources
from nodewise.core.settings import Settings
from tests.support.databases import Databases
from tests.support.placing import add_nodes, make_placer, submit
from tests.support.servers import postgres_in, valkey_in

TASKS = 4000
PLACERS = (1, 2, 4)
TASKS_PER_RUN = 100
_SMALL = Resources(millicores=10, memory_mib=1)


def run() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        # The user of a server that root starts must be able to reach its folder.
        folder.chmod(0o755)
        with postgres_in(folder / "postgres") as postgres, valkey_in(folder / "valkey") as valkey:
            databases = Databases(postgres)
            rates = {
                f"{count} placers": _placing_rate(databases, valkey.url(), folder, count) for count in PLACERS
            }
            rates["bare SKIP LOCKED"] = _bare_rate(databases.url(databases.create_empty()))
    _show(rates)
    print(f"figures: {save('queue_rate', {'tasks': TASKS, 'tasks_per_second': rates}).name}")


def _placing_rate(databases: Databases, redis_url: str, folder: Path, placers: int) -> float:
    url = databases.url(databases.create())
    settings = Settings(database_url=url, redis_url=redis_url, store_url=(folder / "store").as_uri())
    engine = create_database(settings)
    _fill(engine)
    engine.dispose()
    taken = _together(settings, placers)
    with psycopg.connect(url) as connection:
        placed = connection.execute("SELECT count(*) FROM bookings").fetchone()
    if placed != (TASKS,):
        raise RuntimeError(f"placed {placed}, not {TASKS}: this measured something else")
    return round(TASKS / taken, 1)


def _fill(engine: Engine) -> None:
    add_nodes(engine, n1=100, n2=100, n3=100, n4=100)
    for _ in range(TASKS // TASKS_PER_RUN):
        with transaction(engine) as connection:
            submit(
                connection,
                *(f"t{n}" for n in range(TASKS_PER_RUN)),
                state=TaskState.ADMITTED,
                resources=_SMALL,
            )


def _together(settings: Settings, placers: int) -> float:
    spawn = multiprocessing.get_context("spawn")
    ready = spawn.Barrier(placers + 1)
    processes = [spawn.Process(target=_place, args=(settings, f"placer-{n}", ready)) for n in range(placers)]
    for process in processes:
        process.start()
    ready.wait()
    start = time.perf_counter()
    for process in processes:
        process.join()
    return time.perf_counter() - start


def _place(settings: Settings, name: str, ready: Any) -> None:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    engine = create_database(settings)
    placer = make_placer(engine, settings, name=name)
    with engine.connect():
        ready.wait()
    placer.look()


def _bare_rate(url: str) -> float:
    claim = """UPDATE jobs SET state = 'done' WHERE id IN (
        SELECT id FROM jobs WHERE state = 'waiting' ORDER BY id LIMIT 100 FOR UPDATE SKIP LOCKED)"""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("CREATE TABLE jobs (id int PRIMARY KEY, state text NOT NULL)")
        connection.execute("INSERT INTO jobs SELECT n, 'waiting' FROM generate_series(1, %s) AS n", (TASKS,))
        start = time.perf_counter()
        while connection.execute(claim).rowcount:
            pass
        return round(TASKS / (time.perf_counter() - start), 1)


def _show(rates: dict[str, float]) -> None:
    table = Table(title=f"{TASKS} admitted tasks on four nodes")
    table.add_column("who")
    table.add_column("tasks / s", justify="right")
    for name, rate in rates.items():
        table.add_row(name, f"{rate:,.0f}")
    Console(width=100).print(table)
