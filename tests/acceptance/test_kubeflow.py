"""The whole stack beside a KFP: submitted with the command line, ordered and placed here, run there, on record here."""

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.integration.kubeflow.conftest import rich
from tests.support.kfp_server.behaviour import Outcome, by_task
from tests.support.kfp_server.server import KfpServer
from tests.support.kubeflow import compiled
from tests.support.stack import RunningStack, clean_environment

pytestmark = pytest.mark.stack


class Turning:
    """Turns the server's clock as the world's turns."""

    def __init__(self, server: KfpServer) -> None:
        self._server = server
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._turn, daemon=True)

    def __enter__(self) -> None:
        self._server.clock.now = datetime.now(UTC)
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def _turn(self) -> None:
        while not self._done.wait(0.1):
            passed = datetime.now(UTC) - self._server.clock.now
            self._server.turn(max(0.0, passed.total_seconds()))


@pytest.fixture
def server() -> Iterator[KfpServer]:
    with KfpServer() as server, Turning(server):
        yield server


@pytest.fixture
def stack(server: KfpServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningStack]:
    """A stack without agents, and a KFP with two nodes of Kubernetes."""
    env = {
        "NODEWISE_KFP_URL": server.url,
        "NODEWISE_KUBERNETES_URL": server.url,
        "NODEWISE_KUBERNETES_SECONDS": "0.5",
        "NODEWISE_KFP_POLL_SECONDS": "0.5",
    }
    running = RunningStack(home=tmp_path_factory.mktemp("kubeflow") / "home", agents=0, placers=2, env=env)
    try:
        yield running.start()
    finally:
        running.stop()
    assert running.leftovers() == []


def nodewise(stack: RunningStack, *arguments: str) -> Any:
    done = subprocess.run(
        [sys.executable, "-m", "nodewise.sdk.cli", *arguments, "--json", "--url", stack.api_url],
        env=clean_environment(),
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout)


def test_a_pipeline_runs_on_kfp_and_is_on_record_here(
    stack: RunningStack, server: KfpServer, tmp_path: Path
) -> None:
    server.behave = by_task(double=Outcome(seconds=0.5, outputs={"Output": 5}))
    ir, _ = compiled(rich, tmp_path)
    file = tmp_path / "rich.yaml"
    file.write_text(yaml.safe_dump(ir), encoding="utf-8")
    ended = nodewise(stack, "submit", str(file), "--engine", "kubeflow", "--watch", "--priority", "3")
    assert (ended["state"], ended["engine"], ended["error"]) == ("SUCCEEDED", "kubeflow", None)
    assert ended["tasks"]["by_state"] == {"SUCCEEDED": 7, "SKIPPED": 1}
    (posted,) = {workflow.run_id for workflow in server.runs.workflows}
    assert posted == ended["id"]
    tasks = nodewise(stack, "explain", ended["id"])["tasks"]
    assert all(task["attempts"] for task in tasks if task["state"] == "SUCCEEDED")
    nodes = nodewise(stack, "nodes")
    assert {(node["name"], node["state"]) for node in nodes} == {("n1", "READY"), ("n2", "READY")}
    assert all(node["booked"]["millicores"] == 0 for node in nodes)
