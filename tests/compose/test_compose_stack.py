"""The stack of docker-compose.yml from its first start to its end, with the demo's waves: `make compose-test`.

One story, told by one fixture; each test looks at one thing that must hold in it.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from examples.demo import WAVES
from nodewise.sdk.client import Client, Run
from nodewise.stack.ports import choose_ports
from tests.acceptance import acceptance_pipelines as pipelines
from tests.support.compose import ROOT, ComposeStack, engine_answers
from tests.support.waiting import wait_until

pytestmark = [
    pytest.mark.timeout(3000),
    pytest.mark.skipif(
        not os.environ.get("NODEWISE_COMPOSE_TEST"), reason="left out: `make compose-test` runs it, where a Docker engine answers"
    ),
]  # fmt: skip

PLACERS = 4
ONCE = {"passwords", "migrate"}
PATIENCE_SECONDS = 1500.0
MOST_BURSTS = 8


@dataclass
class Story:
    """What was seen on the way."""

    stack: ComposeStack
    first: list[dict[str, Any]] = field(default_factory=list)
    quickstart: Run | None = None
    runs: list[Run] = field(default_factory=list)
    targets: dict[str, str] = field(default_factory=dict)
    placed: dict[str, float] = field(default_factory=dict)
    restarted: list[str] = field(default_factory=list)
    kept: bool = False
    """Whether scaling left all other containers alone."""


@pytest.fixture(scope="module")
def story() -> Iterator[Story]:
    assert engine_answers(), "NODEWISE_COMPOSE_TEST is set, but no Docker engine answers"
    (port,) = choose_ports(("gateway",), {}, hosts={"gateway": "127.0.0.1"}).values()
    stack = ComposeStack(project="nodewise-test", port=port)
    stack.down()
    try:
        yield told(Story(stack=stack))
    finally:
        show(stack)
        stack.down()
    assert stack.leftovers() == []


def told(story: Story) -> Story:
    stack = story.stack
    with stack.timed("images built"):
        stack.run("build", within=2400)
    with stack.timed("up, all healthy"):
        stack.run("up", "--detach", "--wait", "--wait-timeout", "600", within=700)
    story.first = stack.containers(all_of_them=True)
    with Client(stack.url, api_key=stack.admin_key(), timeout=60, retries=12) as client:
        with stack.timed("the first pipeline"):
            story.quickstart = client.submit(str(ROOT / "examples" / "quickstart.py")).wait(
                timeout=PATIENCE_SECONDS, progress=False, check=False
            )
        with stack.timed("three waves, with scaling and restarts between them"):
            run_waves(client, story)
        with stack.timed("until all placers have placed"):
            keep_all_placers_busy(client, story)
    story.targets = wait_until(
        lambda: targets if all_up(targets := stack.targets()) else {}, 60, "all targets up", every=2.0
    )
    return story


def run_waves(client: Client, story: Story) -> None:
    """Scale while the first wave runs, restart the servers while the second does."""
    stack = story.stack
    submit(client, story, 0)
    wait_until(
        lambda: any(run.refresh().state == "RUNNING" for run in story.runs), 120, "a run that runs", every=0.5
    )
    before = {container["Id"] for container in stack.containers()}
    with stack.timed("four placers instead of one"):
        stack.run("up", "--detach", "--wait", "--scale", f"placer={PLACERS}")
    story.kept = before < {container["Id"] for container in stack.containers()}
    submit(client, story, 1)
    for server in ("redis", "postgres"):
        with stack.timed(f"restart of {server}"):
            stack.run("restart", "--timeout", "20", server)
        story.restarted.append(server)
        submit(client, story, 2) if server == "redis" else None
    for run in story.runs:
        run.wait(timeout=PATIENCE_SECONDS, progress=False, check=False)


def submit(client: Client, story: Story, wave: int) -> None:
    folder = ROOT / "examples" / "waves"
    story.runs += [
        client.submit(f"{folder}/{target}", labels={"wave": str(wave + 1)}) for target in WAVES[wave]
    ]


def keep_all_placers_busy(client: Client, story: Story) -> None:
    """Which placer takes which batch is chance: small tasks come until every one has shown that it places."""
    for _ in range(MOST_BURSTS):
        story.runs.append(
            client.submit(pipelines.burst).wait(timeout=PATIENCE_SECONDS, progress=False, check=False)
        )
        story.placed = story.stack.series("sum by (instance) (nodewise_placements_total) > 0")
        if len(story.placed) == PLACERS:
            return


def all_up(targets: dict[str, str]) -> bool:
    return bool(targets) and set(targets.values()) == {"up"}


def show(stack: ComposeStack) -> None:
    """The figures, for whoever reads the output."""
    for step, seconds in stack.seconds.items():
        print(f"  {step}: {seconds:.1f} s")


def state_of(container: dict[str, Any]) -> str:
    state = container["State"]
    return str(state.get("Health", {}).get("Status") or state["Status"])


def service_of(container: dict[str, Any]) -> str:
    return str(container["Config"]["Labels"]["com.docker.compose.service"])


def test_everything_came_up_healthy_and_what_runs_once_ended_well(story: Story) -> None:
    states = {service_of(container): state_of(container) for container in story.first}
    assert states.pop("node-exporter") == "running"
    assert {name for name, state in states.items() if state == "exited"} == ONCE
    assert {state for name, state in states.items() if name not in ONCE} == {"healthy"}
    assert {c["State"]["ExitCode"] for c in story.first if service_of(c) in ONCE} == {0}


def test_a_pipeline_submitted_from_the_host_ended_well(story: Story) -> None:
    assert story.quickstart is not None
    assert story.quickstart.succeeded, story.quickstart.table()


def test_every_run_ended_well_although_both_servers_were_restarted_under_them(story: Story) -> None:
    assert story.restarted == ["redis", "postgres"]
    assert len(story.runs) > sum(map(len, WAVES))
    assert [run.table() for run in story.runs if not run.succeeded] == []


def test_no_node_was_overbooked_and_nothing_stays_booked(story: Story) -> None:
    assert story.stack.sql("SELECT node FROM booking_peaks WHERE overbooked") == []
    assert story.stack.sql("SELECT count(*) > 0 FROM booking_peaks") == [["t"]]
    assert story.stack.sql("SELECT sum(booked_millicores + running_tasks) FROM node_loads") == [["0"]]


def test_each_task_ended_well_once(story: Story) -> None:
    twice = "SELECT run_id, path FROM attempts WHERE state = 'SUCCEEDED' GROUP BY 1, 2 HAVING count(*) > 1"
    assert story.stack.sql(twice) == []


def test_the_metrics_show_four_placers_placing(story: Story) -> None:
    assert len(story.placed) == PLACERS, story.placed
    rows = story.stack.sql("SELECT count(DISTINCT placer) FROM attempts")
    assert rows == [[str(PLACERS)]]


def test_scaling_placers_leaves_everything_else_as_it_runs(story: Story) -> None:
    assert story.kept


def test_prometheus_sees_every_target(story: Story) -> None:
    assert len(story.targets) == 1 + 4 + PLACERS + 3 + 1
    assert all_up(story.targets)


def test_the_monitor_learned_of_every_node_from_prometheus(story: Story) -> None:
    with Client(story.stack.url, api_key=story.stack.admin_key()) as client:
        nodes = {node["name"]: node for node in client.nodes()}
    assert nodes.keys() == {"big", "small", "gpu"}
    assert '"source":"prometheus"' in story.stack.ask("monitor", "http://127.0.0.1:8080/v1/cluster")


def test_our_containers_run_as_another_user_on_a_read_only_root_without_capabilities(story: Story) -> None:
    ours = [c for c in story.stack.containers() if c["Config"]["Image"].startswith("nodewise/")]
    assert len(ours) == 4 + PLACERS + 3
    for container in ours:
        host = container["HostConfig"]
        assert container["Config"]["User"] == "10001:10001"
        assert (host["ReadonlyRootfs"], host["CapDrop"], host["CapAdd"]) == (True, ["ALL"], None)
    status = story.stack.run("exec", "-T", "api", "cat", "/proc/1/status")
    assert "CapEff:\t0000000000000000" in status


def test_a_container_of_an_agent_reaches_neither_postgres_nor_the_gateway(story: Story) -> None:
    code = "import socket, sys\ntry: socket.getaddrinfo(sys.argv[1], 1)\nexcept OSError: print('unknown')"
    for name in ("postgres", "api"):
        assert story.stack.run("exec", "-T", "agent-big", "python", "-c", code, name).strip() == "unknown"


def test_only_the_gateway_listens_on_the_host(story: Story) -> None:
    published = {
        (service_of(container), entry["HostIp"])
        for container in story.stack.containers()
        for entries in container["HostConfig"]["PortBindings"].values()
        for entry in entries
    }
    assert published == {("api", "127.0.0.1")}


def test_dashboards_get_a_role_that_may_only_read(story: Story) -> None:
    stack = story.stack
    stack.run("--profile", "dashboards", "run", "--rm", "-T", "reader")
    stack.run("--profile", "dashboards", "run", "--rm", "-T", "reader")
    rights = stack.sql(
        "SELECT has_table_privilege('nodewise_reader', 'runs', 'SELECT'), "
        "has_table_privilege('nodewise_reader', 'runs', 'INSERT, UPDATE, DELETE')"
    )
    assert rights == [["t", "f"]]
