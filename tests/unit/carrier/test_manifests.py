"""The Job of an attempt, and the nodes that it may go to."""

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from nodewise.carrier import names
from nodewise.carrier.manifests import Pods
from nodewise.carrier.rooms import requests_of, rooms
from nodewise.core.engine.kubeflow.nodes import KubernetesNode
from nodewise.core.ir.placeholders import Text
from nodewise.core.messages import JobRef
from nodewise.core.model.component import ContainerWork, Signature
from nodewise.core.model.ids import AttemptKey, NodeName, RunId, TaskPath
from nodewise.core.model.job import Job
from nodewise.core.model.resources import Resources
from nodewise.core.model.selection import Taint
from nodewise.core.settings import Settings
from tests.support.agents import job as python_job
from tests.support.kubernetes_server.control import requested
from tests.support.kubernetes_server.server import KubeNode

NODE = KubernetesNode(
    name=NodeName("n1"), hostname="n1.local", allocatable=Resources(millicores=4000, memory_mib=8000, gpus=1),
    accelerator="nvidia.com/gpu",
    taints=(
        Taint(key="team", value="vision", effect="NoSchedule"),
        Taint(key="soft", effect="PreferNoSchedule"),
        Taint(key="node.kubernetes.io/not-ready", effect="NoExecute"),
    ),
)  # fmt: skip
DNS_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
LABEL = re.compile(r"(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?")


def made(job: Job, **settings: Any) -> dict[str, Any]:
    pods = Pods(
        cluster="c1", namespace="space", image="agent:1",
        settings=Settings(**{"store_url": "file:///store", "kubernetes_store_claim": "claim", **settings}),
    )  # fmt: skip
    ref = JobRef(key=job.key, job_uri="store://file/x", dispatched_at=datetime.now(UTC))
    return pods.job(ref, job, NODE)


