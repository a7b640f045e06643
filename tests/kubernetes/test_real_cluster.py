"""The whole stack with a carrier on a real cluster: `NODEWISE_KUBERNETES_TEST=1 python -m pytest tests/kubernetes -s`.

The environment says what a carrier has to know (docs/settings.md): KUBECONFIG, NODEWISE_KUBERNETES_IMAGE, and a store that pods reach: either
NODEWISE_STORE_URL (a bucket), or nothing, where all nodes are this machine: then the store of the stack is mounted as a folder of the node.
NODEWISE_KUBERNETES_TEST_IMAGE is an image with `sh` and `python3` that nodes have or can fetch.
"""

import os
import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import psycopg
import pytest
from kfp import dsl

from nodewise.carrier.api import KubernetesApi
from nodewise.carrier.names import RUN
from nodewise.core.engine.kubeflow.configured import kubernetes_connection
from nodewise.core.settings import Settings
from tests.support.dynamic_runs import compiled_documents
from tests.support.pipelines import hints
from tests.support.stack import HEADERS, RunningStack
from tests.support.waiting import wait_until

pytestmark = [
    pytest.mark.stack,
    pytest.mark.timeout(900),
    pytest.mark.skipif("NODEWISE_KUBERNETES_TEST" not in os.environ, reason="NODEWISE_KUBERNETES_TEST is not set"),
]  # fmt: skip

IMAGE = os.environ.get("NODEWISE_KUBERNETES_TEST_IMAGE", "python:3.11-slim")
SLOW = 240.0
CLEAN = ("NODEWISE_KUBERNETES_", "NODEWISE_STORE_URL", "KUBECONFIG", "AWS_")


@pytest.fixture(scope="module")
def api() -> Iterator[KubernetesApi]:
    settings = Settings()
    api = KubernetesApi(kubernetes_connection(settings), settings.kubernetes_namespace)
    yield api
    api.close()


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningStack]:
    home = tmp_path_factory.mktemp("cluster") / "home"
    env = {name: value for name, value in os.environ.items() if name.startswith(CLEAN)}
    env["NODEWISE_LEASE_SECONDS"] = "30"
    if "NODEWISE_STORE_URL" not in env:
        env["NODEWISE_KUBERNETES_STORE_PATH"] = str(home / "store")
    # Pods write into the store as another user than we are.
    before = os.umask(0)
    running = RunningStack(home=home, agents=0, env=env)
    try:
        (home / "store").mkdir(parents=True)
        started = running.start()
        wait_until(lambda: ready(started), SLOW, "a node that is ready")
        yield started
    finally:
        running.stop()
        os.umask(before)


def ready(stack: RunningStack) -> dict[str, dict[str, Any]]:
    found = httpx.get(f"{stack.api_url}/v1/nodes", headers=HEADERS, timeout=30).json()["items"]
    return {node["name"]: node for node in found if node["state"] == "READY"}


def submit(stack: RunningStack, pipeline: Any, **more: Any) -> str:
    ir, platforms = compiled_documents(pipeline)
    body = {"pipeline_spec": ir, "engine": "kubernetes", "cache": False, **more}
    if platforms and "platform_spec" not in body:
        body["platform_spec"] = platforms
    answer = httpx.post(f"{stack.api_url}/v1/runs", json=body, headers=HEADERS, timeout=30)
    assert answer.status_code == 202, answer.text
    return str(answer.json()["id"])


def run_of(stack: RunningStack, run_id: str) -> dict[str, Any]:
    found: dict[str, Any] = httpx.get(f"{stack.api_url}/v1/runs/{run_id}", headers=HEADERS, timeout=30).json()
    return found


def ended(stack: RunningStack, run_id: str) -> dict[str, Any]:
    wait_until(
        lambda: run_of(stack, run_id)["state"] in ("SUCCEEDED", "FAILED", "CANCELED"),
        SLOW,
        "the run to end",
        every=0.5,
    )
    return run_of(stack, run_id)


def attempts(stack: RunningStack, run_id: str) -> list[dict[str, Any]]:
    with psycopg.connect(stack.database_url, row_factory=psycopg.rows.dict_row) as connection:
        query = "SELECT * FROM attempts WHERE run_id = %s ORDER BY path, attempt"
        return connection.execute(query, (run_id,)).fetchall()


def log(stack: RunningStack, run_id: str, path: str) -> str:
    return httpx.get(f"{stack.api_url}/v1/runs/{run_id}/tasks/{path}/logs", headers=HEADERS, timeout=30).text


def own(api: KubernetesApi, run_id: str, what: Callable[[str], Any]) -> list[Any]:
    return list(what(f"{RUN}={run_id}"))


def small(task: Any) -> Any:
    return task.set_cpu_request("100m").set_memory_request("128Mi")


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def rows(n: int, table: dsl.Output[dsl.Dataset]) -> int:
    print("writing rows")
    with open(table.path, "w") as file:  # noqa: PTH123
        file.writelines(f"{number}\n" for number in range(n))
    return n


@dsl.container_component
def total(table: dsl.Input[dsl.Dataset], sum: dsl.OutputPath(int)) -> dsl.ContainerSpec:  # type: ignore[valid-type]
    program = "import sys; found = sum(map(int, open(sys.argv[1]))); print('summing', found); open(sys.argv[2], 'w').write(str(found))"
    return dsl.ContainerSpec(image=IMAGE, command=["python3", "-c", program], args=[table.path, sum])


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def double(n: int) -> int:
    return 2 * n


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def rest(seconds: float):
    import time  # noqa: PLC0415

    print("resting")
    time.sleep(seconds)


