"""The promises of the Kubernetes manifests that can be read from them."""

import shutil
import subprocess
from collections.abc import Iterable, Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import yaml

from nodewise.carrier.check import EVERYWHERE, IN_NAMESPACE, OTHERS
from nodewise.carrier.names import labels_of
from nodewise.core.model.ids import AttemptKey, RunId, TaskPath
from nodewise.core.settings import Settings
from tests.support.cluster import NAMESPACE, store_volume, with_images

ROOT = Path(__file__).parents[3]
KUBERNETES = ROOT / "deploy" / "kubernetes"
WORKLOADS = {"Deployment", "StatefulSet", "DaemonSet", "Job"}


def kustomization(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((folder / "kustomization.yaml").read_text())
    return found


def objects(folder: Path) -> Iterator[dict[str, Any]]:
    """What a kustomization brings, its bases first, without its patches."""
    for resource in kustomization(folder)["resources"]:
        path = (folder / resource).resolve()
        if path.is_dir():
            yield from objects(path)
        else:
            yield from yaml.safe_load_all(path.read_text())


@pytest.mark.skipif(shutil.which("kubectl") is None, reason="no kubectl on PATH")
@pytest.mark.parametrize(
    ("folder", "deployments"),
    [("base", 5), ("example", 5), ("kubeflow", 5), ("carrier", 6), ("test", 6)],
)
def test_kustomize_builds_it(folder: str, deployments: int, tmp_path: Path) -> None:
    kinds = [found["kind"] for found in built(folder, tmp_path)]
    assert kinds.count("Deployment") == deployments
    assert ("Secret" in kinds) == (folder != "base")


def built(folder: str, tmp_path: Path) -> list[dict[str, Any]]:
    copy = shutil.copytree(KUBERNETES, tmp_path / "kubernetes")
    for name in ("postgres", "redis", "key", "secret"):
        (copy / "example" / "passwords").mkdir(exist_ok=True)
        (copy / "example" / "passwords" / name).write_text("secret")
    ended = subprocess.run(
        ["kubectl", "kustomize", str(copy / folder)], capture_output=True, text=True, check=False, timeout=60
    )
    assert ended.returncode == 0, ended.stderr
    return list(yaml.safe_load_all(ended.stdout))


NOWHERE = {"Namespace", "ClusterRole", "ClusterRoleBinding"}


@pytest.mark.skipif(shutil.which("kubectl") is None, reason="no kubectl on PATH")
def test_what_is_made_for_a_test_touches_nothing_that_is_in_use(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IMAGE_PREFIX", "here.example/mine")
    monkeypatch.setenv("IMAGE_TAG", "7")
    made = [with_images(one) for one in built("test", tmp_path)]
    assert {one["metadata"].get("namespace") for one in made if one["kind"] not in NOWHERE} == {NAMESPACE}
    for one in made:
        if one["kind"] in NOWHERE:
            assert one["metadata"]["name"].startswith(NAMESPACE)
        for subject in one.get("subjects", ()):
            assert subject["namespace"] == NAMESPACE
    text = yaml.safe_dump_all(made)
    assert "registry.example" not in text
    assert {f"here.example/mine/{name}:7" for name in ("api", "agent", "carrier")} <= set(text.split())


def test_the_store_of_a_test_is_a_folder_or_a_class_where_the_environment_says_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def claim() -> dict[str, Any]:
        return deepcopy(BY_NAME["PersistentVolumeClaim", "nodewise-store"])

    monkeypatch.delenv("K8S_STORE_PATH", raising=False)
    monkeypatch.setenv("K8S_STORE_CLASS", "shared")
    assert store_volume([of_class := claim()]) == []
    assert of_class["spec"]["storageClassName"] == "shared"
    monkeypatch.delenv("K8S_STORE_CLASS")
    monkeypatch.setenv("K8S_STORE_PATH", "/srv/store")
    (volume,) = store_volume([in_folder := claim()])
    assert volume["spec"]["hostPath"]["path"] == "/srv/store"
    assert in_folder["spec"]["volumeName"] == volume["metadata"]["name"]
    assert volume["spec"]["accessModes"] == in_folder["spec"]["accessModes"]


EXAMPLE = list(objects(KUBERNETES / "example"))
CARRIER = [
    found
    for file in ("carrier.yaml", "rights.yaml")
    for found in yaml.safe_load_all((KUBERNETES / "carrier" / file).read_text())
]
BY_NAME = {(found["kind"], found["metadata"]["name"]): found for found in (*EXAMPLE, *CARRIER)}
PODS = {key: found["spec"]["template"] for key, found in BY_NAME.items() if key[0] in WORKLOADS}
OURS = {key: pod for key, pod in PODS.items() if key[1] not in ("postgres", "redis")}


def container(pod: dict[str, Any]) -> dict[str, Any]:
    (only,) = pod["spec"]["containers"]
    assert isinstance(only, dict)
    return only


def test_every_file_belongs_to_a_kustomization_and_no_object_comes_twice() -> None:
    assert len(EXAMPLE) + len(CARRIER) == len(BY_NAME)
    for folder in ("base", "example", "kubeflow", "carrier", "test"):
        said = kustomization(KUBERNETES / folder)
        patched = {patch["path"] for patch in said.get("patches", []) if "path" in patch}
        named = {*said["resources"], *patched}
        lying = {file.name for file in (KUBERNETES / folder).glob("*.yaml")} - {"kustomization.yaml"}
        assert lying == {name for name in named if not name.startswith("..")}


@pytest.mark.parametrize("key", PODS, ids=str)
def test_every_container_is_hardened_and_bounded(key: tuple[str, str]) -> None:
    pod = PODS[key]
    for one in (container(pod), *pod["spec"].get("initContainers", ())):
        assert {"cpu", "memory"} <= one["resources"]["requests"].keys()
        assert "memory" in one["resources"]["limits"]
        assert one["securityContext"]["readOnlyRootFilesystem"] is True
        assert one["securityContext"]["allowPrivilegeEscalation"] is False
        assert one["securityContext"]["capabilities"]["drop"] == ["ALL"]
    assert pod["spec"]["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    # The carrier is the one of ours that speaks to the Kubernetes API.
    assert pod["spec"]["automountServiceAccountToken"] is (key[1] == "carrier")
    assert pod["spec"]["enableServiceLinks"] is False, (
        "NODEWISE_PORT of a Service would be taken for a setting"
    )


@pytest.mark.parametrize("key", OURS, ids=str)
def test_our_containers_run_as_nobody_special(key: tuple[str, str]) -> None:
    security = OURS[key]["spec"]["securityContext"]
    assert (security["runAsNonRoot"], security["runAsUser"]) == (True, 10001)
    assert "add" not in container(OURS[key])["securityContext"]["capabilities"]
    assert ("ServiceAccount", OURS[key]["spec"]["serviceAccountName"]) in BY_NAME


@pytest.mark.parametrize("key", [key for key in PODS if key[0] != "Job"], ids=str)
def test_what_goes_on_is_probed(key: tuple[str, str]) -> None:
    only = container(PODS[key])
    assert {"startupProbe", "livenessProbe", "readinessProbe"} <= only.keys()
    if key in OURS:
        paths = [
            only[probe]["httpGet"]["path"] for probe in ("startupProbe", "livenessProbe", "readinessProbe")
        ]
        # A server that is away must not make Kubernetes start our processes anew.
        assert paths == ["/healthz", "/healthz", "/readyz"]


SELECTED_BY = {
    "Service": lambda spec: spec["selector"],
    "PodDisruptionBudget": lambda spec: spec["selector"]["matchLabels"],
    "NetworkPolicy": lambda spec: spec["podSelector"].get("matchLabels", {}),
    **dict.fromkeys(WORKLOADS - {"Job"}, lambda spec: spec["selector"]["matchLabels"]),
}


def test_what_selects_pods_finds_them() -> None:
    labels = [pod["metadata"]["labels"] for pod in PODS.values()]
    labels.append(labels_of(AttemptKey(run_id=RunId("r"), path=TaskPath("p"), attempt=1), "c"))
    for (kind, name), found in BY_NAME.items():
        if kind in SELECTED_BY:
            wanted = SELECTED_BY[kind](found["spec"])
            assert any(wanted.items() <= label.items() for label in labels), (kind, name)


def test_placers_scale_by_themselves_and_so_have_no_number_of_their_own() -> None:
    assert "replicas" not in BY_NAME["Deployment", "placer"]["spec"]
    scaler = BY_NAME["HorizontalPodAutoscaler", "placer"]["spec"]
    assert (scaler["scaleTargetRef"]["name"], scaler["minReplicas"]) == ("placer", 2)


def test_settings_are_settings() -> None:
    known = {f"NODEWISE_{name.upper()}" for name in Settings.model_fields} | {"DATABASE_URL", "REDIS_URL"}
    given = set(BY_NAME["ConfigMap", "nodewise"]["data"])
    patch = yaml.safe_load((KUBERNETES / "kubeflow" / "settings.yaml").read_text())["data"]
    of_agents = {
        entry["name"]
        for key in (("DaemonSet", "agent"), ("Deployment", "carrier"))
        for entry in container(PODS[key])["env"]
    }
    more = yaml.safe_load((KUBERNETES / "carrier" / "settings.yaml").read_text())["data"]
    assert (
        given | set(patch) | set(more) | {name for name in of_agents if name.startswith("NODEWISE_")} <= known
    )


def secrets_of(pod: dict[str, Any], one: dict[str, Any]) -> dict[str, list[str] | None]:
    """The Secrets that a container of a pod sees, and which of their keys (None: all)."""
    mounted = {mount["name"] for mount in one["volumeMounts"]}
    given = [v["secret"] for v in pod["spec"]["volumes"] if v["name"] in mounted and "secret" in v]
    return {
        one["secretName"]: [item["key"] for item in one["items"]] if "items" in one else None for one in given
    }


@pytest.mark.parametrize(
    ("key", "whose"), [(("DaemonSet", "agent"), "$(NODE_NAME)"), (("Deployment", "carrier"), "--carrier")]
)
def test_who_speaks_for_nodes_gets_a_key_and_never_sees_what_it_is_derived_from(
    key: tuple[str, str], whose: str
) -> None:
    pod = PODS[key]
    (first,) = pod["spec"]["initContainers"]
    assert secrets_of(pod, first) == {"nodewise-node-secret": None}
    assert secrets_of(pod, container(pod)) == {"nodewise-passwords": ["redis"]}
    assert first["args"][0] == whose
    env = {entry["name"]: entry.get("value") for entry in container(pod)["env"]}
    assert f"--out={env['NODEWISE_NODE_KEY_FILE']}" in first["args"]
    if key[0] == "DaemonSet":
        assert f"--name={whose}" in container(pod)["args"]


def test_only_who_speaks_with_agents_has_the_secret_of_their_keys() -> None:
    holders = {
        name
        for (_, name), pod in PODS.items()
        if "nodewise-node-secret" in secrets_of(pod, container(pod)) and name not in ("postgres", "redis")
    }
    assert holders == {"recorder", "placer"}


def test_agents_reach_the_broker_alone() -> None:
    agent = BY_NAME["DaemonSet", "agent"]["spec"]["template"]
    assert "envFrom" not in container(agent)
    reach_postgres = BY_NAME["NetworkPolicy", "postgres"]["spec"]["ingress"][0]["from"]
    assert [who["podSelector"]["matchLabels"] for who in reach_postgres] == [{"nodewise.dev/part": "control"}]
    assert agent["metadata"]["labels"]["nodewise.dev/part"] == "agent"


def test_rights_are_to_read_nodes_and_to_use_runs_of_kfp() -> None:
    roles = [
        found
        for found in yaml.safe_load_all((KUBERNETES / "kubeflow" / "rights.yaml").read_text())
        if found["kind"] in ("Role", "ClusterRole")
    ]
    assert {(found["kind"], *rule["resources"]) for found in roles for rule in found["rules"]} == {
        ("ClusterRole", "nodes"), ("Role", "runs"),
    }  # fmt: skip
    assert not any("*" in rule["verbs"] for found in roles for rule in found["rules"])
    assert {"get", "list"} == {
        verb for found in roles if found["kind"] == "ClusterRole" for verb in found["rules"][0]["verbs"]
    }


def test_a_carrier_may_do_what_it_does_and_no_more() -> None:
    def granted(kind: str) -> set[tuple[str, str, str]]:
        rules = BY_NAME[kind, "nodewise-carrier"]["rules"]
        return {
            (group, resource, verb)
            for rule in rules
            for group in rule["apiGroups"]
            for resource in rule["resources"]
            for verb in rule["verbs"]
        }

    def needed(rules: Iterable[tuple[str, str, Iterable[str]]]) -> set[tuple[str, str, str]]:
        return {(group, resource, verb) for group, resource, verbs in rules for verb in verbs}

    assert granted("Role") == needed(IN_NAMESPACE)
    assert granted("ClusterRole") == needed(EVERYWHERE) | {OTHERS}


def test_a_carrier_gets_no_settings_of_the_services() -> None:
    assert "envFrom" not in container(PODS["Deployment", "carrier"])


PATCHES = [
    (folder, patch["path"])
    for folder in ("kubeflow", "carrier", "test")
    for patch in kustomization(KUBERNETES / folder)["patches"]
    if "path" in patch
]


def test_patches_name_what_they_patch() -> None:
    for folder, path in PATCHES:
        for found in yaml.safe_load_all((KUBERNETES / folder / path).read_text()):
            assert (found["kind"], found["metadata"]["name"]) in BY_NAME
            assert found["metadata"]["namespace"] == kustomization(KUBERNETES / "example")["namespace"]