def pod_of(job: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = job["spec"]["template"]["spec"]
    return found


def container_job(**rest: Any) -> Job:
    work = ContainerWork(
        image="user/image:1",
        command=(Text(text="run"), Text(text="--price=$5")),
        args=(Text(text="$(HOME)"),),
    )
    return replace(python_job("x"), work=work, signature=Signature(), **rest)


def test_it_goes_to_its_node_and_tolerates_what_its_owner_set() -> None:
    pod = pod_of(made(python_job("x")))
    assert pod["nodeSelector"] == {"kubernetes.io/hostname": "n1.local"}
    assert [one["key"] for one in pod["tolerations"]] == ["team"]


def test_it_is_tried_once_and_cleaned_up_by_kubernetes_at_last() -> None:
    found = made(python_job("x"), kubernetes_keep_seconds=7)
    assert found["spec"]["backoffLimit"] == 0
    assert found["spec"]["ttlSecondsAfterFinished"] == 7
    assert pod_of(found)["restartPolicy"] == "Never"


def test_it_asks_for_what_is_booked_whatever_its_containers() -> None:
    booked = Resources(millicores=1500, memory_mib=700, gpus=1)
    for job in (replace(python_job("x"), resources=booked), container_job(resources=booked)):
        asked = requests_of(pod_of(made(job)))
        assert asked == {"cpu": 1500, "memory": 700, "nvidia.com/gpu": 1}
        assert asked == requested(pod_of(made(job)))


def test_very_small_tasks_stay_small() -> None:
    booked = Resources(millicores=10, memory_mib=20)
    assert requests_of(pod_of(made(container_job(resources=booked)))) == {"cpu": 10, "memory": 20}


def test_a_limit_of_memory_leaves_room_for_our_own_process() -> None:
    (main,) = pod_of(made(python_job("x", memory_limit_mib=300)))["containers"]
    assert main["resources"]["limits"] == {"memory": "428Mi"}
    assert "memory" not in pod_of(made(python_job("x")))["containers"][0]["resources"]["limits"]
    task = pod_of(made(container_job(memory_limit_mib=300)))["initContainers"][1]
    assert task["resources"]["limits"]["memory"] == "300Mi"


def test_a_component_stands_between_ours_and_has_neither_store_nor_token() -> None:
    pod = pod_of(made(container_job(), kubernetes_pod_secret="keys", kubernetes_pod_env={"REGION": "x"}))
    stage, task = pod["initContainers"]
    (collect,) = pod["containers"]
    assert [stage["name"], task["name"], collect["name"]] == ["stage", "task", "collect"]
    assert (task["command"], task["args"]) == (["run", "--price=$$5"], ["$$(HOME)"])
    assert "envFrom" not in task
    assert not {"REGION", "NODEWISE_STORE_URL"} & {one["name"] for one in task["env"]}
    assert stage["envFrom"] == collect["envFrom"] == [{"secretRef": {"name": "keys"}}]
    assert pod["automountServiceAccountToken"] is False


def test_our_containers_have_no_more_rights_than_they_need() -> None:
    pod = pod_of(made(container_job()))
    for container in (pod["initContainers"][0], pod["containers"][0]):
        security = container["securityContext"]
        assert security["readOnlyRootFilesystem"]
        assert security["runAsNonRoot"]
        assert security["capabilities"] == {"drop": ["ALL"]}


def test_the_store_is_mounted_where_it_has_to_be_and_a_bucket_is_not() -> None:
    (main,) = pod_of(made(python_job("x")))["containers"]
    assert {"name": "store", "mountPath": "/store"} in main["volumeMounts"]
    pod = pod_of(made(python_job("x"), store_url="s3://bucket/x", kubernetes_store_claim=None))
    assert [volume["name"] for volume in pod["volumes"]] == ["tmp", "work"]
    hosted = pod_of(made(python_job("x"), kubernetes_store_claim=None, kubernetes_store_path="/mnt"))
    assert hosted["volumes"][-1]["hostPath"] == {"path": "/mnt", "type": "Directory"}


def test_a_timeout_leaves_time_to_start() -> None:
    found = made(python_job("x", timeout=timedelta(seconds=1.5)))
    assert found["spec"]["activeDeadlineSeconds"] == 902
    assert "activeDeadlineSeconds" not in made(python_job("x"))["spec"]


def test_the_job_tells_what_it_is_for_whoever_finds_it() -> None:
    found = made(python_job("x"))
    known = names.ref_of(found)
    assert known is not None
    assert (known[0].key, known[1]) == (python_job("x").key, "n1")
    assert names.ref_of({"metadata": {"name": "other"}}) is None


@given(st.text(min_size=1), st.text(min_size=1), st.integers(min_value=1, max_value=999))
def test_names_and_labels_are_legal_whatever_the_task_is_called(run: str, path: str, attempt: int) -> None:
    key = AttemptKey(run_id=RunId(run), path=TaskPath(path), attempt=attempt)
    name = names.job_name(key, "cluster")
    # The name of a pod is that of its Job and six letters more, and the name of the Job is a label.
    assert len(name) <= 57
    assert DNS_LABEL.fullmatch(name)
    for value in names.labels_of(key, "cluster").values():
        assert len(value) <= 63
        assert LABEL.fullmatch(value)
    other = replace(key, attempt=attempt + 1)
    assert name not in (names.job_name(other, "cluster"), names.job_name(key, "another"))


def test_a_room_is_what_the_pods_of_others_leave() -> None:
    nodes = [KubeNode(name="a", cpu="4", memory="4Gi", gpus=2).to_object(), KubeNode(name="b").to_object()]
    limits = {"requests": {"cpu": "500m", "memory": "1Gi", "nvidia.com/gpu": "1"}}
    container = {"resources": limits}
    small = {"resources": {"requests": {"cpu": "100m"}}}
    spec = {"nodeName": "a", "containers": [small, small], "initContainers": [container]}
    theirs = {"metadata": {}, "spec": spec, "status": {"phase": "Running"}}
    over = {**theirs, "status": {"phase": "Succeeded"}}
    ours = {**theirs, "metadata": {"labels": {names.CLUSTER: "c1"}}}
    found = rooms(nodes, [theirs, over, ours], cluster="c1", exporter_port=0)
    assert found[NodeName("a")].node.capacity == Resources(millicores=3500, memory_mib=3071, gpus=1)
    assert found[NodeName("b")].node.capacity == Resources(millicores=2000, memory_mib=2047)
    assert found[NodeName("a")].node.engine == "kubernetes"
