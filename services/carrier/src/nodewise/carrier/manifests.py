"""The Job of an attempt. Pure: what it says follows from the job, the node and the settings."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote, urlsplit

from nodewise.agent.cache import ArtifactCache
from nodewise.agent.folder import AttemptFolder
from nodewise.agent.staging import Staged, stage
from nodewise.carrier import names
from nodewise.core.engine.kubeflow.nodes import KubernetesNode
from nodewise.core.messages import JobRef
from nodewise.core.model.component import ContainerWork
from nodewise.core.model.ids import AttemptKey
from nodewise.core.model.job import Job
from nodewise.core.model.resources import Resources
from nodewise.core.model.selection import HOSTNAME
from nodewise.core.settings import Settings
from nodewise.core.store import why_not_fetched
from nodewise.core.store.addresses import safe_segment

WORK_DIR: Final = "/var/lib/nodewise/agent"
START_SECONDS: Final = 900
"""Kubernetes counts a Job's time from its creation, a task's limit begins with its container: so long a start may take."""
_GRACE_SECONDS: Final = 10
_OUR_USER: Final = 10001
_OVERHEAD_MIB: Final = 128
"""What our own process in a pod uses beside the task, above the task's limit: else the system would end us for it."""
_HELPERS: Final = Resources(millicores=100, memory_mib=192)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pods:
    """What is the same in all pods of a cluster."""

    cluster: str
    namespace: str
    image: str
    settings: Settings

    def job(self, ref: JobRef, job: Job, node: KubernetesNode) -> dict[str, Any]:
        """The Job that runs this attempt on this node.

        Raises:
            UnresolvedInput: A placeholder asks for what was not given.
        """
        labels = names.labels_of(ref.key, self.cluster)
        notes = _notes(ref, job, node)
        spec: dict[str, Any] = {
            "backoffLimit": 0,
            "completions": 1,
            "parallelism": 1,
            "ttlSecondsAfterFinished": self.settings.kubernetes_keep_seconds,
            "template": {
                "metadata": {"labels": labels, "annotations": {**notes, "sidecar.istio.io/inject": "false"}},
                "spec": self._pod(ref, job, node),
            },
        }
        if job.timeout is not None:
            spec["activeDeadlineSeconds"] = math.ceil(job.timeout.total_seconds()) + START_SECONDS
        name = names.job_name(ref.key, self.cluster)
        metadata = {"name": name, "namespace": self.namespace, "labels": labels, "annotations": notes}
        return {"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": spec}

    def _pod(self, ref: JobRef, job: Job, node: KubernetesNode) -> dict[str, Any]:
        settings = self.settings
        pod: dict[str, Any] = {
            "restartPolicy": "Never",
            "automountServiceAccountToken": False,
            "enableServiceLinks": False,
            "terminationGracePeriodSeconds": _GRACE_SECONDS,
            "nodeSelector": {HOSTNAME: node.hostname},
            "tolerations": _tolerations(node),
            "securityContext": {
                "fsGroup": _OUR_USER,
                "fsGroupChangePolicy": "OnRootMismatch",
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "volumes": self._volumes(),
            **self._containers(ref, job, node),
        }
        if settings.kubernetes_pull_secrets:
            pod["imagePullSecrets"] = [{"name": name} for name in settings.kubernetes_pull_secrets]
        if settings.kubernetes_service_account:
            pod["serviceAccountName"] = settings.kubernetes_service_account
        return pod

    def _containers(self, ref: JobRef, job: Job, node: KubernetesNode) -> dict[str, Any]:
        needs = _amounts(job, node, overhead_mib=_OVERHEAD_MIB)
        if not isinstance(job.work, ContainerWork):
            return {"containers": [self._ours(names.MAIN, "run", ref, needs)]}
        # In a pod the init containers run one after the other, and the others when all of them have ended well: so the component's
        # container stands between our two, and nobody has to be told when it ends.
        small = _helper_amounts(job.resources)
        return {
            "initContainers": [
                self._ours(names.STAGE, "stage", ref, small),
                self._of_component(job, _amounts(job, node, overhead_mib=0)),
            ],
            "containers": [self._ours(names.COLLECT, "collect", ref, small)],
        }

    def _ours(self, name: str, step: str, ref: JobRef, resources: Mapping[str, Any]) -> dict[str, Any]:
        settings = self.settings
        variables = {
            **settings.kubernetes_pod_env,
            "NODEWISE_STORE_URL": settings.store_url,
            "NODEWISE_MAX_LOG_MIB": str(settings.max_log_mib),
            "NODEWISE_WORK_DIR": WORK_DIR,
        }
        uid = {"name": "NODEWISE_POD_UID", "valueFrom": {"fieldRef": {"fieldPath": "metadata.uid"}}}
        container: dict[str, Any] = {
            "name": name,
            "image": self.image,
            "imagePullPolicy": settings.kubernetes_pull_policy,
            "command": ["/opt/nodewise/bin/python", "-P", "-m", "nodewise.agent.once", step, ref.job_uri],
            "env": [*({"name": key, "value": value} for key, value in sorted(variables.items())), uid],
            "resources": dict(resources),
            "securityContext": {
                "runAsNonRoot": True,
                "runAsUser": _OUR_USER,
                "runAsGroup": _OUR_USER,
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            },
            "volumeMounts": [
                {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108 - in the pod
                {"name": "work", "mountPath": WORK_DIR},
                *self._store_mounts(),
            ],
        }
        if settings.kubernetes_pod_secret:
            container["envFrom"] = [{"secretRef": {"name": settings.kubernetes_pod_secret}}]
        return container

    def _of_component(self, job: Job, resources: Mapping[str, Any]) -> dict[str, Any]:
        staged = start_of(job)
        container: dict[str, Any] = {
            "name": names.TASK_STEP,
            "image": staged.launched.image,
            "env": [{"name": key, "value": value} for key, value in sorted(staged.environment.items())],
            "resources": dict(resources),
            "volumeMounts": [{"name": "work", "mountPath": WORK_DIR}],
        }
        if staged.launched.command:
            container["command"] = [_literal(word) for word in staged.launched.command]
        if staged.launched.args:
            container["args"] = [_literal(word) for word in staged.launched.args]
        for variable in container["env"]:
            variable["value"] = _literal(variable["value"])
        return container

    def _volumes(self) -> list[dict[str, Any]]:
        volumes: list[dict[str, Any]] = [{"name": name, "emptyDir": {}} for name in ("tmp", "work")]
        settings = self.settings
        if settings.kubernetes_store_claim:
            claim = {"claimName": settings.kubernetes_store_claim}
            volumes.append({"name": "store", "persistentVolumeClaim": claim})
        elif settings.kubernetes_store_path:
            path = {"path": settings.kubernetes_store_path, "type": "Directory"}
            volumes.append({"name": "store", "hostPath": path})
        return volumes

    def _store_mounts(self) -> list[dict[str, Any]]:
        folder = store_folder(self.settings)
        mounted = self.settings.kubernetes_store_claim or self.settings.kubernetes_store_path
        return [{"name": "store", "mountPath": folder}] if folder and mounted else []


def store_folder(settings: Settings) -> str | None:
    """Where a store in a file system lies; None: it is in none."""
    parts = urlsplit(settings.store_url)
    return unquote(parts.path) if parts.scheme == "file" else None


class _FetchedElsewhere(ArtifactCache):
    """Fetches nothing: a pod does that, to the same places."""

    def __init__(self) -> None:
        """Nothing to keep."""

    def stage(self, uri: str, destination: Path) -> None:
        """Nothing to do."""

    def stage_foreign(self, uri: str, destination: Path) -> str | None:  # noqa: ARG002 - what is fetched elsewhere
        """By the packages that are installed here, as in the pods: both come from one set of images."""
        return why_not_fetched(uri)


def start_of(job: Job) -> Staged:
    """What the container of a component is started with, in a pod whose work folder is `WORK_DIR`.

    Raises:
        UnresolvedInput: A placeholder asks for what was not given.
    """
    return stage(job, folder_of(job.key), _FetchedElsewhere(), cores=())


def folder_of(key: AttemptKey) -> AttemptFolder:
    """The attempt's folder in its pod, as an agent's journal would have it."""
    attempts = Path(WORK_DIR) / "attempts"
    return AttemptFolder(attempts / safe_segment(key.run_id) / safe_segment(key.path) / str(key.attempt))


def _notes(ref: JobRef, job: Job, node: KubernetesNode) -> dict[str, str]:
    notes = {
        names.JOB: json.dumps(ref.model_dump(mode="json")),
        names.NODE: node.name,
        names.PATH: ref.key.path,
    }
    if job.timeout is not None:
        notes[names.TIMEOUT] = f"{job.timeout.total_seconds():g}"
    if job.memory_limit_mib is not None:
        notes[names.MEMORY] = str(job.memory_limit_mib)
    return notes


def _literal(text: str) -> str:
    """As Kubernetes has to be told it, which takes $(NAME) for a variable and $$ for $."""
    return text.replace("$", "$$")


def _amounts(job: Job, node: KubernetesNode, *, overhead_mib: int) -> dict[str, Any]:
    """What is booked is asked for. Memory is bounded where the task's is; idle cores it may use, as on an agent."""
    booked = job.resources
    requests = {"cpu": f"{booked.millicores}m", "memory": f"{booked.memory_mib}Mi"}
    limits: dict[str, str] = {}
    if job.memory_limit_mib is not None:
        limits["memory"] = f"{max(job.memory_limit_mib + overhead_mib, booked.memory_mib)}Mi"
    if booked.gpus and node.accelerator:
        requests[node.accelerator] = limits[node.accelerator] = str(booked.gpus)
    return {"requests": requests, "limits": limits}


def _helper_amounts(booked: Resources) -> dict[str, Any]:
    """Never more than what is booked: a pod needs the largest of its containers that run one after the other."""
    cpu, memory = min(_HELPERS.millicores, booked.millicores), min(_HELPERS.memory_mib, booked.memory_mib)
    return {"requests": {"cpu": f"{cpu}m", "memory": f"{memory}Mi"}}


def _tolerations(node: KubernetesNode) -> list[dict[str, str]]:
    """Of the taints of the node that was chosen: whether the task may go there was decided before."""
    return [
        {"key": taint.key, "operator": "Equal", "value": taint.value, "effect": taint.effect}
        for taint in node.taints
        if taint.keeps_off and not taint.says_unwell
    ]
