"""The recorder as a process: it hears agents through the broker, and ends when it is told to."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
from sqlalchemy import Engine, text

from nodewise.core.db.engine import transaction
from nodewise.core.messages import HEARTBEAT, WAKE_SCHEDULER
from nodewise.core.messaging.app import create_app
from nodewise.core.settings import Settings
from tests.support.nodekeys import agent_seal, secret_file
from tests.support.recording import World, report
from tests.support.waiting import wait_until


def environment(settings: Settings, folder: Path) -> dict[str, str]:
    return os.environ | {
        "DATABASE_URL": settings.database_url,
        "REDIS_URL": settings.redis_url,
        "NODEWISE_STORE_URL": settings.store_url,
        "NODEWISE_NODE_SECRET_FILE": str(secret_file(folder)),
        "_KFP_RUNTIME": "true",
    }


def started(variables: dict[str, str]) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        [sys.executable, "-m", "nodewise.recorder"], env=variables, stderr=subprocess.PIPE
    )


@pytest.fixture
def process(settings: Settings, tmp_path: Path) -> Iterator["subprocess.Popen[bytes]"]:
    with started(environment(settings, tmp_path)) as process:
        yield process
        if process.poll() is None:
            process.kill()


def test_it_records_heartbeats_wakes_the_scheduler_and_ends_on_sigterm(
    process: "subprocess.Popen[bytes]", settings: Settings, engine: Engine
) -> None:
    world = World(engine)
    world.hear()
    run_id = world.submit({"a": []})
    key = world.place(run_id, "a")
    heartbeat = world.heartbeat(report(key, "SUCCEEDED"))
    app = create_app("test", settings)
    app.send_task(HEARTBEAT, args=[{"not": "a heartbeat"}], queue="recorder")
    app.send_task(
        HEARTBEAT, args=[agent_seal("n1")(HEARTBEAT, heartbeat.node.name, heartbeat)], queue="recorder"
    )
    wait_until(lambda: world.run_state(run_id) == "SUCCEEDED", 30, "the run to end")
    with redis.Redis.from_url(settings.redis_url) as client:
        wait_until(lambda: client.llen("agent.n1") and client.llen(WAKE_SCHEDULER), 10, "both to be told")
    process.send_signal(signal.SIGTERM)
    assert process.wait(10) == 0
    app.close()


def test_it_sees_to_requests_to_cancel_without_any_message(
    process: "subprocess.Popen[bytes]", engine: Engine
) -> None:
    world = World(engine)
    run_id = world.submit({"a": [], "b": ["a"]})
    world.request_cancel(run_id)
    wait_until(lambda: world.run_state(run_id) == "CANCELED", 30, "the run to be canceled")
    with transaction(engine) as connection:
        states = connection.execute(text("SELECT DISTINCT state FROM tasks")).scalars().all()
    assert states == ["CANCELED"]


def test_it_waits_for_its_servers_and_says_so_once(settings: Settings, tmp_path: Path) -> None:
    nowhere = environment(settings, tmp_path) | {"DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none"}
    with started(nowhere) as process:
        assert process.stderr is not None
        said = process.stderr.readline().decode()
        process.send_signal(signal.SIGTERM)
        rest = process.stderr.read().decode()
        assert process.wait(10) == 0
    assert "waiting for a server" in said
    assert "Postgres" in said
    assert "Traceback" not in rest
