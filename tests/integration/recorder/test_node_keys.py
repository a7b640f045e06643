"""A recorder believes each node of itself, and nobody of another: through a real broker, and on the record."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.request import urlopen

import pytest
import redis
from sqlalchemy import Engine, event

from nodewise.core.lifecycle import AttemptState
from nodewise.core.messages import HEARTBEAT, Heartbeat
from nodewise.core.messaging.app import create_app
from nodewise.core.model.ids import NodeName
from nodewise.core.nodekeys import ClusterSecret
from nodewise.core.sealing import Refusal, Seal, seal_of_agent, seal_of_carrier, unsealed
from nodewise.core.settings import Settings
from nodewise.stack.ports import choose_ports
from tests.support.nodekeys import SECRET, agent_seal, now, secret_file
from tests.support.recording import World, report
from tests.support.waiting import wait_until


@pytest.fixture
def world(engine: Engine) -> World:
    """What is on record lies a little in the past, as it does for a recorder that runs by its own clock."""
    world = World(engine)
    world.clock.now = now() - timedelta(seconds=3)
    return world


class Heard:
    """A recorder's process, and what is sent to it."""

    def __init__(self, settings: Settings, folder: Path) -> None:
        self.settings = settings
        self.app = create_app("test", settings)
        self.port = choose_ports(["recorder"], {})["recorder"]
        self.log = folder / "recorder.log"
        env = os.environ | {
            "DATABASE_URL": settings.database_url,
            "REDIS_URL": settings.redis_url,
            "NODEWISE_STORE_URL": settings.store_url,
            "NODEWISE_METRICS_PORT": str(self.port),
            "NODEWISE_NODE_SECRET_FILE": str(secret_file(folder)),
            "NODEWISE_LEASE_SECONDS": "60",
            "_KFP_RUNTIME": "true",
        }
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "nodewise.recorder"], env=env, stdout=log, stderr=log
            )

    def send(self, payload: object) -> None:
        self.app.send_task(HEARTBEAT, args=[payload], queue="recorder")

    def refused(self) -> dict[str, int]:
        """How many, by reason."""
        with urlopen(f"http://127.0.0.1:{self.port}/metrics", timeout=5) as answer:
            text = answer.read().decode()
        found = re.findall(
            r'^nodewise_node_messages_refused_total\{reason="(\w+)"\} (\d+)', text, re.MULTILINE
        )
        return {reason: int(number) for reason, number in found}

    def wait_for(self, **refused: int) -> None:
        def there() -> bool:
            try:
                return refused.items() <= self.refused().items()
            except OSError:
                return False

        wait_until(there, 30, f"{refused} to be counted")

    def told(self, node: str) -> int:
        """How many messages wait for that node's agent."""
        with redis.Redis.from_url(self.settings.redis_url) as client:
            return int(client.llen(f"agent.{node}"))


@pytest.fixture
def recorder(settings: Settings, tmp_path: Path) -> Iterator[Heard]:
    heard = Heard(settings, tmp_path)
    yield heard
    heard.process.kill()
    heard.process.wait()
    heard.app.close()


def sealed(heartbeat: Heartbeat, seal: Seal) -> object:
    return seal(HEARTBEAT, heartbeat.node.name, heartbeat)


def test_what_is_not_signed_with_a_nodes_own_key_changes_nothing(world: World, recorder: Heard) -> None:
    world.hear(node="n1")
    run_id = world.submit({"a": []})
    key = world.place(run_id, "a")
    end = world.heartbeat(report(key, "SUCCEEDED"))
    other_cluster = seal_of_agent(ClusterSecret(raw=b"x" * 40).node_key(NodeName("n1")), now)
    carrier = seal_of_carrier(SECRET.carrier_key(), now)

    recorder.send(unsealed(HEARTBEAT, end.node.name, end))
    recorder.send(sealed(end, agent_seal("n2")))
    recorder.send(sealed(end, other_cluster))
    recorder.wait_for(unsigned=1, signature=2)
    recorder.send(agent_seal("n2")(HEARTBEAT, NodeName("n2"), end))
    recorder.send(sealed(end, carrier))
    recorder.wait_for(other_node=2)

    assert world.attempt_state(key) is AttemptState.PLACED
    log = recorder.log.read_text()
    assert log.count("what comes in the name of a node is refused") == 4
    assert run_id not in log
    assert recorder.told("n1") == 3
    assert recorder.told("n2") == 1

    recorder.send(sealed(end, agent_seal("n1")))
    wait_until(lambda: world.run_state(run_id) == "SUCCEEDED", 30, "the run to end")


def test_what_is_compressed_is_dropped_unread(recorder: Heard) -> None:
    text = {"node": "n1", "padding": "0" * 1_000_000}
    recorder.app.send_task(HEARTBEAT, args=[text], queue="recorder", compression="bzip2")
    recorder.send({"node": "n1"})
    recorder.wait_for(unsigned=1)
    assert recorder.refused() == {"unsigned": 1}
    assert "it is compressed, and no message of ours is" in recorder.log.read_text()