@dsl.container_component
def greedy() -> dsl.ContainerSpec:
    program = (
        "import time; held = bytearray(200 << 20); held[::4096] = b'x' * len(held[::4096]); time.sleep(60)"
    )
    return dsl.ContainerSpec(image=IMAGE, command=["python3", "-c", program])


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def greedy_python():
    import time  # noqa: PLC0415

    held = bytearray(500 << 20)
    held[::4096] = b"x" * len(held[::4096])
    time.sleep(60)


@dsl.container_component
def unknown() -> dsl.ContainerSpec:
    return dsl.ContainerSpec(image="no-such-host.invalid/image:1", command=["true"])


@dsl.container_component
def exits() -> dsl.ContainerSpec:
    return dsl.ContainerSpec(image=IMAGE, command=["sh", "-c", "echo so far; exit 9"])


@dsl.pipeline(name="chain")
def chain(n: int = 5) -> int:
    made = small(rows(n=n))
    summed = small(total(table=made.outputs["table"]))
    return small(double(n=summed.outputs["sum"])).output


def one(component: Any, memory: str | None = None, **arguments: Any) -> Any:
    @dsl.pipeline(name="one")
    def pipeline() -> None:
        task = small(component(**arguments))
        if memory is not None:
            task.set_memory_limit(memory)

    return pipeline


def test_a_pipeline_of_both_kinds_of_components_ends_well_and_leaves_nothing(
    stack: RunningStack, api: KubernetesApi
) -> None:
    run_id = submit(stack, chain)
    began = time.monotonic()
    run = ended(stack, run_id)
    print(f"\n{api.version()}: nodes {sorted(ready(stack))}; three tasks in {time.monotonic() - began:.1f} s")
    assert run["state"] == "SUCCEEDED", run
    assert run["outputs"]["parameters"] == {"Output": 20}
    assert log(stack, run_id, "rows") == "writing rows\n"
    assert log(stack, run_id, "total") == "summing 10\n"
    assert {attempt["node"] for attempt in attempts(stack, run_id)} <= set(ready(stack))
    wait_until(lambda: not own(api, run_id, api.jobs) and not own(api, run_id, api.pods), SLOW, "no Job left")


@pytest.mark.parametrize(
    ("component", "memory", "reason", "text"),
    [
        (exits, None, "exit_code", "exited with code 9"),
        (greedy, "150Mi", "out_of_memory", "its limit of 150 MiB"),
        (greedy_python, "200Mi", "out_of_memory", "200 MiB"),
        (unknown, None, "image_unavailable", "no-such-host.invalid/image:1"),
    ],
)
def test_what_fails_says_why(
    stack: RunningStack, component: Any, memory: str | None, reason: str, text: str
) -> None:
    run_id = submit(stack, one(component, memory))
    assert ended(stack, run_id)["state"] == "FAILED"
    with psycopg.connect(stack.database_url) as connection:
        found = connection.execute(
            "SELECT reason_code, reason FROM tasks WHERE run_id = %s", (run_id,)
        ).fetchone()
    print(f"\n{found}")
    assert found is not None
    assert found[0] == reason
    assert text in found[1]


def test_tasks_go_where_their_labels_demand(stack: RunningStack) -> None:
    for name, node in sorted(ready(stack).items()):
        label = {"kubernetes.io/hostname": node["labels"]["kubernetes.io/hostname"]}
        wanted = hints(double={"requirements": {"labels": label}})
        run_id = submit(stack, one(double, n=1), platform_spec=wanted)
        assert ended(stack, run_id)["state"] == "SUCCEEDED"
        assert [attempt["node"] for attempt in attempts(stack, run_id)] == [name]


def test_a_cancel_ends_the_pod(stack: RunningStack, api: KubernetesApi) -> None:
    run_id = submit(stack, one(rest, seconds=300.0))
    wait_until(lambda: log(stack, run_id, "rest") == "resting\n", SLOW, "the task to begin", every=0.5)
    httpx.post(f"{stack.api_url}/v1/runs/{run_id}/cancel", headers=HEADERS, timeout=30).raise_for_status()
    assert ended(stack, run_id)["state"] == "CANCELED"
    wait_until(lambda: not own(api, run_id, api.jobs) and not own(api, run_id, api.pods), SLOW, "no Job left")


def test_a_carrier_that_was_killed_goes_on(stack: RunningStack, api: KubernetesApi) -> None:
    run_id = submit(stack, one(rest, seconds=15.0))
    wait_until(lambda: log(stack, run_id, "rest") == "resting\n", SLOW, "the task to begin", every=0.5)
    stack.wait_restarted("carrier", stack.kill("carrier"))
    assert ended(stack, run_id)["state"] == "SUCCEEDED"
    assert [attempt["state"] for attempt in attempts(stack, run_id)] == ["SUCCEEDED"]


def test_a_job_that_somebody_deletes_is_made_anew(stack: RunningStack, api: KubernetesApi) -> None:
    run_id = submit(stack, one(rest, seconds=10.0))
    wait_until(lambda: log(stack, run_id, "rest") == "resting\n", SLOW, "the task to begin", every=0.5)
    (job,) = own(api, run_id, api.jobs)
    api.delete_job(job["metadata"]["name"])
    assert ended(stack, run_id)["state"] == "SUCCEEDED"
    assert [attempt["state"] for attempt in attempts(stack, run_id)] == ["LOST", "SUCCEEDED"]
