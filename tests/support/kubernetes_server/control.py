"""What the controllers and the scheduler of Kubernetes do about Jobs and pods, as far as a carrier meets it."""

import math
import secrets
import string
from datetime import UTC, datetime, timedelta
from typing import Any

from nodewise.core.model.quantities import mebibytes, millicores
from tests.support.kubernetes_server.objects import Object, Objects, now_text

_LETTERS = "bcdfghjklmnpqrstvwxz2456789"
assert set(_LETTERS) <= set(string.ascii_lowercase + string.digits)


def is_over(pod: Object) -> bool:
    return pod["status"].get("phase") in ("Succeeded", "Failed")


def pods_of(objects: Objects, job: Object) -> list[Object]:
    uid = job["metadata"]["uid"]
    return [
        pod
        for pod in objects.all("pods")
        if any(owner["uid"] == uid for owner in pod["metadata"].get("ownerReferences", []))
    ]


class JobController:
    """One pod at a time for each Job; a pod that is deleted before its end is made anew, one that failed is not (backoffLimit 0)."""

    def __init__(self, objects: Objects) -> None:
        self._objects = objects

    def look(self) -> None:
        for job in self._objects.all("jobs"):
            if not job["metadata"].get("deletionTimestamp") and not self._finished(job):
                self._look_at(job)

    def overdue(self) -> list[Object]:
        """The pods of Jobs whose time is over."""
        found = []
        for job in self._objects.all("jobs"):
            if any(one.get("reason") == "DeadlineExceeded" for one in job["status"].get("conditions", [])):
                found += [pod for pod in pods_of(self._objects, job) if not is_over(pod)]
        return found

    def _finished(self, job: Object) -> bool:
        return any(one["status"] == "True" for one in job["status"].get("conditions", []))

    def _look_at(self, job: Object) -> None:
        status, pods = job["status"], pods_of(self._objects, job)
        status.setdefault("startTime", now_text())
        phases = [pod["status"].get("phase") for pod in pods]
        if self._late(job):
            self._finish(job, "Failed", "DeadlineExceeded", "Job was active longer than specified deadline")
        elif "Succeeded" in phases:
            self._finish(job, "Complete", "", "")
        elif "Failed" in phases:
            self._finish(job, "Failed", "BackoffLimitExceeded", "Job has reached the specified backoff limit")
        elif not [pod for pod in pods if not is_over(pod)]:
            self._objects.add("pods", self._pod(job), job["metadata"]["namespace"])

    def _late(self, job: Object) -> bool:
        seconds = job["spec"].get("activeDeadlineSeconds")
        if seconds is None:
            return False
        began = datetime.fromisoformat(job["status"]["startTime"])
        return datetime.now(UTC) >= began + timedelta(seconds=seconds)

    def _finish(self, job: Object, kind: str, reason: str, message: str) -> None:
        condition = {
            "type": kind, "status": "True", "reason": reason, "message": message,
            "lastTransitionTime": now_text(), "lastProbeTime": now_text(),
        }  # fmt: skip
        job["status"].setdefault("conditions", []).append(condition)
        self._objects.touch("jobs", job)

    def _pod(self, job: Object) -> Object:
        metadata, template = job["metadata"], job["spec"]["template"]
        suffix = "".join(secrets.choice(_LETTERS) for _ in range(5))
        given = template.get("metadata") or {}
        owner = {
            "apiVersion": "batch/v1", "kind": "Job", "name": metadata["name"], "uid": metadata["uid"],
            "controller": True, "blockOwnerDeletion": True,
        }  # fmt: skip
        return {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {
                "name": f"{metadata['name']}-{suffix}",
                "generateName": f"{metadata['name']}-",
                "labels": {
                    **(given.get("labels") or {}),
                    "job-name": metadata["name"],
                    "controller-uid": metadata["uid"],
                },
                "annotations": dict(given.get("annotations") or {}),
                "ownerReferences": [owner],
            },
            "spec": dict(template["spec"]),
            "status": {"phase": "Pending"},
        }


