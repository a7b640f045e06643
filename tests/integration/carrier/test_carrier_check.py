"""What `nodewise doctor` says of a carrier's cluster, store and rights."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from nodewise.carrier.check import findings
from nodewise.core.findings import Level
from nodewise.core.settings import Settings
from tests.support.kubernetes_server.server import KubernetesServer
from tests.support.nodekeys import agent_key_file


def found(server: KubernetesServer, **settings: Any) -> dict[str, list[str]]:
    """The findings by level, as they are printed."""
    given = {
        "kubernetes_url": server.url, "kubernetes_image": "nodewise/agent", "store_url": "file:///store",
        "kubernetes_store_claim": "store",
    }  # fmt: skip
    lines: dict[str, list[str]] = {level.value: [] for level in Level}
    for one in findings(Settings(**{**given, **settings})):
        lines[one.level.value].append(one.line())
    return lines


def test_where_no_carrier_is_configured_nothing_is_said(server: KubernetesServer) -> None:
    assert list(findings(Settings(kubernetes_url=server.url))) == []
    assert server.requests == []


def test_what_is_well_is_said_and_nothing_is_changed(server: KubernetesServer) -> None:
    lines = found(server)
    assert lines["fail"] == lines["warn"] == []
    assert any("2 of 2 usable: n1, n2" in line for line in lines["ok"])
    changing = [path for method, path in server.requests if method != "GET"]
    assert {path.rpartition("/")[2] for path in changing} == {"selfsubjectaccessreviews"}


def test_missing_rights_are_named(server: KubernetesServer) -> None:
    server.denied = {"create jobs", "get pods/log", "list pods everywhere"}
    lines = found(server)
    (failed,) = lines["fail"]
    assert "missing: create jobs, get pods/log" in failed
    assert "rights.yaml" in failed
    (warned,) = lines["warn"]
    assert "the pods of others cannot be listed" in warned


def test_without_the_right_to_list_nodes_the_rest_is_still_said(server: KubernetesServer) -> None:
    server.denied = {"list nodes", "list nodes everywhere"}
    lines = found(server)
    assert any("missing: list nodes" in line for line in lines["fail"])
    assert any("refuses it (403)" in line for line in lines["fail"])


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"kubernetes_store_claim": None}, "is a folder here, and pods have none"),
        ({"store_url": "memory://x"}, "is in one process"),
        ({"kubernetes_image": None, "engine": "kubernetes"}, "no image is named"),
        ({"kubernetes_node_selector": "pool=nowhere"}, "no node is ready that has pool=nowhere"),
    ],
)
def test_what_is_wrong_is_a_failure(server: KubernetesServer, settings: dict[str, Any], words: str) -> None:
    assert any(words in line for line in found(server, **settings)["fail"])


def test_a_bucket_without_keys_is_a_warning(server: KubernetesServer) -> None:
    given = {"store_url": "s3://bucket/x", "kubernetes_store_claim": None}
    assert any("without any key for pods" in line for line in found(server, **given)["warn"])
    assert found(server, **given, kubernetes_pod_secret="keys")["warn"] == []


def test_a_cluster_that_does_not_answer_is_a_failure(server: KubernetesServer) -> None:
    server.down()
    assert any("does not answer" in line for line in found(server)["fail"])
    server.up()


def test_it_can_be_asked_by_hand(server: KubernetesServer) -> None:
    env = {
        **os.environ, "NODEWISE_KUBERNETES_URL": server.url, "NODEWISE_KUBERNETES_IMAGE": "i",
        "NODEWISE_STORE_URL": "file:///store",
    }  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-m", "nodewise.carrier", "check"],
        env=env,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "fail  pod store" in done.stdout


def test_a_carrier_without_an_image_says_what_is_missing(server: KubernetesServer) -> None:
    env = {**os.environ, "NODEWISE_KUBERNETES_URL": server.url}
    done = subprocess.run(
        [sys.executable, "-m", "nodewise.carrier"], env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert done.stderr.startswith("nodewise.carrier: NODEWISE_KUBERNETES_IMAGE is missing")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({}, "NODEWISE_NODE_KEY_FILE is missing"),
        ({"NODEWISE_NODE_KEY_FILE": "n1.key"}, "holds no key of a carrier"),
    ],
)
def test_a_carrier_without_a_key_of_its_own_says_what_is_missing(
    server: KubernetesServer, given: dict[str, str], said: str, tmp_path: Path
) -> None:
    agent_key_file(tmp_path, "n1")
    env = {**os.environ, "NODEWISE_KUBERNETES_URL": server.url, "NODEWISE_KUBERNETES_IMAGE": "i", **given}
    done = subprocess.run(
        [sys.executable, "-m", "nodewise.carrier"], env=env, cwd=tmp_path, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert done.stderr.startswith("nodewise.carrier: ")
    assert said in done.stderr
    assert "nwn_" not in done.stderr
