"""Nodes from the Kubernetes API, as the test server shows them."""

from collections.abc import Iterator

import pytest

from nodewise.core.engine.kubeflow.kubernetes_api import KubernetesConnection, KubernetesNodes
from nodewise.core.engine.kubeflow.nodes import NodesSource
from nodewise.core.errors import Unavailable
from tests.support.kfp_server.cluster import FakeNode
from tests.support.kfp_server.faults import Fault
from tests.support.kfp_server.server import KfpServer


@pytest.fixture
def server() -> Iterator[KfpServer]:
    nodes = [
        FakeNode(name="a", millicores=2500, memory_mib=4096, gpus=2, hostname="a.example"),
        FakeNode(name="b", architecture="arm64", cordoned=True, labels={"nodewise/worker-type": "low-cpu"}),
        FakeNode(name="c", ready=False),
        FakeNode(name="d", taints=({"key": "team", "value": "vision", "effect": "NoSchedule"},)),
    ]
    with KfpServer(nodes, token=None) as server:
        yield server


@pytest.fixture
def source(server: KfpServer) -> Iterator[KubernetesNodes]:
    source = KubernetesNodes(KubernetesConnection(url=server.url, seconds=0.3))
    yield source
    source.close()


def test_nodes_are_read_with_what_decides_where_a_pod_may_run(source: KubernetesNodes) -> None:
    assert isinstance(source, NodesSource)
    a, b, c, d = source.nodes()
    assert [node.name for node in (a, b, c, d)] == ["a", "b", "c", "d"]
    assert a.hostname == "a.example"
    assert (a.allocatable.millicores, a.allocatable.memory_mib, a.allocatable.gpus) == (2500, 4095, 2)
    assert a.accelerator == "nvidia.com/gpu"
    assert [node.usable for node in (a, b, c, d)] == [True, False, False, True]
    assert (b.architecture, b.to_node().worker_type) == ("arm64", "low-cpu")
    assert [taint.key for taint in d.taints] == ["team"]


def test_a_long_list_is_read_to_its_end(server: KfpServer, source: KubernetesNodes) -> None:
    for number in range(1200):
        server.cluster.nodes[f"n{number:04}"] = FakeNode(name=f"n{number:04}")
    assert len(source.nodes()) == 1204


def test_a_list_that_expired_is_read_anew(server: KfpServer, source: KubernetesNodes) -> None:
    server.faults.add(Fault.ERROR_BEFORE, status=410)
    assert len(source.nodes()) == 4


@pytest.mark.parametrize("fault", [Fault.ERROR_BEFORE, Fault.CUT_BEFORE, Fault.SLOW_AFTER, Fault.GARBAGE])
def test_an_api_that_does_not_answer_is_unavailable(
    server: KfpServer, source: KubernetesNodes, fault: Fault
) -> None:
    server.faults.add(fault)
    with pytest.raises(Unavailable):
        source.nodes()


def test_no_permission_is_unavailable_and_says_so(server: KfpServer, source: KubernetesNodes) -> None:
    server.faults.add(Fault.ERROR_BEFORE, status=403)
    with pytest.raises(Unavailable, match="403"):
        source.nodes()
