"""What a carrier takes for granted of the Kubernetes API, asked by its official Python client.

The test server is held to it in `test_kubernetes_contract.py`, and so is a real cluster where NODEWISE_KUBERNETES_TEST is set.
"""

import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any, Protocol, TypeVar

import pytest
from kubernetes import client, watch
from kubernetes.client import ApiException

from nodewise.carrier.api import KubernetesApi
from nodewise.carrier.sightings import time_of

T = TypeVar("T")


class KubernetesWorld(Protocol):
    api_client: Any
    """An `ApiClient` of the official package."""
    ours: KubernetesApi
    namespace: str
    image: str
    """An image with `sh`, which nodes have or can fetch."""
    seconds: float
    """How long a pod may take from its Job to its end."""


def patiently(look: Callable[[], T | None], seconds: float) -> T:
    deadline = time.monotonic() + seconds
    while (found := look()) is None:
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.1)
    return found


class KubernetesContract:
    """Give it a fixture `world`."""

    @pytest.fixture
    def name(self, world: KubernetesWorld) -> Iterator[str]:
        name = f"nw-contract-{uuid.uuid4().hex[:10]}"
        yield name
        world.ours.delete_job(name)
        patiently(lambda: True if not self.pods(world, name) else None, 60 + world.seconds)

    def pods(self, world: KubernetesWorld, name: str) -> list[Any]:
        found = client.CoreV1Api(world.api_client).list_namespaced_pod(
            world.namespace, label_selector=f"contract={name}"
        )
        return list(found.items)

    def job(
        self, world: KubernetesWorld, name: str, script: str, *, first: str | None = None, **spec: Any
    ) -> dict[str, Any]:
        container = {"name": "main", "image": world.image, "command": ["sh", "-c", script]}
        pod: dict[str, Any] = {
            "restartPolicy": "Never",
            "terminationGracePeriodSeconds": 1,
            "containers": [container],
        }
        pod["tolerations"] = [{"operator": "Exists"}]
        if first is not None:
            pod["initContainers"] = [{"name": "first", "image": world.image, "command": ["sh", "-c", first]}]
        pod.update(spec.pop("pod", {}))
        labels = {"contract": name}
        return {
            "apiVersion": "batch/v1",
            "kind": "Job",
            "metadata": {"name": name, "labels": labels},
            "spec": {"backoffLimit": 0, **spec, "template": {"metadata": {"labels": labels}, "spec": pod}},
        }

    def start(self, world: KubernetesWorld, manifest: dict[str, Any]) -> None:
        client.BatchV1Api(world.api_client).create_namespaced_job(world.namespace, manifest)

    def ended(self, world: KubernetesWorld, name: str) -> Any:
        def look() -> Any:
            return next(
                (p for p in self.pods(world, name) if p.status.phase in ("Succeeded", "Failed")), None
            )

        return patiently(look, world.seconds)

    def condition(self, world: KubernetesWorld, name: str) -> Any:
        batch = client.BatchV1Api(world.api_client)

        def look() -> Any:
            found = batch.read_namespaced_job(name, world.namespace).status.conditions or []
            # Newer servers say first that the end comes (FailureTarget, SuccessCriteriaMet).
            return next((one for one in found if one.type in ("Complete", "Failed")), None)

        return patiently(look, world.seconds)

    def test_nodes_tell_what_a_carrier_reads(self, world: KubernetesWorld) -> None:
        found = client.CoreV1Api(world.api_client).list_node().items
        assert found
        for node in found:
            assert node.metadata.labels["kubernetes.io/hostname"]
            assert {"cpu", "memory"} <= node.status.allocatable.keys()
            assert any(one.type == "Ready" for one in node.status.conditions)

    def test_making_a_job_twice_is_a_conflict_for_them_and_nothing_for_us(
        self, world: KubernetesWorld, name: str
    ) -> None:
        manifest = self.job(world, name, "true")
        self.start(world, manifest)
        with pytest.raises(ApiException) as refused:
            self.start(world, manifest)
        assert refused.value.status == 409
        world.ours.create_job(manifest)
        assert len(world.ours.jobs(f"contract={name}")) == 1

    def test_a_job_that_ends_well_is_complete_and_its_pod_keeps_log_and_times(
        self, world: KubernetesWorld, name: str
    ) -> None:
        self.start(world, self.job(world, name, "echo hello", first="echo before"))
        pod = self.ended(world, name)
        assert pod.status.phase == "Succeeded"
        assert self.condition(world, name).type == "Complete"
        (state,) = [one.state.terminated for one in pod.status.container_statuses]
        assert (state.exit_code, state.reason) == (0, "Completed")
        assert state.finished_at >= state.started_at
        core = client.CoreV1Api(world.api_client)
        assert core.read_namespaced_pod_log(pod.metadata.name, world.namespace, container="main") == "hello\n"
        assert world.ours.log(pod.metadata.name, "first", limit_bytes=100) == b"before\n"
        (ours,) = world.ours.pods(f"contract={name}")
        assert time_of(ours["status"]["startTime"]) is not None

    def test_containers_that_come_first_come_one_by_one_and_a_failure_ends_the_pod(
        self, world: KubernetesWorld, name: str
    ) -> None:
        self.start(world, self.job(world, name, "echo never", first="exit 9"))
        pod = self.ended(world, name)
        assert pod.status.phase == "Failed"
        assert pod.status.init_container_statuses[0].state.terminated.exit_code == 9
        assert pod.status.container_statuses[0].state.terminated is None
        assert self.condition(world, name).type == "Failed"
        assert len(self.pods(world, name)) == 1

    def test_a_pod_that_fits_no_node_says_why(self, world: KubernetesWorld, name: str) -> None:
        selector = {"kubernetes.io/hostname": "no-such-host"}
        self.start(world, self.job(world, name, "true", pod={"nodeSelector": selector}))

        def refused() -> Any:
            for pod in self.pods(world, name):
                for one in pod.status.conditions or []:
                    if (one.type, one.status) == ("PodScheduled", "False"):
                        return pod.status.phase, one
            return None

        phase, condition = patiently(refused, world.seconds)
        assert (phase, condition.reason) == ("Pending", "Unschedulable")
        assert "nodes are available" in condition.message

    def test_a_deadline_can_be_brought_forward_and_ends_the_pod(
        self, world: KubernetesWorld, name: str
    ) -> None:
        self.start(world, self.job(world, name, "sleep 300", activeDeadlineSeconds=900))
        patiently(
            lambda: True if any(p.status.phase == "Running" for p in self.pods(world, name)) else None,
            world.seconds,
        )
        world.ours.limit_job(name, 1)
        condition = self.condition(world, name)
        assert (condition.type, condition.reason) == ("Failed", "DeadlineExceeded")
        patiently(lambda: True if not self.pods(world, name) else None, world.seconds)

    def test_a_job_that_is_removed_stays_until_its_pods_are_gone(
        self, world: KubernetesWorld, name: str
    ) -> None:
        self.start(world, self.job(world, name, "sleep 300"))
        patiently(
            lambda: True if any(p.status.phase == "Running" for p in self.pods(world, name)) else None,
            world.seconds,
        )
        world.ours.delete_job(name)

        def gone() -> bool | None:
            jobs, pods = world.ours.jobs(f"contract={name}"), self.pods(world, name)
            assert jobs or not pods, "the Job went before its pods"
            return True if not jobs else None

        patiently(gone, world.seconds)
        world.ours.delete_job(name)

    def test_a_watch_tells_of_pods(self, world: KubernetesWorld, name: str) -> None:
        core = client.CoreV1Api(world.api_client)
        version = core.list_namespaced_pod(world.namespace).metadata.resource_version
        self.start(world, self.job(world, name, "true"))
        stream = watch.Watch().stream(
            core.list_namespaced_pod, world.namespace, label_selector=f"contract={name}",
            resource_version=version, timeout_seconds=int(world.seconds),
        )  # fmt: skip
        with closing(stream):
            assert any(event["object"].status.phase == "Succeeded" for event in stream)
        with closing(world.ours.changes(f"contract={name}")) as changes:
            assert next(changes, "ended") is None

    def test_rights_can_be_asked_for(self, world: KubernetesWorld) -> None:
        assert world.ours.may("create", "jobs", group="batch", namespace=world.namespace)
        assert world.ours.may("get", "pods/log", namespace=world.namespace)
        assert world.ours.version().startswith("v")

    def test_what_is_not_there_has_no_log(self, world: KubernetesWorld) -> None:
        assert world.ours.log("no-such-pod", "main", limit_bytes=10) == b""

    def test_a_job_that_is_none_is_refused(self, world: KubernetesWorld, name: str) -> None:
        manifest = self.job(world, name, "true")
        manifest["spec"]["template"]["spec"]["containers"][0]["image"] = ""
        with pytest.raises(ApiException) as refused:
            self.start(world, manifest)
        assert refused.value.status == 422