class Scheduler:
    """Binds pods to nodes by selector, taints and requests."""

    def __init__(self, objects: Objects) -> None:
        self._objects = objects

    def look(self) -> list[Object]:
        """The pods that were bound just now."""
        bound = []
        for pod in self._objects.all("pods"):
            if pod["status"]["phase"] == "Pending" and not pod["spec"].get("nodeName"):
                if pod["metadata"].get("deletionTimestamp"):
                    continue
                node, why = self._node_for(pod)
                if node is not None:
                    self._bind(pod, node)
                    bound.append(pod)
                else:
                    self._refuse(pod, why)
        return bound

    def _bind(self, pod: Object, node: str) -> None:
        pod["spec"]["nodeName"] = node
        pod["status"]["conditions"] = [
            {"type": "PodScheduled", "status": "True", "lastTransitionTime": now_text()}
        ]
        self._objects.touch("pods", pod)

    def _refuse(self, pod: Object, why: str) -> None:
        if any(one["type"] == "PodScheduled" for one in pod["status"].get("conditions", [])):
            return
        condition = {
            "type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": why,
            "lastTransitionTime": now_text(),
        }  # fmt: skip
        pod["status"].setdefault("conditions", []).append(condition)
        self._objects.touch("pods", pod)

    def _node_for(self, pod: Object) -> tuple[str | None, str]:
        refusals: dict[str, int] = {}
        nodes = self._objects.all("nodes")
        for node in nodes:
            why = self._refusal(pod, node)
            if why is None:
                return str(node["metadata"]["name"]), ""
            refusals[why] = refusals.get(why, 0) + 1
        said = ", ".join(f"{count} {why}" for why, count in sorted(refusals.items()))
        return None, f"0/{len(nodes)} nodes are available: {said}."

    def _refusal(self, pod: Object, node: Object) -> str | None:
        spec = pod["spec"]
        labels = node["metadata"].get("labels") or {}
        if any(labels.get(key) != value for key, value in (spec.get("nodeSelector") or {}).items()):
            return "node(s) didn't match node selector"
        if node["spec"].get("unschedulable"):
            return "node(s) were unschedulable"
        for taint in node["spec"].get("taints") or []:
            if taint["effect"] != "PreferNoSchedule" and not _tolerated(taint, spec.get("tolerations") or []):
                return f"node(s) had taint {{{taint['key']}: {taint.get('value', '')}}}, that the pod didn't tolerate"
        allocatable = node["status"]["allocatable"]
        taken = self._taken(node["metadata"]["name"])
        for name, amount in requested(spec).items():
            if taken.get(name, 0) + amount > number(name, allocatable.get(name, "0")):
                return f"Insufficient {name}"
        return None

    def _taken(self, node: str) -> dict[str, float]:
        found: dict[str, float] = {}
        for pod in self._objects.all("pods"):
            if pod["spec"].get("nodeName") == node and not is_over(pod):
                for name, amount in requested(pod["spec"]).items():
                    found[name] = found.get(name, 0) + amount
        return found


def requested(spec: Object) -> dict[str, float]:
    """The most that runs at one time."""
    found: dict[str, float] = {}
    for container in spec.get("containers") or []:
        for name, text in ((container.get("resources") or {}).get("requests") or {}).items():
            found[name] = found.get(name, 0) + number(name, text)
    for container in spec.get("initContainers") or []:
        for name, text in ((container.get("resources") or {}).get("requests") or {}).items():
            found[name] = max(found.get(name, 0), number(name, text))
    return found


def number(name: str, text: Any) -> float:
    if name == "cpu":
        return millicores(str(text))
    return mebibytes(str(text)) if name == "memory" else math.floor(float(text))


def _tolerated(taint: Object, tolerations: list[Object]) -> bool:
    for one in tolerations:
        same_effect = one.get("effect") in (None, "", taint["effect"])
        exists = one.get("operator") == "Exists" and one.get("key") in (None, "", taint["key"])
        equal = one.get("key") == taint["key"] and (one.get("value") or "") == (taint.get("value") or "")
        if same_effect and (exists or equal):
            return True
    return False
