"""What a look of the recorder at KFP costs with 1,000 runs in flight, by how many runs have finished before.

The recorder's follower is the production one, on real tables (a server tuned as for tests: fsync off). KFP is the test server
(`tests/support/kfp_server`) in a process of its own, so that the recorder's CPU time is the recorder's alone; it answers a list
by state from an index, so that wall time does not tell of its table. What a real KFP's database makes of such a list is its own
affair. Three kinds of looks: the first after a start, which reads every run in flight in
detail; one at which nothing has changed; one at which every tenth run has.
"""

import logging
import multiprocessing
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from multiprocessing.connection import Connection as Pipe
from pathlib import Path
from statistics import median
from typing import Any
from uuid import UUID

import structlog
from rich.console import Console
from rich.table import Table
from sqlalchemy import Engine, insert, text

from bench.measure import save
from nodewise.core.db import schema
from nodewise.core.db.engine import create_database, transaction
from nodewise.core.engine.kubeflow.client import KfpClient
from nodewise.core.engine.kubeflow.connection import KfpConnection
from nodewise.core.engine.kubeflow.engine import KubeflowEngine
from nodewise.core.lifecycle import RunState, TaskState
from nodewise.core.model.resources import Resources
from nodewise.core.settings import Settings
from nodewise.placer.kubeflow.journal import PostgresJournal
from nodewise.recorder.kubeflow.following import Follower
from tests.support.databases import Databases
from tests.support.kfp_server.behaviour import Execution, Outcome
from tests.support.kfp_server.cluster import FakeNode
from tests.support.kfp_server.server import KfpServer
from tests.support.pipelines import compiled
from tests.support.rows import insert_attempt, insert_node, insert_run, insert_task
from tests.support.servers import postgres_in

IN_FLIGHT = 1000
FINISHED = (0, 1000, 10_000)
CHANGED = 10
"""Every so manieth run has changed at the third kind of look."""
LOOKS = 5
_LONG = 1e6
_AT_A_TIME = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """Of one look, in the recorder's process; `requests` are those that KFP got."""

    cpu_ms: float
    wall_ms: float
    requests: int


def run(in_flight: int = IN_FLIGHT, finished: Sequence[int] = FINISHED) -> Mapping[str, Any]:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    figures: dict[str, dict[str, Cost]] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        # The user of a server that root starts must be able to reach its folder.
        folder.chmod(0o755)
        with postgres_in(folder / "postgres") as postgres:
            databases = Databases(postgres)
            for count in finished:
                url = databases.url(databases.create())
                figures[str(count)] = _costs(Settings(database_url=url), in_flight, count)
    _show(figures, in_flight)
    result = {"in_flight": in_flight, "looks": LOOKS, "by_finished": figures}
    print(f"figures: {save('kubeflow', _plain(result)).name}")
    return result


def _costs(settings: Settings, in_flight: int, finished: int) -> dict[str, Cost]:
    live = [str(UUID(int=number + 1)) for number in range(in_flight)]
    over = [str(UUID(int=10**9 + number)) for number in range(finished)]
    engine = create_database(settings)
    _fill(engine, live, over)
    with _kfp(live, over) as (url, pipe):
        kfp = KfpClient(KfpConnection(url=url, read_seconds=120))
        follower = _follower(engine, kfp, settings)
        first = _cost(follower, pipe)
        steady = [_cost(follower, pipe) for _ in range(LOOKS)]
        changed = []
        for _ in range(LOOKS):
            _ask(pipe, "change")
            changed.append(_cost(follower, pipe))
        kfp.close()
    _check(engine, in_flight)
    engine.dispose()
    return {"first": first, "nothing new": _median(steady), "every tenth changed": _median(changed)}


def _follower(engine: Engine, kfp: KfpClient, settings: Settings) -> Follower:
    kubeflow = KubeflowEngine(kfp, PostgresJournal(engine, _now), clock=_now)
    return Follower(engine, kfp, kubeflow, settings=settings, clock=_now, wake=lambda: None)


def _cost(follower: Follower, pipe: Pipe) -> Cost:
    before = _ask(pipe, "requests")
    cpu, wall = time.process_time(), time.perf_counter()
    follower.look()
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    requests = _ask(pipe, "requests") - before
    return Cost(cpu_ms=round(1000 * cpu, 1), wall_ms=round(1000 * wall, 1), requests=requests)


def _median(costs: Sequence[Cost]) -> Cost:
    return Cost(
        cpu_ms=median(cost.cpu_ms for cost in costs),
        wall_ms=median(cost.wall_ms for cost in costs),
        requests=int(median(cost.requests for cost in costs)),
    )


def _check(engine: Engine, in_flight: int) -> None:
    with engine.connect() as connection:
        counts = connection.execute(text("SELECT state, count(*) FROM tasks GROUP BY state")).all()
    running = {str(state): int(count) for state, count in counts}.get("RUNNING", 0)
    if running < in_flight:
        raise RuntimeError(f"{counts}, not {in_flight} running tasks: this measured something else")