def test_a_node_cannot_report_for_an_attempt_of_another(world: World, recorder: Heard) -> None:
    for node in ("n1", "n2"):
        world.hear(node=node)
    run_id = world.submit({"a": []})
    key = world.place(run_id, "a", node="n1")
    recorder.send(sealed(world.heartbeat(report(key, "SUCCEEDED"), node="n2"), agent_seal("n2")))
    recorder.wait_for(attempt=1)
    assert world.attempt_state(key) is AttemptState.PLACED
    assert world.all("SELECT accepted_at FROM attempts") == [(None,)]
    recorder.send(sealed(world.heartbeat(report(key, "SUCCEEDED"), node="n1"), agent_seal("n1")))
    wait_until(lambda: world.run_state(run_id) == "SUCCEEDED", 30, "the run to end")
    assert recorder.refused()["attempt"] == 1


def test_a_heartbeat_that_is_sent_again_makes_no_dead_node_alive(world: World, recorder: Heard) -> None:
    earlier = sealed(world.heartbeat(node="n1", boot="boot-1"), agent_seal("n1"))
    recorder.send(earlier)
    wait_until(lambda: states(world) == {"n1": "READY"}, 30, "the node to be there")
    world.clock.forward(1)
    last = sealed(world.heartbeat(node="n1", boot="boot-2"), agent_seal("n1"))
    recorder.send(last)
    wait_until(lambda: world.all("SELECT boot_id FROM nodes") == [("boot-2",)], 30, "its next life")
    recorder.send(sealed(world.heartbeat(node="n1", boot="boot-2", leaving=True), agent_seal("n1")))
    wait_until(lambda: states(world) == {"n1": "GONE"}, 30, "it to leave")

    long_ago = seal_of_agent(
        SECRET.node_key(NodeName("n1")), lambda: datetime.now(UTC) - timedelta(minutes=5)
    )
    recorder.send(earlier)
    recorder.send(last)
    recorder.send(sealed(world.heartbeat(node="n1", boot="boot-3"), long_ago))
    recorder.wait_for(clock=1)
    recorder.send(sealed(world.heartbeat(node="n2"), agent_seal("n2")))
    wait_until(lambda: "n2" in states(world), 30, "what was sent after all that")
    assert states(world) == {"n1": "GONE", "n2": "READY"}


def states(world: World) -> dict[str, str]:
    return {str(name): str(state) for name, state in world.all("SELECT name, state FROM nodes")}


def test_an_old_heartbeat_still_tells_how_an_attempt_ended(world: World) -> None:
    world.hear()
    run_id = world.submit({"a": []})
    key = world.place(run_id, "a")
    seen = world.all("SELECT last_seen_at FROM nodes")
    world.clock.forward(5)
    world.recorder.on_heartbeat(world.heartbeat(report(key, "SUCCEEDED")), fresh=False)
    assert world.run_state(run_id) == "SUCCEEDED"
    assert world.all("SELECT last_seen_at FROM nodes") == seen


def test_a_carriers_node_reports_no_attempt_of_an_agent_that_had_its_name(world: World) -> None:
    world.hear()
    run_id = world.submit({"a": []})
    key = world.place(run_id, "a")
    heartbeat = world.heartbeat(report(key, "SUCCEEDED"))
    as_carrier = heartbeat.model_copy(update={"node": replace(heartbeat.node, engine="kubernetes")})
    world.recorder.on_heartbeat(as_carrier)
    assert world.attempt_state(key) is AttemptState.PLACED


def test_the_record_is_not_asked_whose_an_attempt_is_that_was_seen_before(
    world: World, engine: Engine
) -> None:
    asked: list[str] = []

    @event.listens_for(engine, "before_cursor_execute")
    def note(_c: object, _cursor: object, statement: str, *_: object) -> None:
        if "a.node <>" in statement:
            asked.append(statement)

    world.hear()
    run_id = world.submit({"a": [], "b": []})
    keys = [world.place(run_id, name) for name in ("a", "b")]
    for state in ("PLACED", "RUNNING", "SUCCEEDED", "SUCCEEDED"):
        world.hear(*(report(key, state) for key in keys))
    assert asked == []
    world.hear(*(report(key, "SUCCEEDED") for key in keys), node="n2")
    assert len(asked) == 1
    assert world.agents.not_heard == [("n2", Refusal.ATTEMPT.value)]


@pytest.mark.parametrize(
    ("given", "said"), [({}, "NODEWISE_NODE_SECRET_FILE is missing"), ({"NODEWISE_NODE_SECRET_FILE": "/none"}, "/none")]
)  # fmt: skip
@pytest.mark.parametrize("service", ["nodewise.recorder", "nodewise.placer"])
def test_without_the_secret_neither_recorder_nor_placer_starts(
    service: str, given: dict[str, str], said: str, settings: Settings
) -> None:
    env = {
        "DATABASE_URL": settings.database_url,
        "REDIS_URL": settings.redis_url,
        "NODEWISE_STORE_URL": settings.store_url,
    }
    done = subprocess.run(
        [sys.executable, "-m", service], env={**os.environ, **env, **given}, capture_output=True, text=True,
        timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert said in done.stderr + done.stdout
    assert "Traceback" not in done.stderr
