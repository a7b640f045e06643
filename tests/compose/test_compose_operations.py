"""The sections of docs/operations.md on Docker Compose are run: runs that ended and one that goes on are backed up, lost, and restored."""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from nodewise.sdk import Client
from nodewise.stack.ports import choose_ports
from tests.acceptance import acceptance_pipelines as pipelines
from tests.support.compose import ROOT, ComposeStack, engine_answers
from tests.support.documents import programs, run_section
from tests.support.stack import clean_environment
from tests.support.waiting import wait_until

pytestmark = [
    pytest.mark.timeout(3000),
    pytest.mark.skipif(
        not os.environ.get("NODEWISE_COMPOSE_TEST"), reason="left out: `make compose-test` runs it, where a Docker engine answers"
    ),
]  # fmt: skip

PAGE = "operations.md"
PATIENCE = 300.0
STORE = "/var/lib/nodewise/store"
TOLD = f"{STORE}/told"
"""Where the gateway's container and all nodes see the same files."""


@pytest.fixture
def stack() -> Iterator[ComposeStack]:
    assert engine_answers(), "NODEWISE_COMPOSE_TEST is set, but no Docker engine answers"
    (port,) = choose_ports(("gateway",), {}, hosts={"gateway": "127.0.0.1"}).values()
    running = ComposeStack(project="nodewise-test-page", port=port)
    running.down()
    try:
        running.run("up", "--detach", "--build", "--wait", "--wait-timeout", "600", within=2400)
        yield running
    finally:
        running.down()
    assert running.leftovers() == []


def reader(stack: ComposeStack, folder: Path) -> Mapping[str, str]:
    """The environment of somebody who reads the page, in a folder of their own."""
    return clean_environment({
        "PATH": f"{programs(folder)}:{os.environ['PATH']}",
        "COMPOSE_FILE": str(ROOT / "docker-compose.yml"),
        "COMPOSE_PROJECT_NAME": stack.project,
        "COMPOSE_PROGRESS": "quiet",
        "GATEWAY_PORT": str(stack.port),
        "NODEWISE_URL": stack.url,
        "NODEWISE_API_KEY": stack.admin_key(),
    })  # fmt: skip


def test_the_page_of_operations_with_compose(stack: ComposeStack, tmp_path: Path) -> None:
    shell = reader(stack, tmp_path)
    stack.run("exec", "-T", "api", "mkdir", "-p", TOLD)
    with Client(stack.url, api_key=stack.admin_key(), timeout=60) as client:
        looked = run_section(PAGE, "With Docker Compose: is all well?", tmp_path, shell)
        assert [line.split()[1:2] for line in looked.splitlines()].count(["READY"]) == 3, looked
        ended = client.submit(pipelines.fan, lines=3).wait(timeout=PATIENCE, progress=False).id
        followed = run_section(PAGE, "With Docker Compose: follow a run", tmp_path, shell)
        for service in ("api", "scheduler", "placer", "recorder", "agent"):
            assert f'"service": "{service}' in followed, followed
        open_run = client.submit(pipelines.until_told, folder=TOLD).id
        wait_until(
            lambda: "begun" in stack.run("exec", "-T", "api", "ls", TOLD),
            PATIENCE,
            "the task to begin",
            every=1.0,
        )
        run_section(PAGE, "With Docker Compose: back up", tmp_path, shell)
        lost = client.submit(pipelines.fan, lines=4).id
    stack.down()
    listed = run_section(PAGE, "With Docker Compose: restore", tmp_path, shell, within=1200)
    assert ended[:8] in listed
    key = stack.admin_key()
    assert key != shell["NODEWISE_API_KEY"]
    with Client(stack.url, api_key=key, timeout=60) as client:
        assert {run.id for run in client.runs()} == {ended, open_run} != {lost}
        stack.run("exec", "-T", "api", "touch", f"{TOLD}/go")
        assert client.get(open_run).wait(timeout=PATIENCE, progress=False).state == "SUCCEEDED"
        content = client.artifact(open_run, "told", "data", tmp_path).read_text()
        assert content == "made at last"
        assert client.submit(pipelines.fan, lines=5).wait(timeout=PATIENCE, progress=False).succeeded
        stack.sql(f"UPDATE runs SET finished_at = finished_at - interval '31 days' WHERE id = '{ended}'")
        heading = "With Docker Compose: remove what is old"
        printed = run_section(PAGE, heading, tmp_path, {**shell, "NODEWISE_API_KEY": key})
        assert [line.split(", of")[0] for line in printed.splitlines()][::2] == ["would go", "removed"]
        assert ": 1 runs" in printed
        assert ended not in {run.id for run in client.runs()}
