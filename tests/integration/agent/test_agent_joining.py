"""Which cluster an agent joins, and as whom: what it refuses, in one clear line, and what it waits for."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis

from nodewise.core.store import ArtifactStore, mark_cluster
from nodewise.stack.valkey import ValkeyServer
from tests.support.agents import NODE, AgentProcess
from tests.support.waiting import wait_until

Another = Callable[[str], AgentProcess]


@pytest.fixture
def another(redis_url: str, store_url: str, tmp_path: Path) -> Iterator[Another]:
    """Makes a further agent of the same name, in a work directory of its own."""
    made: list[AgentProcess] = []

    def make(folder: str) -> AgentProcess:
        made.append(AgentProcess(redis_url, store_url, tmp_path / folder))
        return made[-1]

    yield make
    for one in made:
        one.close()


def refused(agent: AgentProcess, *arguments: str, **environment: str) -> str:
    """What an agent says that must not join."""
    agent.start(*arguments, **environment)
    assert agent.wait(20) == 2
    lines = agent.log.read_text().splitlines()
    assert len(lines) == 1, lines
    return lines[0]


def test_a_joined_agent_says_so_once_and_nothing_else_is_chatty(agent: AgentProcess) -> None:
    agent.ear.wait_for(lambda heartbeat: heartbeat)
    said = agent.log.read_text()
    assert said.count(f"{NODE} joined the cluster at 127.0.0.1:") == 1
    for noise in ("celery@", "[queues]", "superuser", "SecurityWarning"):
        assert noise not in said


def test_a_store_without_a_marker_is_refused_and_not_made(
    stopped_agent: AgentProcess, tmp_path: Path
) -> None:
    line = refused(stopped_agent, NODEWISE_STORE_URL=(tmp_path / "not" / "there").as_uri())
    assert "this store is not the cluster's: file://" in line
    assert not (tmp_path / "not").exists()


def test_the_store_of_another_cluster_is_refused(
    stopped_agent: AgentProcess, tmp_path: Path, redis_url: str
) -> None:
    other = ArtifactStore((tmp_path / "other").as_uri())
    with redis.Redis.from_url(redis_url) as client:
        ours = client.get("nodewise:cluster_id")
        mark_cluster(other, client, alone=True)
        assert client.get("nodewise:cluster_id") != ours
        client.set("nodewise:cluster_id", ours)
    assert "this store is not the cluster's" in refused(stopped_agent, NODEWISE_STORE_URL=other.url)


def test_a_broker_that_forgot_all_takes_a_marked_store(stopped_agent: AgentProcess, redis_url: str) -> None:
    with redis.Redis.from_url(redis_url) as client:
        client.flushall()
    stopped_agent.start()
    stopped_agent.ear.wait_for(lambda heartbeat: heartbeat)


def test_an_agent_that_is_earlier_than_its_cluster_waits(
    stopped_agent: AgentProcess, redis_url: str, tmp_path: Path
) -> None:
    store = ArtifactStore((tmp_path / "later").as_uri())
    with redis.Redis.from_url(redis_url) as client:
        client.flushall()
        stopped_agent.start(NODEWISE_STORE_URL=store.url)
        wait_until(lambda: "knows of a cluster" in stopped_agent.log.read_text(), 15, "the agent to wait")
        assert not (tmp_path / "later").exists()
        mark_cluster(store, client)
    stopped_agent.ear.wait_for(lambda heartbeat: heartbeat)


def test_a_wrong_password_is_one_clear_line(stopped_agent: AgentProcess, valkey_server: ValkeyServer) -> None:
    url = valkey_server.url()
    password = valkey_server.password_file.read_text()
    for wrong in (url.replace(password, "wrong"), url.replace(f":{password}@", "")):
        stopped_agent.log.unlink(missing_ok=True)
        line = refused(stopped_agent, REDIS_URL=wrong)
        assert "refuses us" in line
        assert password not in line


def test_a_broker_that_is_not_there_is_waited_for_with_one_line(stopped_agent: AgentProcess) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        stopped_agent.start(REDIS_URL=f"redis://127.0.0.1:{port}/0")
        wait_until(lambda: "waiting for" in stopped_agent.log.read_text(), 15, "a line")
        assert f"waiting for the broker at 127.0.0.1:{port}" in stopped_agent.log.read_text()
        assert stopped_agent.terminate() == 0
        assert len(stopped_agent.log.read_text().splitlines()) == 1


@pytest.mark.parametrize(
    ("given", "line"),
    [
        ([], "nodewise agent: --broker is missing"),
        (["--broker", "redis://127.0.0.1:1/0"], "nodewise agent: --store is missing"),
        (
            ["--broker", "redis://127.0.0.1:1/0", "--store", "nonsense"],
            "nodewise agent: --store: the store 'nonsense'",
        ),
        (["--broker", "127.0.0.1:1", "--store", "memory://s"], "nodewise agent: the broker's address"),
    ],
)
def test_an_address_that_is_missing_or_none_is_one_clear_line(
    given: list[str], line: str, tmp_path: Path
) -> None:
    env = {k: v for k, v in os.environ.items() if k != "REDIS_URL" and not k.startswith("NODEWISE_")}
    env["NODEWISE_NODE_KEYS"] = "off"
    command = [
        sys.executable,
        "-P",
        "-m",
        "nodewise.agent",
        "--name",
        "x",
        "--work-dir",
        str(tmp_path / "w"),
        *given,
    ]
    done = subprocess.run(
        command, env=env, capture_output=True, text=True, timeout=30, check=False, cwd=tmp_path
    )
    assert done.returncode == 2
    assert done.stderr.startswith(line)
    assert len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "nonsense").exists()


def test_a_second_agent_of_the_same_name_is_refused(agent: AgentProcess, another: Another) -> None:
    first = agent.ear.wait_for(lambda heartbeat: heartbeat.boot_id)
    assert f"another agent named {NODE} is running (host {socket.gethostname()}, pid {agent.pid})" in refused(
        another("second")
    )
    agent.ear.drain()
    assert agent.ear.wait_for(lambda heartbeat: heartbeat.boot_id) == first


def test_a_name_is_free_at_once_after_an_orderly_stop(agent: AgentProcess, another: Another) -> None:
    before = agent.ear.wait_for(lambda heartbeat: heartbeat.boot_id)
    assert agent.terminate() == 0
    with redis.Redis.from_url(agent.settings.redis_url) as client:
        assert client.get(f"nodewise:agent:{NODE}") is None
    another("second").start()
    agent.ear.wait_for(lambda heartbeat: True if heartbeat.boot_id != before else None)


def test_the_name_of_a_killed_agent_is_free_soon_elsewhere(agent: AgentProcess, another: Another) -> None:
    before = agent.ear.wait_for(lambda heartbeat: heartbeat.boot_id)
    agent.kill()
    another("second").start()
    agent.ear.wait_for(lambda heartbeat: True if heartbeat.boot_id != before else None, 15)


def test_a_killed_agent_is_back_at_once_in_its_own_folder(agent: AgentProcess) -> None:
    before = agent.ear.wait_for(lambda heartbeat: heartbeat.boot_id)
    agent.kill()
    with redis.Redis.from_url(agent.settings.redis_url) as client:
        # So that waiting for its end cannot be what lets the agent in.
        assert client.expire(f"nodewise:agent:{NODE}", 600)
    agent.start()
    agent.ear.wait_for(lambda heartbeat: True if heartbeat.boot_id != before else None, 15)


def test_the_name_is_kept_longer_than_one_lease(agent: AgentProcess, redis_url: str) -> None:
    agent.ear.wait_for(lambda heartbeat: heartbeat)
    with redis.Redis.from_url(redis_url) as client:
        key = f"nodewise:agent:{NODE}"
        value = client.get(key)
        client.pexpire(key, 2500)
        began = time.monotonic()
        wait_until(lambda: int(client.pttl(key)) > 3000, 5, "the lease to be renewed")
        assert client.get(key) == value
        assert time.monotonic() - began < 2.5
        client.flushall()
        wait_until(lambda: client.get(key) == value, 5, "the lease to be taken again")
