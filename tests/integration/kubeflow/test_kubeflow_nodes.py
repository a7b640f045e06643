"""Nodes from the Kubernetes API, as the test server shows them."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from kubernetes.config import incluster_config

from nodewise.core.engine.kubeflow.kubernetes_api import KubernetesConnection, KubernetesNodes, open_client
from nodewise.core.engine.kubeflow.nodes import NodesSource, read_node
from nodewise.core.errors import Unavailable
from tests.support.kfp_server.api import kubernetes_node
from tests.support.kfp_server.cluster import FakeNode
from tests.support.kfp_server.faults import Fault
from tests.support.kfp_server.server import KfpServer
from tests.support.kubeflow import FakeNodes


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
    source = KubernetesNodes(KubernetesConnection(url=server.url, seconds=2.0))
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


class NodesContract:
    """What every `NodesSource` does."""

    @pytest.fixture
    def any_source(self) -> NodesSource:
        raise NotImplementedError

    def test_it_is_a_source_and_tells_nodes_by_name_usable_or_not(self, any_source: NodesSource) -> None:
        assert isinstance(any_source, NodesSource)
        found = any_source.nodes()
        assert [node.name for node in found] == ["a", "b", "c", "d"]
        assert not all(node.usable for node in found)

    def test_it_tells_the_same_twice(self, any_source: NodesSource) -> None:
        assert any_source.nodes() == any_source.nodes()


class TestTheKubernetesApi(NodesContract):
    @pytest.fixture
    def any_source(self, source: KubernetesNodes) -> NodesSource:
        return source

    def test_nothing_is_invented_when_it_is_down(self, server: KfpServer, any_source: NodesSource) -> None:
        server.down()
        with pytest.raises(Unavailable):
            any_source.nodes()


class TestTheFake(NodesContract):
    @pytest.fixture
    def any_source(self, server: KfpServer) -> NodesSource:
        nodes = server.cluster.nodes.values()
        return FakeNodes([read_node(kubernetes_node(node)) for node in reversed(list(nodes))])

    def test_nothing_is_invented_when_it_is_down(self) -> None:
        with pytest.raises(Unavailable):
            FakeNodes(down=True).nodes()


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


def test_in_a_pod_its_account_leads_to_its_cluster_and_nothing_is_printed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for constant, text in (("SERVICE_TOKEN_FILENAME", "secret"), ("SERVICE_CERT_FILENAME", "a certificate")):
        (tmp_path / constant).write_text(text)
        monkeypatch.setattr(incluster_config, constant, str(tmp_path / constant))
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "443")
    opened = open_client(KubernetesConnection()).configuration
    assert opened.host == "https://10.0.0.1:443"
    assert opened.get_api_key_with_prefix("authorization") == "bearer secret"
    assert opened.ssl_ca_cert == str(tmp_path / "SERVICE_CERT_FILENAME")
    assert capsys.readouterr().out == ""
