"""A machine that has the broker's password and no key of this cluster is none of its nodes, and finds out why."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from nodewise.core.model.ids import NodeName
from nodewise.core.nodekeys import ClusterSecret, new_secret, write_private
from nodewise.sdk import Client
from nodewise.stack.keys import carrier_key_file, node_key_file, secret_file
from tests.support.stack import RunningStack, clean_environment, run_command
from tests.support.waiting import wait_until

pytestmark = pytest.mark.stack


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningStack]:
    running = RunningStack(home=tmp_path_factory.mktemp("keys") / "home", agents=1)
    try:
        yield running.start()
    finally:
        running.stop()


@pytest.fixture
def stranger(stack: RunningStack, tmp_path: Path) -> Iterator[Path]:
    """An agent with a key of another cluster; the file that it writes to."""
    key, log = tmp_path / "stranger.key", tmp_path / "stranger.log"
    write_private(key, ClusterSecret(raw=new_secret().encode()).node_key(NodeName("stranger")).text)
    command = [
        sys.executable, "-P", "-m", "nodewise.agent", "--name", "stranger", "--broker", stack.redis_url,
        "--store", stack.store_url, "--work-dir", str(tmp_path / "work"), "--key-file", str(key),
    ]  # fmt: skip
    with log.open("wb") as out:
        process = subprocess.Popen(command, env=clean_environment(), stdout=out, stderr=out)
    yield log
    process.terminate()
    assert process.wait(20) == 0


def test_an_agent_with_the_key_of_another_cluster_is_refused_and_told(
    stack: RunningStack, stranger: Path
) -> None:
    wait_until(
        lambda: "the cluster refuses messages of this node" in stranger.read_text(), 40, "its own line"
    )
    assert "nodewise keys node" in stranger.read_text()
    assert '"node": "stranger"' in stack.log("recorder")
    with Client(stack.api_url) as client:
        assert [node["name"] for node in client.nodes()] == ["n1"]
    doctor = run_command("doctor", "--home", str(stack.home)).stdout
    assert "node keys" in doctor
    assert "signature" in doctor


def test_the_keys_of_a_stack_are_in_no_log_argument_or_environment(stack: RunningStack) -> None:
    files = (secret_file(stack.home), node_key_file(stack.home, "n1"), carrier_key_file(stack.home))
    secrets = [file.read_text().strip() for file in files]
    secrets += [text.rpartition("_")[2] for text in secrets[1:]]
    shown = [file.read_text(errors="replace") for file in (stack.home / "logs").glob("*.log")]
    shown.append((stack.home / "stack.json").read_text())
    for process in stack.state.processes.values():
        one = psutil.Process(process.id.pid)
        shown.append(" ".join(one.cmdline()))
        if os.geteuid() == 0 or one.uids().real == os.geteuid():
            shown.append(str(one.environ()))
    assert not any(secret in text for secret in secrets for text in shown)
