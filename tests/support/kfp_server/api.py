"""The routes: what a request does, and what is answered. No sockets here."""

import json
import re
from collections.abc import Callable, Mapping
from typing import Any

from tests.support.kfp_server.cluster import FakeCluster, FakeNode
from tests.support.kfp_server.others import Experiments, RecurringRuns
from tests.support.kfp_server.runs import Runs, experiment_must_be_available
from tests.support.kfp_server.shape import ApiError, dense, invalid, not_found

_ROUTE = re.compile(
    r"/apis/(?P<version>v2beta1|v1beta1)/(?P<kind>\w+)(?:/(?P<id>[^:/]+))?(?::(?P<verb>\w+))?$"
)
Answer = dict[str, Any]


class Api:
    """KFP's API, and Kubernetes' list of nodes."""

    def __init__(
        self, runs: Runs, experiments: Experiments, recurring: RecurringRuns, cluster: FakeCluster
    ) -> None:
        self._runs, self._experiments, self._recurring, self._cluster = runs, experiments, recurring, cluster

    def answer(self, method: str, path: str, *, query: Mapping[str, str], body: bytes) -> Answer:
        """What is answered with status 200; `ApiError` otherwise."""
        if path == "/api/v1/nodes":
            return self._nodes(query)
        match = _ROUTE.match(path)
        if match is None:
            raise ApiError(404, 5, "Not Found")
        version, kind, identity, verb = match.group("version", "kind", "id", "verb")
        if version == "v1beta1":
            return self._v1(method, kind, identity)
        if kind == "healthz":
            return dense(
                {
                    "commit_sha": "c0ffee",
                    "tag_name": "2.17.0",
                    "multi_user": False,
                    "pipeline_store": "database",
                }
            )
        handlers: dict[str, Callable[..., Answer]] = {
            "runs": self._run, "experiments": self._experiment, "recurringruns": self._recurring_run,
        }  # fmt: skip
        if kind not in handlers:
            raise ApiError(404, 5, "Not Found")
        return handlers[kind](method, identity, verb, query=query, body=body)

    def _v1(self, method: str, kind: str, identity: str | None) -> Answer:
        if method != "GET" or kind != "runs" or identity is None:
            raise ApiError(501, 12, "Method Not Allowed")
        return self._runs.shown_v1(self._runs.row(identity))

    def _run(
        self, method: str, identity: str | None, verb: str | None, *, query: Mapping[str, str], body: bytes
    ) -> Answer:
        runs = self._runs
        if identity is None:
            return self._created_run(_object(body)) if method == "POST" else runs.listed(query)
        verbs: dict[tuple[str, str | None], Callable[[], Any]] = {
            ("GET", None): lambda: runs.shown(runs.row(identity)),
            ("DELETE", None): lambda: runs.delete(identity),
            ("POST", "terminate"): lambda: runs.terminate(identity),
            ("POST", "retry"): lambda: runs.retry(identity),
            ("POST", "archive"): lambda: runs.store(identity, "ARCHIVED"),
            ("POST", "unarchive"): lambda: self._unarchived(identity),
        }
        return _done(verbs, method, verb)

    def _created_run(self, body: Mapping[str, Any]) -> Answer:
        experiment = body.get("experiment_id") or self._experiments.default_id
        experiment_must_be_available(self._experiments.row(experiment)["storage_state"])
        made = self._runs.create(body, experiment)
        self._experiments.set(experiment, "last_run_created_at", made["created_at"])
        return made

    def _unarchived(self, identity: str) -> None:
        experiment = self._runs.row(identity).experiment_id
        experiment_must_be_available(self._experiments.row(experiment)["storage_state"])
        self._runs.store(identity, "AVAILABLE")

    def _experiment(
        self, method: str, identity: str | None, verb: str | None, *, query: Mapping[str, str], body: bytes
    ) -> Answer:
        table = self._experiments
        if identity is None:
            return table.create(_object(body)) if method == "POST" else table.listed(query)
        verbs: dict[tuple[str, str | None], Callable[[], Any]] = {
            ("GET", None): lambda: table.shown(identity),
            ("DELETE", None): lambda: table.delete(identity),
            ("POST", "archive"): lambda: table.set(identity, "storage_state", "ARCHIVED"),
            ("POST", "unarchive"): lambda: table.set(identity, "storage_state", "AVAILABLE"),
        }
        return _done(verbs, method, verb)

    def _recurring_run(
        self, method: str, identity: str | None, verb: str | None, *, query: Mapping[str, str], body: bytes
    ) -> Answer:
        table = self._recurring
        if identity is None:
            made = _object(body) if method == "POST" else {}
            experiment = made.get("experiment_id") or self._experiments.default_id
            return (
                table.create({**made, "experiment_id": experiment})
                if method == "POST"
                else table.listed(query)
            )
        verbs: dict[tuple[str, str | None], Callable[[], Any]] = {
            ("GET", None): lambda: table.shown(identity),
            ("DELETE", None): lambda: table.delete(identity),
            ("POST", "enable"): lambda: table.set(identity, "status", "ENABLED"),
            ("POST", "disable"): lambda: table.set(identity, "status", "DISABLED"),
        }
        return _done(verbs, method, verb)

    def _nodes(self, query: Mapping[str, str]) -> Answer:
        names = sorted(self._cluster.nodes)
        start, limit = int(query.get("continue") or 0), int(query.get("limit") or len(names))
        shown = [kubernetes_node(self._cluster.nodes[name]) for name in names[start : start + limit]]
        more = start + limit < len(names)
        metadata = {"resourceVersion": "1", **({"continue": str(start + limit)} if more else {})}
        return {"kind": "NodeList", "apiVersion": "v1", "metadata": metadata, "items": shown}


def _done(verbs: Mapping[tuple[str, str | None], Callable[[], Any]], method: str, verb: str | None) -> Answer:
    if (method, verb) not in verbs:
        raise not_found("Method", f"{method} {verb or ''}".strip())
    found: Answer | None = verbs[method, verb]()
    return found or {}


def _object(body: bytes) -> dict[str, Any]:
    try:
        found = json.loads(body)
    except ValueError as error:
        raise invalid("the body is no JSON") from error
    if not isinstance(found, dict):
        raise invalid("the body is no object")
    return found


def kubernetes_node(node: FakeNode) -> dict[str, Any]:
    amounts = {"cpu": f"{node.millicores}m", "memory": f"{node.memory_mib * 1024}Ki", "pods": "110"}
    if node.gpus:
        amounts["nvidia.com/gpu"] = str(node.gpus)
    spec = {"taints": [dict(taint) for taint in node.all_taints], "unschedulable": node.cordoned}
    ready = {"type": "Ready", "status": "True" if node.ready else "Unknown", "reason": "KubeletReady"}
    return {
        "metadata": {"name": node.name, "labels": node.all_labels},
        "spec": {key: value for key, value in spec.items() if value},
        "status": {
            "capacity": amounts,
            "allocatable": amounts,
            "conditions": [{"type": "MemoryPressure", "status": "False"}, ready],
            "nodeInfo": {"architecture": node.architecture, "operatingSystem": "linux"},
        },
    }
