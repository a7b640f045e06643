"""What an operator is told of a KFP before anything is sent to it."""

from nodewise.core.engine.kubeflow.check import check
from nodewise.core.settings import Settings
from tests.support.kfp_server.server import KfpServer


def told(settings: Settings) -> tuple[bool, str]:
    lines: list[str] = []
    return check(settings, lines.append), "\n".join(lines)


def test_a_kfp_with_its_nodes_is_told_with_its_version(server: KfpServer) -> None:
    well, text = told(Settings(kfp_url=server.url, kubernetes_url=server.url))
    assert well, text
    assert f"Kubeflow Pipelines at {server.url} answers, version" in text
    assert "Kubernetes names" in text


def test_a_kfp_that_does_not_answer_is_told_as_such() -> None:
    well, text = told(Settings(kfp_url="http://127.0.0.1:1", kubernetes_url="http://127.0.0.1:1"))
    assert not well
    assert text.startswith("cannot be used: ")


def test_without_a_kfp_the_setting_is_named() -> None:
    assert told(Settings()) == (False, "no Kubeflow Pipelines is configured: set NODEWISE_KFP_URL")
