"""docs/operations.md is run, section by section: a stack with runs that ended and one that goes on is backed up, lost, and restored."""

import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path

import psycopg
import pytest

from nodewise.sdk import Client
from nodewise.stack.keys import key_in
from tests.acceptance import acceptance_pipelines as pipelines
from tests.support.documents import programs, run_section
from tests.support.stack import RunningStack, clean_environment
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.stack, pytest.mark.timeout(600)]

PAGE = "operations.md"
PATIENCE = 180.0


@pytest.fixture
def shell(tmp_path: Path) -> Mapping[str, str]:
    """The environment of somebody who reads the page: `nodewise` and `python` are those of the installation."""
    found = clean_environment({"PATH": f"{programs(tmp_path)}:{os.environ['PATH']}"})
    # It is found in the home, also in one that was restored.
    return {name: value for name, value in found.items() if name != "NODEWISE_API_KEY"}


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[RunningStack]:
    running = RunningStack(home=tmp_path / "here" / ".nodewise", agents=2)
    running.home.parent.mkdir()
    try:
        yield running.start()
    finally:
        running.stop()
    assert running.leftovers() == []


def test_the_page_of_operations(stack: RunningStack, shell: Mapping[str, str], tmp_path: Path) -> None:
    here = stack.home.parent
    with Client(stack.api_url, timeout=60) as client:
        ended = client.submit(pipelines.fan, lines=3).wait(timeout=PATIENCE, progress=False).id
        assert "ok    nodes" in run_section(PAGE, "On one machine: is all well?", here, shell)
        followed = run_section(PAGE, "On one machine: follow a run", here, shell)
        for service in ("api", "scheduler", "placer-1", "recorder", "agent"):
            assert f'"service": "{service}"' in followed, followed
        drained = run_section(PAGE, "On one machine: take a node out of use", here, shell)
        assert "Nothing is on n2 any more." in drained
        assert "READY, cordoned" in drained
        assert {node["cordoned_at"] for node in client.nodes()} == {None}
        open_run = client.submit(pipelines.until_told, folder=str(tmp_path)).id
        wait_until((tmp_path / "begun").exists, PATIENCE, "the task to begin")
        run_section(PAGE, "On one machine: back up", here, shell)
        lost = client.submit(pipelines.fan, lines=4).id
    stack.stop()
    shutil.rmtree(stack.home)
    run_section(PAGE, "On one machine: restore", here, shell)
    with Client(stack.api_url, timeout=60, api_key=key_in(stack.home)) as client:
        assert {run.id for run in client.runs()} == {ended, open_run} != {lost}
        (tmp_path / "go").touch()
        run = client.get(open_run).wait(timeout=PATIENCE, progress=False)
        assert run.state == "SUCCEEDED"
        content = client.artifact(open_run, "told", "data", tmp_path).read_text()
        assert content == "made at last"
        assert (
            client.submit(pipelines.fan, lines=5).wait(timeout=PATIENCE, progress=False).state == "SUCCEEDED"
        )
        with psycopg.connect(stack.database_url) as connection:
            connection.execute(
                "UPDATE runs SET finished_at = finished_at - interval '31 days' WHERE id = %s", [ended]
            )
        printed = run_section(PAGE, "On one machine: remove what is old", here, shell)
        assert [line.split(", of")[0] for line in printed.splitlines()][::2] == ["would go", "removed"]
        assert ": 1 runs" in printed
        assert ended not in {run.id for run in client.runs()}
        assert client.artifact(open_run, "told", "data", tmp_path).read_text() == content
