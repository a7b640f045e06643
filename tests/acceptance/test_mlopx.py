"""The seed's pipelines run to the end on the agents engine: sent by its own client, and by ours with changed import lines."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest

from nodewise.sdk import Client
from tests.support import mlopx_scripts as scripts
from tests.support.seed_client import answer_of, require_seed_client, run_script
from tests.support.stack import HEADERS, RunningStack

pytestmark = [pytest.mark.stack, pytest.mark.timeout(300)]
PATIENCE = 120.0


@pytest.fixture
def client(stack: RunningStack) -> Client:
    with Client(stack.api_url) as client:
        yield client


def assert_ends_well(stack: RunningStack, client: Client, run_id: str) -> None:
    run = client.wait(run_id, timeout=PATIENCE, progress=False)
    assert run.state == "SUCCEEDED"
    assert run.outputs("model-evaluation")["Output"]["slope"] == 3.0
    assert run.outputs("model-evaluation")["Output"]["mse"] < 1e-9
    shown = httpx.get(f"{stack.api_url}/pipelines/{run_id}", headers=HEADERS).json()
    assert (shown["state"], shown["duration"] is None) == ("SUCCEEDED", False)
    parts = shown["components"].values()
    assert [part["state"] for part in parts] == ["SUCCEEDED"] * 3
    assert all(part["node"] and part["platform"] and part["duration"] is not None for part in parts)


@pytest.mark.usefixtures("line")
@pytest.mark.parametrize("metadata", [scripts.LINEAR, scripts.CNN], ids=["linear regression", "cnn"])
def test_the_unmodified_client_gets_its_pipelines_run(
    stack: RunningStack, client: Client, tmp_path: Path, metadata: dict[str, Any]
) -> None:
    require_seed_client()
    project = tmp_path / "project"
    project.mkdir()
    done = run_script(scripts.write_project(project, server=stack.api_url, metadata=metadata))
    assert_ends_well(stack, client, answer_of(done)["pipeline_id"])


@pytest.mark.usefixtures("line")
def test_the_same_scripts_run_with_their_import_lines_changed(
    stack: RunningStack, client: Client, tmp_path: Path
) -> None:
    project = tmp_path / "project"
    project.mkdir()
    scripts.write_project(project, server=stack.api_url)
    for file in project.glob("*.py"):
        file.write_text(file.read_text().replace("from mlopx.", "from nodewise.sdk.compat.mlopx."))
    done = subprocess.run(
        [sys.executable, "pipeline.py"],
        cwd=project,
        env={**os.environ},
        capture_output=True,
        text=True,
        check=False,
    )
    assert_ends_well(stack, client, answer_of(done)["pipeline_id"])
