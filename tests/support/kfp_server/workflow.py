"""One Argo workflow: its life, and how it looks as a manifest and as KFP's task details."""

import json
import uuid
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from tests.support.kfp_server.behaviour import Behave
from tests.support.kfp_server.clock import Clock
from tests.support.kfp_server.cluster import FakeCluster
from tests.support.kfp_server.dag import Interpreter
from tests.support.kfp_server.executors import Executors
from tests.support.kfp_server.pods import ArgoNode, PodRecord, Steps, Tree
from tests.support.kfp_server.shape import stamp

_STATES = {
    "Pending": "PENDING", "Running": "RUNNING", "Succeeded": "SUCCEEDED", "Skipped": "SKIPPED",
    "Failed": "FAILED", "Error": "FAILED",
}  # fmt: skip


class Workflow:
    """Runs one submission of an IR. Its phase is Pending until it is first looked at."""

    def __init__(
        self,
        *,
        name: str,
        run_id: str,
        pipeline: tuple[Mapping[str, Any], Mapping[str, Any]],
        parameters: Mapping[str, Any],
        cluster: FakeCluster,
        clock: Clock,
        behave: Behave,
    ) -> None:
        ir, platforms = pipeline
        self.name, self.run_id, self.created = name, run_id, clock.now
        self.uid = str(uuid.uuid4())
        self.tree = Tree(name, cluster, clock)
        self.phase, self.message = "Pending", ""
        self.finished: datetime | None = None
        declared = ir["root"].get("inputDefinitions", {}).get("parameters", {})
        self._parameters = {name: _typed(parameters.get(name), spec) for name, spec in declared.items()}
        self._interpreter = Interpreter(ir, executors=Executors(ir, platforms), tree=self.tree, behave=behave)
        self._steps: Steps = self._interpreter.root(self._parameters)

    @property
    def pods(self) -> list[PodRecord]:
        return self.tree.pods

    def advance(self) -> bool:
        """Do what can be done at this instant; whether anything changed."""
        if self.finished is not None:
            return False
        before = self.tree.changes
        self.phase = "Running"
        try:
            next(self._steps)
        except StopIteration as end:
            self.finished = self.tree.clock.now
            self.phase = "Failed" if self.tree.cancelled else end.value
        return self.tree.changes != before or self.finished is not None

    def terminate(self) -> None:
        """What a deadline of zero seconds does: everything ends at once, as failed."""
        if self.finished is None:
            self.tree.cancelled = True
            self.message = "Max duration limit exceeded"

    def delete(self) -> None:
        """Take it out of the cluster."""
        self.tree.release_all()
        self.finished = self.finished or self.tree.clock.now

    def retry(self) -> None:
        """Begin again, keeping what ended well."""
        self.tree.nodes = {name: node for name, node in self.tree.nodes.items() if node.phase == "Succeeded"}
        self.tree.cancelled, self.finished, self.phase, self.message = False, None, "Running", ""
        self._steps = self._interpreter.root(self._parameters)

    def manifest(self) -> str:
        """The workflow as the persistence agent reports it."""
        nodes = {self.tree.identify(name): self._node(node) for name, node in self.tree.nodes.items()}
        status: dict[str, Any] = {"phase": self.phase, "startedAt": stamp(self.created), "nodes": nodes}
        status["finishedAt"] = stamp(self.finished) if self.finished else None
        if self.message:
            status["message"] = self.message
        metadata = {
            "name": self.name,
            "namespace": "kubeflow",
            "uid": self.uid,
            "labels": {"pipeline/runid": self.run_id},
            "creationTimestamp": stamp(self.created),
        }
        return json.dumps(
            {"kind": "Workflow", "apiVersion": "argoproj.io/v1alpha1", "metadata": metadata, "status": status}
        )

    def task_details(self) -> list[dict[str, Any]]:
        """What v2beta1 tells: no path, no node, no message, all in the order of Argo's ids."""
        by_id = sorted((self.tree.identify(name), node) for name, node in self.tree.nodes.items())
        return [self._detail(identity, node) for identity, node in by_id]

    def _node(self, node: ArgoNode) -> dict[str, Any]:
        found: dict[str, Any] = {
            "id": self.tree.identify(node.name),
            "name": node.name,
            "displayName": _display(node.name),
            "type": node.type,
            "templateName": node.template,
            "phase": node.phase,
            "startedAt": stamp(node.started),
            "finishedAt": stamp(node.finished) if node.finished else None,
            "children": node.children,
            "hostNodeName": node.host,
            "message": node.message,
        }
        return {key: value for key, value in found.items() if value or key == "finishedAt"}

    def _detail(self, identity: str, node: ArgoNode) -> dict[str, Any]:
        return {
            "run_id": self.run_id,
            "task_id": str(uuid.uuid5(uuid.UUID(self.uid), node.name)),
            "display_name": _display(node.name),
            "create_time": stamp(self.created),
            "start_time": stamp(node.started),
            "end_time": stamp(node.finished),
            "state": _STATES.get(node.phase, ""),
            "child_tasks": [{"pod_name": child} for child in node.children],
        }


def _display(name: str) -> str:
    parent, _, last = name.rpartition(".")
    return f"{parent.rpartition('.')[2]}.{last}" if last == "onExit" else last


def _typed(given: Any, spec: Mapping[str, Any]) -> Any:
    value = spec.get("defaultValue") if given is None else given
    return int(value) if spec.get("parameterType") == "NUMBER_INTEGER" and value is not None else value