def _now() -> datetime:
    return datetime.now(UTC)


def _fill(engine: Engine, live: Sequence[str], over: Sequence[str]) -> None:
    at = _now()
    with transaction(engine) as connection:
        for name in ("n1", "n2"):
            insert_node(connection, name, Resources(millicores=2**30, memory_mib=2**30), engine="kubeflow")
        for run_id in live:
            _insert(connection, run_id, RunState.PENDING, at)
            for number in (1, 2):
                insert_task(connection, run_id, f"t{number}", state=TaskState.PLACED, attempt=1)  # type: ignore[arg-type]
                insert_attempt(connection, run_id, f"t{number}", "n1", placed_at=at)  # type: ignore[arg-type]
        for run_id in over:
            _insert(connection, run_id, RunState.SUCCEEDED, at, finished_at=at)
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("VACUUM ANALYZE"))


def _insert(connection: Any, run_id: str, state: RunState, at: datetime, **columns: object) -> None:
    insert_run(connection, state=state, id=run_id, engine="kubeflow", submitted_at=at, **columns)
    row = {"run_id": run_id, "nodes": {}, "placed_at": at, "confirmed_at": at, "try_at": at}
    connection.execute(insert(schema.kfp_submissions).values(row))


@contextmanager
def _kfp(live: Sequence[str], over: Sequence[str]) -> Iterator[tuple[str, Pipe]]:
    """A KFP in a process of its own, with these runs."""
    spawn = multiprocessing.get_context("spawn")
    ours, theirs = spawn.Pipe()
    process = spawn.Process(target=_serve, args=(theirs, list(live), list(over)))
    process.start()
    # So that the end of the other process ends the waiting for its answer.
    theirs.close()
    try:
        yield ours.recv(), ours
    finally:
        _ask(ours, "stop")
        process.join()


def _ask(pipe: Pipe, question: str) -> Any:
    pipe.send(question)
    return pipe.recv()


def _serve(pipe: Pipe, live: list[str], over: list[str]) -> None:
    nodes = [FakeNode(name=name, millicores=2**30, memory_mib=2**30) for name in ("n1", "n2")]
    pace = _Pace()
    with KfpServer(nodes, behave=pace) as server:
        server.clock.now = _now()
        # The test server's choice of node looks at all pods that are bound, so few are bound at a time.
        for first in range(0, len(over), _AT_A_TIME):
            _start(server, over[first : first + _AT_A_TIME])
            server.settle(60)
        server.clock.now = _now()
        pace.in_flight = True
        _start(server, live)
        server.turn(1)
        pipe.send(server.url)
        while (question := pipe.recv()) != "stop":
            pipe.send(len(server.requests) if question == "requests" else _change(server, live))
        pipe.send("stopped")


class _Pace:
    """Pods of runs in flight run on until one is let end; those of all others take a second."""

    def __init__(self) -> None:
        self.in_flight = False
        self.changes = 0

    def __call__(self, _: Execution) -> Outcome:
        return Outcome(seconds=_LONG if self.in_flight else 1.0)


def _start(server: KfpServer, run_ids: Sequence[str]) -> None:
    ir = compiled(tasks={"t1": (), "t2": ()})
    for run_id in run_ids:
        body = {
            "run_id": run_id,
            "display_name": run_id,
            "pipeline_spec": ir,
            "runtime_config": {"parameters": {}},
        }
        server.runs.create(body, server.experiments.default_id)


def _change(server: KfpServer, live: Sequence[str]) -> str:
    """Let KFP show something new of every tenth run."""
    with server.lock:
        for run_id in live[::CHANGED]:
            row = server.runs.rows[run_id]
            row.details = [*row.details, {"task_id": f"more-{len(row.details)}", "state": "RUNNING"}]
    return "changed"


def _plain(result: Mapping[str, Any]) -> Mapping[str, Any]:
    figures = {
        count: {look: {name: getattr(cost, name) for name in cost.__slots__} for look, cost in looks.items()}
        for count, looks in result["by_finished"].items()
    }
    return {**result, "by_finished": figures}


def _show(figures: Mapping[str, Mapping[str, Cost]], in_flight: int) -> None:
    table = Table(title=f"A look of the recorder at KFP, {in_flight} runs in flight")
    for column in ("finished before", "look", "CPU ms", "wall ms", "requests"):
        table.add_column(column, justify="left" if column == "look" else "right")
    for count, looks in figures.items():
        for look, cost in looks.items():
            table.add_row(count, look, f"{cost.cpu_ms:,.0f}", f"{cost.wall_ms:,.0f}", str(cost.requests))
    Console(width=100).print(table)


if __name__ == "__main__":
    sys.exit(run() is None)
