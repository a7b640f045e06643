"""A server that behaves like the Kubernetes API, its controllers, its scheduler and its kubelets, on a free port of the loopback.

It was written from Kubernetes' documentation and sources; `tests/contracts/kubernetes_contract.py` holds it to the official Python client, and
the same contract can be run against a real cluster. Containers are processes of this machine; every image has its programs.
"""

import copy
import json
import socket
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

from tests.support.cuttable import CuttableServer
from tests.support.kubernetes_server.control import JobController, Scheduler, is_over, pods_of
from tests.support.kubernetes_server.handler import Handler
from tests.support.kubernetes_server.kubelet import PodRun
from tests.support.kubernetes_server.objects import (
    ApiError,
    Object,
    Objects,
    fields_fit,
    labels_fit,
    now_text,
)

_TICK_SECONDS = 0.05
_RESOURCES = {"nodes", "pods", "jobs"}


@dataclass(frozen=True, kw_only=True)
class KubeNode:
    """A node of the test server."""

    name: str
    cpu: str = "2"
    memory: str = "2Gi"
    gpus: int = 0
    labels: dict[str, str] = field(default_factory=dict)
    taints: tuple[dict[str, str], ...] = ()

    def to_object(self) -> Object:
        amounts = {"cpu": self.cpu, "memory": self.memory, "pods": "110"}
        if self.gpus:
            amounts["nvidia.com/gpu"] = str(self.gpus)
        labels = {"kubernetes.io/hostname": self.name, "kubernetes.io/arch": "amd64", **self.labels}
        return {
            "apiVersion": "v1",
            "kind": "Node",
            "metadata": {"name": self.name, "labels": labels},
            "spec": {"taints": [dict(taint) for taint in self.taints]},
            "status": {
                "allocatable": amounts,
                "capacity": amounts,
                "conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": now_text()}],
                "addresses": [],
            },
        }


