"""Argo's tree of nodes, and the pods in it: bound to a node of the cluster, running, ended, in simulated time."""

import zlib
from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from tests.support.kfp_server.clock import Clock
from tests.support.kfp_server.cluster import FakeCluster, Needs

Steps = Generator[None, None, Any]
"""Something that goes on: it is resumed until it has nothing to do, and yields then."""

TERMINATED = "Step exceeded its deadline"


@dataclass(slots=True, eq=False, kw_only=True)
class ArgoNode:
    name: str
    type: str
    template: str
    started: datetime
    phase: str = "Pending"
    finished: datetime | None = None
    host: str | None = None
    message: str | None = None
    children: list[str] = field(default_factory=list)

    def end(self, phase: str, now: datetime, message: str | None = None) -> None:
        self.phase, self.finished, self.message = phase, now, message


@dataclass(frozen=True, slots=True, kw_only=True)
class PodRecord:
    """What Kubernetes would have been asked for."""

    path: str
    image: str
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    needs: Needs


class Tree:
    """The nodes of one workflow by name. `cancelled` makes every pod end at once."""

    def __init__(self, workflow: str, cluster: FakeCluster, clock: Clock) -> None:
        self.workflow = workflow
        self.nodes: dict[str, ArgoNode] = {}
        self.pods: list[PodRecord] = []
        self.cancelled = False
        self.changes = 0
        self._cluster = cluster
        self.clock = clock

    def identify(self, name: str) -> str:
        """Argo's id of a node: the workflow's own for the root, else with a hash of the name."""
        if name == self.workflow:
            return name
        return f"{self.workflow}-{zlib.crc32(name.encode())}"

    def begin(self, name: str, *, kind: str, template: str, phase: str = "Running") -> ArgoNode:
        """The node of that name, new or begun again."""
        node = ArgoNode(name=name, type=kind, template=template, started=self.clock.now, phase=phase)
        self.nodes[name] = node
        parent = self.nodes.get(name.rpartition(".")[0])
        if parent is not None and self.identify(name) not in parent.children:
            parent.children.append(self.identify(name))
        self.changes += 1
        return node

    def end(self, node: ArgoNode, phase: str, message: str | None = None) -> None:
        node.end(phase, self.clock.now, message)
        self.changes += 1

    def bind(self, node: ArgoNode, needs: Needs) -> Steps:
        """Wait for a node of the cluster; false when the workflow was terminated meanwhile."""
        while not self.cancelled:
            node.host = self._cluster.bind(node.name, needs)
            if node.host is not None:
                node.phase, node.message = "Running", None
                self.changes += 1
                return True
            message = f"Unschedulable: {self._cluster.why_not(needs)}"
            if node.message != message:
                node.message = message
                self.changes += 1
            yield
        self.end(node, "Failed", TERMINATED)
        return False

    def run(self, node: ArgoNode, seconds: float, fails: str | None) -> Steps:
        """Run a bound pod to its end; whether it went well."""
        due = self.clock.after(seconds)
        while self.clock.now < due and not self.cancelled:
            yield
        self._cluster.release(node.name)
        if self.cancelled:
            self.end(node, "Failed", TERMINATED)
        else:
            self.end(node, "Failed" if fails else "Succeeded", fails)
        return node.phase == "Succeeded"

    def release_all(self) -> None:
        for name in self.nodes:
            self._cluster.release(name)
