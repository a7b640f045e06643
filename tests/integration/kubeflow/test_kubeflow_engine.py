"""The engine from submission to end: pods are where we said, and what is done to a run is done once."""

from typing import Any

import pytest

from nodewise.core.engine.kubeflow.client import KfpClient
from nodewise.core.engine.kubeflow.engine import KubeflowEngine
from nodewise.core.engine.kubeflow.errors import KfpRefused, KfpUnavailable, PlacementConflict
from nodewise.core.engine.kubeflow.following import sight
from nodewise.core.engine.kubeflow.leaves import leaves
from nodewise.core.engine.kubeflow.nodes import KubernetesNode, read_node
from nodewise.core.engine.kubeflow.runs import KfpState
from nodewise.core.model.ids import RunId
from tests.support.kfp_server.api import kubernetes_node
from tests.support.kfp_server.behaviour import Outcome, by_task
from tests.support.kfp_server.cluster import FakeNode
from tests.support.kfp_server.faults import Fault
from tests.support.kfp_server.server import KfpServer
from tests.support.kubeflow import MemoryJournal, a_submission

Document = tuple[dict[str, Any], dict[str, Any]]


@pytest.fixture
def engine(server: KfpServer, kfp: KfpClient, journal: MemoryJournal) -> KubeflowEngine:
    return KubeflowEngine(kfp, journal, clock=lambda: server.clock.now)


def nodes_of(server: KfpServer) -> dict[str, KubernetesNode]:
    return {name: read_node(kubernetes_node(node)) for name, node in server.cluster.nodes.items()}


def state_of(kfp: KfpClient, run_id: str) -> KfpState:
    run = kfp.get_run(run_id)
    assert run is not None
    return run.state


@pytest.fixture
def cluster(server: KfpServer) -> dict[str, KubernetesNode]:
    """Two plain nodes and one that its owner keeps for those who ask, whose hostname is not its name."""
    taint = {"key": "team", "value": "vision", "effect": "NoSchedule"}
    server.cluster.nodes["n3"] = FakeNode(name="n3", hostname="node-3.example", taints=(taint,))
    return nodes_of(server)


def test_every_leaf_runs_where_it_was_placed(
    server: KfpServer,
    engine: KubeflowEngine,
    kfp: KfpClient,
    cluster: dict[str, KubernetesNode],
    rich_ir: Document,
) -> None:
    paths = sorted(leaves(rich_ir[0]))
    chosen = {path: [cluster[f"n{1 + number % 3}"]] for number, path in enumerate(paths)}
    run = engine.start(a_submission(rich_ir, n=4), chosen)
    server.settle()
    found = kfp.get_run(run.run_id)
    assert found is not None
    assert found.state is KfpState.SUCCEEDED
    ran = [task for task in sight(kfp, found).tasks if task.node]
    assert len(ran) == 7
    for task in ran:
        path = "".join(part for part in task.path.replace("[", "]").split("]")[::2])
        assert task.node == chosen[path][0].name


def test_candidates_leave_the_choice_to_kubernetes(
    server: KfpServer,
    engine: KubeflowEngine,
    kfp: KfpClient,
    cluster: dict[str, KubernetesNode],
    chain_ir: Document,
) -> None:
    run = engine.start(a_submission(chain_ir), {"double": [cluster["n2"], cluster["n3"]]})
    server.settle()
    assert state_of(kfp, run.run_id) is KfpState.SUCCEEDED
    assert server.hosts(run.run_id)["root.double.executor"] in {"n2", "n3"}


def test_pods_carry_the_run_and_the_path_of_their_task(
    server: KfpServer, engine: KubeflowEngine, chain_ir: Document
) -> None:
    run = engine.start(a_submission(chain_ir), {})
    server.settle()
    pods = server.pods(run.run_id)
    assert {pod.labels["nodewise/run"] for pod in pods} == {run.run_id}
    assert [pod.annotations["nodewise/task-path"] for pod in pods] == ["double", "double-2"]


