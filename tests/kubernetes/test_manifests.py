"""The stack of deploy/kubernetes/test from its making to its end, on the cluster that KUBECONFIG names: `make k8s-test`.

One story, told by one fixture; each test looks at one thing that must hold in it. Two engines share its queue: agents as pods of a DaemonSet, and
`kubernetes`, whose carrier makes a Job of each task.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from kfp import dsl

from nodewise.sdk import Resources, pipeline, task
from nodewise.sdk.client import Client, Run
from tests.acceptance import acceptance_pipelines as pipelines
from tests.support.cluster import ROOT, ClusterStack, cluster_answers
from tests.support.waiting import wait_until

pytestmark = [
    pytest.mark.timeout(3000),
    pytest.mark.skipif(
        not os.environ.get("NODEWISE_MANIFESTS_TEST"), reason="left out: `make k8s-test` runs it, on the cluster that KUBECONFIG names"
    ),
]  # fmt: skip

ENGINES = ("agents", "kubernetes")
WAVE = (
    "wine_quality.py:wine_quality_decision_tree",
    "adult_income.py:adult_income_decision_tree",
    "credit_card.py:credit_card_logistic_regression",
)
PLACERS = 3
PATIENCE_SECONDS = 900.0
HOST = "kubernetes.io/hostname"
OURS = ("api", "scheduler", "placer", "monitor", "recorder", "agent", "carrier")
IMAGE = f"{os.environ.get('IMAGE_PREFIX', 'nodewise')}/agent:{os.environ.get('IMAGE_TAG', 'local')}"


@task(resources=Resources(cpu=0.1, memory="128Mi"))
def here(n: int) -> int:
    return n


def fixed_to(host: str) -> Any:
    """Three tasks that demand a node by its label."""

    @pipeline(name="on-one-node")
    def on_host() -> None:
        for n in range(3):
            here(n=n).require(**{HOST: host})

    return on_host


@dsl.container_component
def whoever(said: dsl.OutputPath(str)) -> dsl.ContainerSpec:  # type: ignore[valid-type]
    program = "import os, sys; open(sys.argv[1], 'w').write(str(os.getuid()))"
    return dsl.ContainerSpec(image=IMAGE, command=["python", "-c", program], args=[said])


@dsl.pipeline(name="own-image")
def own_image() -> None:
    whoever().set_cpu_request("100m").set_memory_request("64Mi")


@dataclass
class Story:
    """What was seen on the way."""

    stack: ClusterStack
    hosts: dict[str, str] = field(default_factory=dict)
    """The nodes of the cluster that take pods, and their host names."""
    known: dict[str, dict[str, Any]] = field(default_factory=dict)
    fixed: dict[tuple[str, str], Run] = field(default_factory=dict)
    """By engine and node."""
    runs: list[Run] = field(default_factory=list)
    own_image: Run | None = None
    said: dict[str, Any] = field(default_factory=dict)
    """The outputs of the component with its own image."""
    status: dict[str, str] = field(default_factory=dict)

    @property
    def all_runs(self) -> list[Run]:
        return [*self.runs, *self.fixed.values()]


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    assert cluster_answers(), "NODEWISE_MANIFESTS_TEST is set, but KUBECONFIG names no cluster that answers"
    stack = ClusterStack(folder=tmp_path_factory.mktemp("cluster"))
    stack.down()
    try:
        yield told(Story(stack=stack))
    finally:
        with stack.timed("everything removed"):
            stack.down()
        show(stack)
    assert stack.leftovers() == []


def told(story: Story) -> Story:
    stack = story.stack
    with stack.timed("up, all ready"):
        stack.up()
    story.hosts = stack.hosts()
    with (
        stack.watching(),
        stack.gateway() as url,
        Client(url, api_key=stack.key, timeout=60, retries=12) as client,
    ):
        with stack.timed("until all nodes are known"):
            story.known = wait_until(lambda: all_known(client, story.hosts), 120, "all nodes", every=1.0)
        with stack.timed("the first pipeline, on each engine"):
            for engine in ENGINES:
                submit(client, story, str(ROOT / "examples" / "quickstart.py"), engine)
            wait(story.runs)
        with stack.timed("tasks that demand a node, on each node and engine"):
            demand_each_node(client, story)
        with stack.timed("a component with its own image"):
            story.own_image = client.submit(own_image, engine="kubernetes", cache=False)
            wait([story.own_image])
            story.said = story.own_image.outputs("whoever")
        with stack.timed("a wave on each engine, with placers scaled and the carrier replaced"):
            run_waves(client, story)
        story.status = {name: stack.status_of(name) for name in OURS}
    return story


def submit(client: Client, story: Story, target: object, engine: str) -> None:
    story.runs.append(client.submit(target, engine=engine, cache=False))


def wait(runs: list[Run]) -> None:
    for run in runs:
        run.wait(timeout=PATIENCE_SECONDS, progress=False, check=False)


def all_known(client: Client, hosts: dict[str, str]) -> dict[str, dict[str, Any]]:
    """The nodes that Nodewise has, as soon as every node of the cluster is there for both engines."""
    known = {node["name"]: node for node in client.nodes() if node["state"] == "READY"}
    return known if known.keys() >= {*hosts, *(f"agent-{name}" for name in hosts)} else {}


def demand_each_node(client: Client, story: Story) -> None:
    for engine in ENGINES:
        for name, host in story.hosts.items():
            story.fixed[engine, name] = client.submit(fixed_to(host), engine=engine, cache=False)
    wait(list(story.fixed.values()))


def run_waves(client: Client, story: Story) -> None:
    stack = story.stack
    began = len(story.runs)
    for engine in ENGINES:
        for target in WAVE:
            submit(client, story, str(ROOT / "examples" / "waves" / target), engine)
        submit(client, story, pipelines.fan, engine)
    stack.kubectl("scale", "deployment/placer", f"--replicas={PLACERS}")
    wait_until(
        lambda: any(stack.task_pods_of(run.id) for run in story.runs[began:]),
        120,
        "a pod of a task",
        every=0.5,
    )
    stack.replace_pod("carrier")
    wait(story.runs)


def show(stack: ClusterStack) -> None:
    """The figures, for whoever reads the output."""
    print(f"\n  Kubernetes {stack.version}; left out there: {', '.join(stack.left_out) or 'nothing'}")
    for step, seconds in stack.seconds.items():
        print(f"  {step}: {seconds:.1f} s")


def node_of(engine: str, name: str) -> str:
    return f"agent-{name}" if engine == "agents" else name


def test_every_node_is_there_for_both_engines(story: Story) -> None:
    assert story.known.keys() == {node_of(engine, name) for engine in ENGINES for name in story.hosts}
    rows = story.stack.sql("SELECT name, engine FROM nodes")
    assert {(node_of(engine, name), engine) for engine in ENGINES for name in story.hosts} == {
        tuple(row) for row in rows
    }


def test_every_run_ended_well_although_the_carrier_was_replaced_under_them(story: Story) -> None:
    assert len(story.runs) == len(ENGINES) * (1 + len(WAVE) + 1)
    assert [run.table() for run in story.all_runs if not run.succeeded] == []


def test_each_task_ended_well_once_and_none_was_lost(story: Story) -> None:
    states = story.stack.sql("SELECT state, count(*) FROM attempts GROUP BY 1")
    assert [state for state, _ in states] == ["SUCCEEDED"], states
    twice = "SELECT run_id, path FROM attempts WHERE state = 'SUCCEEDED' GROUP BY 1, 2 HAVING count(*) > 1"
    assert story.stack.sql(twice) == []
    print(f"\n  {states[0][1]} tasks of {len(story.all_runs) + 1} runs on {len(story.known)} nodes")


def test_tasks_landed_on_the_node_that_their_labels_demand(story: Story) -> None:
    rows = story.stack.sql("SELECT DISTINCT run_id, node FROM attempts")
    for (engine, name), run in story.fixed.items():
        assert [node for run_id, node in rows if run_id == run.id] == [node_of(engine, name)]


def test_kubernetes_ran_their_pods_there(story: Story) -> None:
    for (engine, name), run in story.fixed.items():
        pods = story.stack.task_pods_of(run.id)
        if engine == "kubernetes":
            assert len({pod.name for pod in pods}) == 3
            assert {pod.node for pod in pods} == {name}
        else:
            assert pods == set()
    agents = story.stack.asked("pods", "--selector", "app.kubernetes.io/name=agent")
    assert {pod["spec"]["nodeName"] for pod in agents} == story.hosts.keys()


def test_a_component_with_its_own_image_ended_well(story: Story) -> None:
    assert story.own_image is not None
    assert story.own_image.succeeded, story.own_image.table()
    assert story.said == {"said": "10001"}


def test_no_node_was_overbooked_and_nothing_stays_booked(story: Story) -> None:
    stack = story.stack
    assert stack.sql("SELECT node FROM booking_peaks WHERE overbooked") == []
    assert {node for (node,) in stack.sql("SELECT DISTINCT node FROM booking_peaks")} >= story.known.keys()
    assert stack.sql("SELECT sum(booked_millicores + running_tasks) FROM node_loads") == [["0"]]


def test_no_job_of_a_task_is_left(story: Story) -> None:
    wait_until(
        lambda: story.stack.asked("jobs", "--selector", "nodewise.dev/run") == [],
        120,
        "no Job left",
        every=1.0,
    )


def test_our_containers_run_as_another_user_without_capabilities_on_a_read_only_root(story: Story) -> None:
    assert story.status.keys() == set(OURS)
    for status in story.status.values():
        assert "Uid:\t10001\t10001" in status
        assert "CapEff:\t0000000000000000" in status
        assert "NoNewPrivs:\t1" in status
        assert "root is read-only" in status


def test_the_carrier_has_the_rights_that_it_checks_for_and_may_not_read_secrets(story: Story) -> None:
    said = story.stack.kubectl(
        "exec", "deployment/carrier", "--", "python", "-P", "-m", "nodewise.carrier", "check"
    )
    assert {line.split()[0] for line in said.splitlines()} == {"ok"}, said
    account = f"--as=system:serviceaccount:{story.stack.namespace}:carrier"
    assert not story.stack.may("get", "secrets", account)
    assert story.stack.may("create", "jobs.batch", account)


def test_a_container_with_tasks_holds_the_key_of_its_node_and_the_password_of_the_broker_only(
    story: Story,
) -> None:
    said = story.stack.kubectl(
        "exec", "daemonset/agent", "--", "find", "-L", "/var/lib/nodewise", "-path", "*/.*", "-prune",
        "-o", "-path", "*/store/*", "-prune", "-o", "-path", "*/agent/*", "-prune", "-o", "-type", "f", "-print",
    )  # fmt: skip
    assert set(said.split()) == {
        "/var/lib/nodewise/secrets/node/key",
        "/var/lib/nodewise/secrets/redis/password",
    }
