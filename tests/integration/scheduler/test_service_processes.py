"""The scheduler and the placer as processes: woken by messages, ended by SIGTERM, patient while servers are away."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from urllib.request import urlopen

import redis
from sqlalchemy import Engine

from nodewise.core.db.engine import transaction
from nodewise.core.messages import WAKE_PLACER, WAKE_SCHEDULER
from nodewise.core.messaging.wake import Waker
from nodewise.core.model.resources import Resources
from nodewise.core.settings import Settings
from nodewise.stack.ports import choose_ports
from tests.support.nodekeys import secret_file
from tests.support.placing import add_nodes, all_rows, submit
from tests.support.waiting import wait_until

SLOW_TICK = "30"
"""So slow that only messages can make these tests pass in time."""


@contextmanager
def running(
    module: Sequence[str], settings: Settings, log: Path, **environment: str
) -> Iterator["subprocess.Popen[bytes]"]:
    env = os.environ | {
        "DATABASE_URL": settings.database_url,
        "REDIS_URL": settings.redis_url,
        "NODEWISE_STORE_URL": settings.store_url,
        "NODEWISE_TICK_SECONDS": SLOW_TICK,
        "NODEWISE_NODE_SECRET_FILE": str(secret_file(log.parent)),
        "_KFP_RUNTIME": "true",
        **environment,
    }
    with log.open("wb") as out:
        process = subprocess.Popen([sys.executable, "-m", *module], env=env, stdout=out, stderr=out)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def listens(settings: Settings, message: str) -> bool:
    """Whether a process waits for such wake-ups (it is blocked in BLPOP)."""
    with redis.Redis.from_url(settings.redis_url) as client:
        return any((item["name"], item["cmd"]) == (message, "blpop") for item in client.client_list())


def wake(settings: Settings) -> None:
    with redis.Redis.from_url(settings.redis_url) as client:
        Waker(client).wake(WAKE_SCHEDULER)


def test_a_message_makes_a_ready_task_travel_to_its_node(
    engine: Engine, settings: Settings, tmp_path: Path
) -> None:
    add_nodes(engine, n1=2)
    scheduler, placer = ["nodewise.scheduler"], ["nodewise.placer", "--name", "placer-3"]
    with running(scheduler, settings, tmp_path / "s.log"), running(placer, settings, tmp_path / "p.log"):
        wait_until(lambda: listens(settings, WAKE_SCHEDULER) and listens(settings, WAKE_PLACER), 30, "both")
        with transaction(engine) as connection:
            submit(connection, "a", resources=Resources(millicores=100, memory_mib=10))
        wake(settings)
        wait_until(
            lambda: all_rows(engine, "SELECT node, placer FROM attempts") == [("n1", "placer-3")],
            15,
            "the placement",
        )
        wait_until(
            lambda: all_rows(engine, "SELECT job_uri IS NOT NULL FROM attempts") == [(True,)],
            10,
            "the dispatch",
        )
    with redis.Redis.from_url(settings.redis_url) as client:
        assert client.llen("agent.n1") == 1


def test_sigterm_ends_a_service_in_order(settings: Settings, tmp_path: Path) -> None:
    for service, message in (("scheduler", WAKE_SCHEDULER), ("placer", WAKE_PLACER)):
        log = tmp_path / f"{service}.log"
        with running([f"nodewise.{service}"], settings, log) as process:
            wait_until(lambda name=message: listens(settings, name), 30, f"{service} to listen")
            process.send_signal(signal.SIGTERM)
            assert process.wait(5) == 0, log.read_text()


def test_a_service_waits_for_its_servers_and_says_so(settings: Settings, tmp_path: Path) -> None:
    log = tmp_path / "scheduler.log"
    away = settings.model_copy(update={"database_url": "postgresql://nobody@127.0.0.1:1/none"})
    with running(["nodewise.scheduler"], away, log, NODEWISE_TICK_SECONDS="0.2") as process:
        wait_until(lambda: "the database does not answer" in log.read_text(), 30, "a line about the database")
        assert process.poll() is None


def test_metrics_are_served(engine: Engine, settings: Settings, tmp_path: Path) -> None:
    port = choose_ports(["metrics"], {})["metrics"]
    with transaction(engine) as connection:
        submit(connection, "a")
    log = tmp_path / "scheduler.log"
    with running(["nodewise.scheduler"], settings, log, NODEWISE_METRICS_PORT=str(port)):

        def seen() -> bool:
            try:
                with urlopen(f"http://127.0.0.1:{port}/metrics", timeout=2) as answer:
                    return 'nodewise_queue_tasks{reason="no_nodes"} 1.0' in answer.read().decode()
            except OSError:
                return False

        wait_until(seen, 30, "the length of the queue")


def test_strategy_options_that_are_wrong_end_a_placer_with_one_clear_line(
    settings: Settings, tmp_path: Path
) -> None:
    options = tmp_path / "options.json"
    options.write_text('{"custom": {"rules": [{"name": "x", "sort": ["speed"]}]}}')
    log = tmp_path / "placer.log"
    with running(["nodewise.placer"], settings, log, NODEWISE_STRATEGY_OPTIONS=str(options)) as process:
        assert process.wait(30) == 2
    assert "rules.0.sort" in log.read_text()
    assert "Traceback" not in log.read_text()