def test_a_conflict_is_told_before_anything_is_sent(
    server: KfpServer, engine: KubeflowEngine, cluster: dict[str, KubernetesNode], chain_ir: Document
) -> None:
    ir, _ = chain_ir
    config = {"nodeSelector": {"labels": {"kubernetes.io/hostname": "n1"}}}
    platforms = {"kubernetes": {"deploymentSpec": {"executors": {"exec-double": config}}}}
    with pytest.raises(PlacementConflict, match="does not allow n2"):
        engine.start(a_submission((ir, platforms)), {"double": [cluster["n2"]]})
    assert server.requests == []


@pytest.mark.parametrize("fault", [None, Fault.ERROR_AFTER, Fault.CUT_AFTER, Fault.SLOW_AFTER])
def test_a_cancelled_run_ends_whatever_the_answer(
    server: KfpServer, engine: KubeflowEngine, kfp: KfpClient, chain_ir: Document, fault: Fault | None
) -> None:
    run_id = RunId(engine.start(a_submission(chain_ir), {}).run_id)
    server.turn(0)
    if fault is not None:
        server.faults.add(fault, part=":terminate")
    assert engine.cancel(run_id)
    server.turn(0)
    assert state_of(kfp, run_id) is KfpState.FAILED
    assert server.cluster.bound_to("n1") == server.cluster.bound_to("n2") == []
    assert engine.cancel(run_id), "once more does nothing"


def test_a_cancel_that_had_no_effect_says_so(
    server: KfpServer, engine: KubeflowEngine, kfp: KfpClient, chain_ir: Document
) -> None:
    run_id = RunId(engine.start(a_submission(chain_ir), {}).run_id)
    server.faults.add(Fault.ERROR_BEFORE, part=":terminate")
    with pytest.raises(KfpUnavailable):
        engine.cancel(run_id)
    assert state_of(kfp, run_id) is KfpState.PENDING


def test_a_run_that_ended_first_is_not_cancelled(
    server: KfpServer, engine: KubeflowEngine, kfp: KfpClient, chain_ir: Document
) -> None:
    run_id = RunId(engine.start(a_submission(chain_ir), {}).run_id)
    server.settle()
    assert engine.cancel(run_id)
    assert state_of(kfp, run_id) is KfpState.SUCCEEDED


def test_a_run_that_kfp_does_not_know_cannot_be_cancelled_yet(engine: KubeflowEngine) -> None:
    assert not engine.cancel(RunId("nobody"))


def test_a_retry_keeps_what_went_well(
    server: KfpServer, engine: KubeflowEngine, kfp: KfpClient, chain_ir: Document
) -> None:
    server.behave = by_task(double_2=Outcome(fails="no luck"))
    run_id = RunId(engine.start(a_submission(chain_ir), {}).run_id)
    server.settle()
    assert state_of(kfp, run_id) is KfpState.FAILED
    server.behave = by_task()
    server.faults.add(Fault.CUT_AFTER, part=":retry")
    assert engine.retry(run_id)
    server.settle()
    assert state_of(kfp, run_id) is KfpState.SUCCEEDED
    assert [pod.path.split(".")[2] for pod in server.pods(run_id)] == ["double", "double-2", "double-2"]
    with pytest.raises(KfpRefused):
        engine.retry(run_id)


def test_archiving_and_taking_back_may_be_repeated(
    server: KfpServer, engine: KubeflowEngine, kfp: KfpClient, chain_ir: Document
) -> None:
    run_id = RunId(engine.start(a_submission(chain_ir), {}).run_id)
    for archived in (True, True, False, False):
        assert engine.archive(run_id, archived=archived)
        run = kfp.get_run(run_id)
        assert run is not None
        assert run.archived is archived
    posts = [path for method, path in server.requests if method == "POST"]
    assert len(posts) == 3