class KubernetesServer:
    """Use as a context. `requests` are all that came, as (method, path); `denied` are rights that nobody has, as "verb resource"."""

    def __init__(self, nodes: Iterable[KubeNode] = (KubeNode(name="k1"), KubeNode(name="k2"))) -> None:
        self.objects = Objects()
        self.requests: list[tuple[str, str]] = []
        self.denied: set[str] = set()
        self._jobs = JobController(self.objects)
        self._scheduler = Scheduler(self.objects)
        self.runs: dict[str, PodRun] = {}
        self._port = 0
        self._http: _Http | None = None
        self._thread: threading.Thread | None = None
        self._reserved: socket.socket | None = None
        self._stopped = threading.Event()
        self._control = threading.Thread(target=self._run, name="control", daemon=True)
        for node in nodes:
            self.objects.add("nodes", node.to_object())

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    def __enter__(self) -> Self:
        self.up()
        self._control.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopped.set()
        self._control.join()
        self.down()
        if self._reserved is not None:
            self._reserved.close()
        for run in list(self.runs.values()):
            run.end(0)
            run.join()
            run.clear()

    def up(self) -> None:
        """Answer again, with all that was stored."""
        if self._reserved is not None:
            self._reserved.close()
            self._reserved = None
        self._http = _Http(("127.0.0.1", self._port), Handler)
        self._http.owner = self
        self._port = self._http.server_port
        self._thread = threading.Thread(
            target=self._http.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True
        )
        self._thread.start()

    def down(self) -> None:
        """Refuse connections until `up`; pods and controllers go on, as they would with etcd and kubelets alive."""
        if self._http is None or self._thread is None:
            return
        self._http.shutdown()
        self._http.cut_all()
        self._http.server_close()
        self._thread.join()
        self._http = self._thread = None
        self._reserved = socket.socket()
        self._reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._reserved.bind(("127.0.0.1", self._port))

    # -- what a test does to the cluster

    def jobs(self) -> list[Object]:
        with self.objects.lock:
            return copy.deepcopy(self.objects.all("jobs"))

    def pods(self) -> list[Object]:
        with self.objects.lock:
            return copy.deepcopy(self.objects.all("pods"))

    def delete_job(self, name: str, namespace: str = "default", policy: str = "Background") -> None:
        self._delete_job(self.objects.get("jobs", name, namespace), policy)

    def delete_pod(self, name: str, namespace: str = "default") -> None:
        self._delete_pod(self.objects.get("pods", name, namespace))

    def evict(self, name: str, message: str) -> None:
        self.runs[name].end(0, ("Evicted", message))

    def change_node(self, name: str, change: Callable[[Object], None]) -> None:
        with self.objects.lock:
            node = self.objects.get("nodes", name)
            change(node)
            self.objects.touch("nodes", node)

    def set_ready(self, name: str, ready: str) -> None:
        def change(node: Object) -> None:
            node["status"]["conditions"][0]["status"] = ready

        self.change_node(name, change)

    def remove_node(self, name: str) -> None:
        """Its pods are gone with it."""
        with self.objects.lock:
            self.objects.remove("nodes", self.objects.get("nodes", name))
            for pod in self.objects.all("pods"):
                if pod["spec"].get("nodeName") == name:
                    if (run := self.runs.get(pod["metadata"]["name"])) is not None:
                        run.end(0)
                    self.objects.remove("pods", pod)

    def add_pod(self, name: str, node: str, requests: dict[str, str], namespace: str = "other") -> None:
        """A pod of somebody else, which runs for ever."""
        container = {"name": "c", "image": "i", "resources": {"requests": requests}}
        pod = {
            "metadata": {"name": name},
            "spec": {"nodeName": node, "containers": [container]},
            "status": {"phase": "Running"},
        }
        self.objects.add("pods", pod, namespace)

    # -- the loops of the cluster

    def _run(self) -> None:
        while not self._stopped.is_set():
            with self.objects.lock:
                self._turn()
            self._stopped.wait(_TICK_SECONDS)

    def _turn(self) -> None:
        self._jobs.look()
        for pod in self._jobs.overdue():
            self._delete_pod(pod)
        for pod in self._scheduler.look():
            run = PodRun(self.objects, pod, self._noop)
            self.runs[pod["metadata"]["name"]] = run
            run.start()
        for pod in self.objects.all("pods"):
            run_of = self.runs.get(pod["metadata"]["name"])
            if pod["metadata"].get("deletionTimestamp") and (run_of is None or run_of.done):
                self.objects.remove("pods", pod)
        for job in self.objects.all("jobs"):
            if job["metadata"].get("deletionTimestamp") and not pods_of(self.objects, job):
                self.objects.remove("jobs", job)

    def _noop(self) -> None:
        """Its loop looks again soon enough."""

    def _delete_job(self, job: Object, policy: str) -> None:
        with self.objects.lock:
            pods = pods_of(self.objects, job)
            if policy == "Foreground":
                job["metadata"].setdefault("deletionTimestamp", now_text())
                job["metadata"]["finalizers"] = ["foregroundDeletion"]
                self.objects.touch("jobs", job)
            else:
                self.objects.remove("jobs", job)
            if policy != "Orphan":
                for pod in pods:
                    self._delete_pod(pod)

    def _delete_pod(self, pod: Object) -> None:
        with self.objects.lock:
            if pod["metadata"].get("deletionTimestamp"):
                return
            pod["metadata"]["deletionTimestamp"] = now_text()
            self.objects.touch("pods", pod)
            run = self.runs.get(pod["metadata"]["name"])
            if run is not None and not is_over(pod):
                run.end(pod["spec"].get("terminationGracePeriodSeconds", 30))

    # -- the API

    def answer(self, method: str, path: str, query: dict[str, str], body: Any) -> Any:
        if path == "/version":
            return {"major": "1", "minor": "20", "gitVersion": "v1.20.2"}
        if path.endswith("/selfsubjectaccessreviews"):
            return self._review(body)
        kind, namespace, name, sub = _parsed(path)
        self._check(method, kind, sub, namespace, named=bool(name))
        if method == "GET":
            return self._read(kind, namespace, name, sub, query)
        if method == "POST":
            return self._create(body, namespace)
        return self._change(method, self.objects.get(kind, name, namespace), kind, body)

    def _read(self, kind: str, namespace: str, name: str, sub: str, query: dict[str, str]) -> Any:
        if sub == "log":
            return self._log(name, query)
        if name:
            return copy.deepcopy(self.objects.get(kind, name, namespace))
        return self._list(kind, namespace, query)

    def _change(self, method: str, found: Object, kind: str, body: Any) -> Object:
        if method == "PATCH":
            with self.objects.lock:
                found["spec"].update(body["spec"])
                self.objects.touch(kind, found)
        elif kind == "jobs":
            self._delete_job(found, (body or {}).get("propagationPolicy", "Background"))
        else:
            self._delete_pod(found)
        return copy.deepcopy(found)

    def _create(self, body: Object, namespace: str) -> Object:
        job = copy.deepcopy(body)
        for container in job["spec"]["template"]["spec"]["containers"]:
            if not container.get("image"):
                raise ApiError(422, "Invalid", "spec.template.spec.containers[0].image: Required value")
        job["status"] = {}
        return copy.deepcopy(self.objects.add("jobs", job, namespace))

    def _list(self, kind: str, namespace: str | None, query: dict[str, str]) -> Object:
        fits, also = labels_fit(query.get("labelSelector")), fields_fit(query.get("fieldSelector"))
        with self.objects.lock:
            found = [
                copy.deepcopy(one)
                for one in self.objects.all(kind, namespace or None)
                if fits(one) and also(one)
            ]
            version = str(self.objects.version)
        first, limit = int(query.get("continue") or 0), int(query.get("limit") or 0) or len(found)
        more = str(first + limit) if first + limit < len(found) else ""
        metadata = {"resourceVersion": version, **({"continue": more} if more else {})}
        names = {"jobs": ("batch/v1", "JobList"), "pods": ("v1", "PodList"), "nodes": ("v1", "NodeList")}
        version_name, list_name = names[kind]
        return {
            "apiVersion": version_name, "kind": list_name, "metadata": metadata,
            "items": found[first : first + limit],
        }  # fmt: skip

    def _log(self, pod: str, query: dict[str, str]) -> bytes:
        run = self.runs.get(pod)
        if run is None or not self.objects.has("pods", run.pod):
            raise ApiError(404, "NotFound", f'pods "{pod}" not found')
        text = run.log(query["container"])
        if "tailLines" in query:
            text = b"".join(text.splitlines(keepends=True)[-int(query["tailLines"]) :])
        return text[: int(query["limitBytes"])] if "limitBytes" in query else text

    def _review(self, body: Object) -> Object:
        asked = body["spec"]["resourceAttributes"]
        resource = "/".join(part for part in (asked["resource"], asked.get("subresource")) if part)
        everywhere = "" if asked.get("namespace") else " everywhere"
        allowed = not self.denied & {f"{asked['verb']} {resource}", f"{asked['verb']} {resource}{everywhere}"}
        return {**body, "status": {"allowed": allowed}}

    def _check(self, method: str, kind: str, sub: str, namespace: str | None, *, named: bool) -> None:
        verb = {"GET": "get" if named else "list", "POST": "create", "PATCH": "patch", "DELETE": "delete"}[
            method
        ]
        resource = f"{kind}/{sub}" if sub else kind
        everywhere = "" if namespace else " everywhere"
        if self.denied & {f"{verb} {resource}", f"{verb} {resource}{everywhere}"}:
            raise ApiError(403, "Forbidden", f'{resource} is forbidden: User "u" cannot {verb} resource')

    def watch(self, path: str, query: dict[str, str], write: Callable[[bytes], None]) -> None:
        """Tell what happens, a line each, until the time is over or the server goes down."""
        kind, namespace, _, _ = _parsed(path)
        fits = labels_fit(query.get("labelSelector"))
        with self.objects.lock:
            version = int(query.get("resourceVersion") or self.objects.version)
            # Whoever names no version is told of all that is there, as if it came now.
            there = [] if query.get("resourceVersion") else self.objects.all(kind, namespace or None)
            first = [json.dumps({"type": "ADDED", "object": one}) for one in there if fits(one)]
        for line in first:
            write(line.encode() + b"\n")
        until = time.monotonic() + float(query.get("timeoutSeconds") or 60)
        http = self._http
        while time.monotonic() < until and self._http is http and not self._stopped.is_set():
            with self.objects.changed:
                events = list(self.objects.since(version, kind, fits))
                version = self.objects.version
                if not events:
                    self.objects.changed.wait(0.2)
            for what, found in events:
                if found["metadata"].get("namespace", "") == (namespace or ""):
                    write(json.dumps({"type": what, "object": found}).encode() + b"\n")


def _parsed(path: str) -> tuple[str, str, str, str]:
    """Kind, namespace, name, subresource."""
    parts = path.strip("/").split("/")
    rest = parts[2:] if parts[0] == "api" else parts[3:]
    namespace = ""
    if rest[0] == "namespaces" and len(rest) > 2:
        namespace, rest = rest[1], rest[2:]
    if rest[0] not in _RESOURCES:
        raise ApiError(404, "NotFound", "the server could not find the requested resource")
    name, sub = (rest[1] if len(rest) > 1 else ""), (rest[2] if len(rest) > 2 else "")
    return rest[0], namespace, name, sub


class _Http(CuttableServer):
    owner: KubernetesServer
