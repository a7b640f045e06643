"""The whole stack with a carrier, on the test server of Kubernetes: the corpus of pipelines, and what else a run meets."""

import os
from collections.abc import Iterator, Mapping

import httpx
import psycopg
import pytest

from tests.support.carriers import carrier_environment
from tests.support.corpus_runs import Ended, check_as_documented, ended_runs
from tests.support.kubernetes_server.server import KubeNode, KubernetesServer
from tests.support.pipelines import compiled, hints
from tests.support.stack import HEADERS, RunningStack
from tests.support.waiting import wait_until
from tests.unit.core_ir.corpus.every import CASES

pytestmark = [pytest.mark.stack, pytest.mark.timeout(1000)]

# A pod for each task takes its time: all of them run where somebody asks for it.
STEP = 1 if os.environ.get("NODEWISE_WHOLE_CORPUS") else 4
INDICES = [index for index, case in enumerate(CASES) if index % STEP == 0 or case.failures]
IDS = [f"{index}-{CASES[index].name}" for index in INDICES]
NODES = (
    KubeNode(name="k1", cpu="8", memory="16Gi", labels={"pool": "large"}),
    KubeNode(name="k2", cpu="4", memory="8Gi", labels={"pool": "small"}),
)


@pytest.fixture(scope="module")
def server() -> Iterator[KubernetesServer]:
    with KubernetesServer(NODES) as server:
        yield server


@pytest.fixture(scope="module")
def stack(server: KubernetesServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningStack]:
    """A stack with one agent and a carrier of two nodes."""
    home = tmp_path_factory.mktemp("kubernetes") / "home"
    env = {**carrier_environment(server, str(home / "store")), "NODEWISE_LEASE_SECONDS": "30"}
    running = RunningStack(home=home, agents=1, env=env)
    try:
        started = running.start()
        wait_until(lambda: {"k1", "k2"} <= ready_nodes(started), 60, "the nodes of the cluster")
        yield started
    finally:
        running.stop()
    assert running.leftovers() == []


def ready_nodes(stack: RunningStack) -> set[str]:
    found = httpx.get(f"{stack.api_url}/v1/nodes", headers=HEADERS, timeout=30).json()
    return {node["name"] for node in found["items"] if node["state"] == "READY"}


@pytest.fixture(scope="module")
def ended(stack: RunningStack, tmp_path_factory: pytest.TempPathFactory) -> Mapping[int, Ended]:
    """The sample submitted at once, and waited for."""
    return ended_runs(stack, tmp_path_factory.mktemp("packages"), engine="kubernetes", indices=INDICES)


@pytest.mark.parametrize("index", INDICES, ids=IDS)
def test_it_ends_as_documented(index: int, ended: Mapping[int, Ended]) -> None:
    check_as_documented(CASES[index], ended[index])


def test_tasks_of_either_engine_stay_on_its_nodes(stack: RunningStack, ended: Mapping[int, Ended]) -> None:
    run = httpx.post(
        f"{stack.api_url}/v1/runs", json={**two_steps(), "engine": "agents"}, headers=HEADERS, timeout=30
    )
    run_id = run.json()["id"]
    wait_until(lambda: state_of(stack, run_id) == "SUCCEEDED", 120, "the run on the agent")
    with psycopg.connect(stack.database_url) as connection:
        found = connection.execute(
            "SELECT DISTINCT r.engine, n.engine FROM attempts a JOIN runs r ON r.id = a.run_id JOIN nodes n ON n.name = a.node"
        ).fetchall()
    assert set(found) == {("agents", "agents"), ("kubernetes", "kubernetes")}


def test_what_ended_well_leaves_nothing_in_the_cluster(
    server: KubernetesServer, ended: Mapping[int, Ended]
) -> None:
    wait_until(lambda: not server.jobs() and not server.pods(), 60, "an empty cluster")


def test_a_run_survives_a_carrier_that_is_killed_and_a_job_that_is_deleted(
    stack: RunningStack, server: KubernetesServer, ended: Mapping[int, Ended]
) -> None:
    run_id = submitted(stack, 5.0)
    wait_until(server.jobs, 60, "its first Job")
    server.delete_job(server.jobs()[0]["metadata"]["name"])
    old = stack.kill("carrier")
    stack.wait_restarted("carrier", old)
    wait_until(lambda: state_of(stack, run_id) == "SUCCEEDED", 240, "the run to end well")


def test_a_canceled_run_leaves_nothing_in_the_cluster(
    stack: RunningStack, server: KubernetesServer, ended: Mapping[int, Ended]
) -> None:
    run_id = submitted(stack, 60.0)
    wait_until(server.jobs, 60, "its first Job")
    httpx.post(f"{stack.api_url}/v1/runs/{run_id}/cancel", headers=HEADERS, timeout=30).raise_for_status()
    wait_until(lambda: state_of(stack, run_id) == "CANCELED", 120, "the run to be canceled")
    wait_until(lambda: not server.jobs() and not server.pods(), 60, "an empty cluster")


def test_a_task_goes_where_its_labels_demand(stack: RunningStack, ended: Mapping[int, Ended]) -> None:
    wanted = hints(first={"requirements": {"labels": {"pool": "small"}}})
    run_id = submitted(stack, platform_spec=wanted)
    wait_until(lambda: state_of(stack, run_id) == "SUCCEEDED", 240, "the run to end well")
    with psycopg.connect(stack.database_url) as connection:
        found = connection.execute(
            "SELECT node FROM attempts WHERE run_id = %s AND path = 'first'", (run_id,)
        ).fetchall()
    assert found == [("k2",)]


def two_steps(seconds: float = 0.0) -> dict[str, object]:
    """A pipeline whose first task takes so long."""
    pipeline = compiled("two-steps", tasks={"first": (), "second": ("first",)})
    command = pipeline["deploymentSpec"]["executors"]["exec-first"]["container"]["command"]
    command[-1] = command[-1].replace("pass", f"import time\n    time.sleep({seconds})")
    return {"pipeline_spec": pipeline, "cache": False}


def submitted(stack: RunningStack, seconds: float = 0.0, **more: object) -> str:
    body = {**two_steps(seconds), "engine": "kubernetes", **more}
    answer = httpx.post(f"{stack.api_url}/v1/runs", json=body, headers=HEADERS, timeout=30)
    assert answer.status_code == 202, answer.text
    return str(answer.json()["id"])


def state_of(stack: RunningStack, run_id: str) -> str:
    return str(httpx.get(f"{stack.api_url}/v1/runs/{run_id}", headers=HEADERS, timeout=30).json()["state"])
