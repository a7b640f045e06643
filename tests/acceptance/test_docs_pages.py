"""The pages on coming to Nodewise are run, command by command, on one stack: from KFP, from mlopx, without Kubernetes."""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from nodewise.sdk import Client
from tests.support.documents import ROOT, blocks, files
from tests.support.seed_client import answer_of, require_seed_client, run_script
from tests.support.stack import RunningStack, clean_environment

pytestmark = [pytest.mark.stack, pytest.mark.timeout(400)]

PATIENCE = 120.0
SERVER = "http://127.0.0.1:PORT"
"""The gateway's address as the pages write it."""
PROGRAMS = {"nodewise": "nodewise.sdk.cli", "kfp": "kfp.cli"}
"""The packages whose `__main__` has the program."""


@pytest.fixture
def client(stack: RunningStack) -> Client:
    with Client(stack.api_url) as client:
        yield client


@pytest.fixture
def shell(stack: RunningStack, tmp_path: Path) -> Mapping[str, str]:
    """The environment of somebody who reads a page: the programs are found, and so is the stack."""
    programs = tmp_path / "programs"
    programs.mkdir()
    for name, package in PROGRAMS.items():
        program = programs / name
        code = f"from {package}.__main__ import main; main()"
        program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -W ignore -c "{code}" "$@"\n')
        program.chmod(0o755)
    path = f"{programs}:{os.environ['PATH']}"
    return clean_environment({"NODEWISE_URL": stack.api_url, "PATH": path})


def said(command: list[str], folder: Path, shell: Mapping[str, str]) -> str:
    """What a command printed; it must end well."""
    done = subprocess.run(
        command, cwd=folder, env=shell, capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
    return done.stdout


def states_of(client: Client, pipeline: str) -> list[str]:
    """Of all runs of that pipeline, once they have ended; oldest first."""
    runs = [run for run in client.runs() if run.info["pipeline"] == pipeline]
    return [run.wait(timeout=PATIENCE, progress=False, check=False).state for run in reversed(runs)]


def test_from_kfp(client: Client, shell: Mapping[str, str], tmp_path: Path) -> None:
    theirs, _ = blocks("from-kfp.md", "python")
    (tmp_path / "theirs.py").write_text(theirs)
    (commands,) = blocks("from-kfp.md", "sh", stack=True)
    watched = said(["sh", "-ec", commands], tmp_path, shell)
    assert "SUCCEEDED" in watched
    (program,) = blocks("from-kfp.md", "python", stack=True)
    said([sys.executable, "-W", "ignore", "-c", program], tmp_path, shell)
    assert states_of(client, "theirs") == ["SUCCEEDED"] * 3
    runs = [run for run in client.runs() if run.info["pipeline"] == "theirs"]
    assert [run.info["parameters"]["least"] for run in reversed(runs)] == [0.9, 0.5, 0.5]
    for run in runs:
        ended = {task["path"].rpartition(".")[2] for task in run.tasks() if task["state"] == "SUCCEEDED"}
        assert ended == {"train", "best", "publish", "report"}


def test_without_kubernetes(client: Client, shell: Mapping[str, str], tmp_path: Path) -> None:
    (commands,) = blocks("without-kubernetes.md", "sh", stack=True)
    printed = said(["sh", "-ec", commands], ROOT, shell)
    for word in ("n1", "n4", "fitted", "tree", "SUCCEEDED", "quickstart"):
        assert word in printed, printed
    (program,) = blocks("without-kubernetes.md", "python", stack=True)
    file = tmp_path / "somewhere.py"
    file.write_text(program)
    answer = said([sys.executable, "-W", "ignore", str(file)], tmp_path, shell)
    assert answer.startswith("SUCCEEDED on n")
    assert states_of(client, "somewhere") == ["SUCCEEDED"]


@pytest.fixture
def project(shell: Mapping[str, str], tmp_path: Path) -> Path:
    """What the page shows of a project, with its script for this stack; the data set is registered as the page says."""
    folder = tmp_path / "project"
    folder.mkdir()
    for name, content in files("from-mlopx.md").items():
        (folder / name).write_text(content.replace(SERVER, shell["NODEWISE_URL"]), encoding="utf-8")
    (commands,) = blocks("from-mlopx.md", "sh", stack=True)
    said(["sh", "-ec", commands], folder, shell)
    return folder / "pipeline.py"


def ends_well(client: Client, run_id: str) -> None:
    run = client.wait(run_id, timeout=PATIENCE, progress=False)
    assert run.state == "SUCCEEDED"
    assert {task["path"] for task in run.tasks()} == {
        "data-preprocessing",
        "model-training",
        "model-evaluation",
    }


def test_from_mlopx_unmodified(client: Client, project: Path) -> None:
    require_seed_client()
    ends_well(client, answer_of(run_script(project))["pipeline_id"])


def test_from_mlopx_with_other_import_lines(client: Client, project: Path, shell: Mapping[str, str]) -> None:
    (command,) = blocks("from-mlopx.md", "sh")
    said(["sh", "-ec", command], project.parent, shell)
    *_, other = blocks("from-mlopx.md", "python")
    said([sys.executable, project.name], project.parent, shell)
    assert "SUCCEEDED" in states_of(client, "line-lr")
    points = project.with_name("points.py")
    points.write_text(other.replace(SERVER, shell["NODEWISE_URL"]))
    said([sys.executable, points.name], project.parent, shell)
    assert states_of(client, "points") == ["SUCCEEDED"]
