"""Nodes as the Kubernetes API tells of them. Pure; `kubernetes_api` asks it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol, runtime_checkable

from nodewise.core.model.engines import KUBEFLOW
from nodewise.core.model.ids import NodeName
from nodewise.core.model.node import Node
from nodewise.core.model.quantities import mebibytes, millicores
from nodewise.core.model.resources import Resources
from nodewise.core.model.selection import HOSTNAME, Taint

__all__ = ["ENGINE", "HOSTNAME", "KubernetesNode", "NodesSource", "Taint", "of_node", "read_node"]

ENGINE: Final = KUBEFLOW
"""Of nodes of Kubernetes, and of the runs whose tasks run there."""
_RUNTIME: Final = "kubernetes"
_ARCHITECTURE: Final = "kubernetes.io/arch"
_INSTANCE_TYPE: Final = "node.kubernetes.io/instance-type"
_WORKER_TYPE: Final = "nodewise/worker-type"
_NODE_CLASS: Final = "nodewise/node-class"


@dataclass(frozen=True, slots=True, kw_only=True)
class KubernetesNode:
    """A node. `hostname` is its hostname label, by which pods are bound to it: on some clouds it is not the name.

    `allocatable` is what pods may use of it, `address` its own in the cluster. `conditions` are by type, their status as text: "True", "False", "Unknown".
    """

    name: NodeName
    hostname: str
    allocatable: Resources
    architecture: str = "amd64"
    accelerator: str | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    taints: tuple[Taint, ...] = ()
    conditions: Mapping[str, str] = field(default_factory=dict)
    cordoned: bool = False
    address: str | None = None

    @property
    def usable(self) -> bool:
        """Whether a new pod would be taken, given tolerations for what its owner tainted it with."""
        unwell = any(taint.says_unwell and taint.keeps_off for taint in self.taints)
        return self.conditions.get("Ready") == "True" and not self.cordoned and not unwell

    def to_node(self) -> Node:
        """The node as strategies see it; the labels `nodewise/worker-type` and `nodewise/node-class` name those."""
        default_class = self.labels.get(_INSTANCE_TYPE) or self.architecture
        return Node(
            name=self.name,
            capacity=self.allocatable,
            node_class=self.labels.get(_NODE_CLASS) or default_class,
            architecture=self.architecture,
            worker_type=self.labels.get(_WORKER_TYPE) or "med-cpu",
            accelerator=self.accelerator,
            labels=self.labels,
            engine=ENGINE,
            container_runtime=_RUNTIME,
            taints=self.taints,
        )


def of_node(node: Node) -> KubernetesNode:
    """A node of this engine as it is bound to, from its row."""
    return KubernetesNode(
        name=node.name,
        hostname=node.labels.get(HOSTNAME, node.name),
        allocatable=node.capacity,
        architecture=node.architecture,
        accelerator=node.accelerator,
        labels=node.labels,
        taints=node.taints,
        conditions={"Ready": "True"},
    )


@runtime_checkable
class NodesSource(Protocol):
    """Where the nodes of a cluster are read."""

    def nodes(self) -> Sequence[KubernetesNode]:
        """All nodes, usable or not, by name.

        Raises:
            Unavailable: nothing was learnt.
        """
        ...


def read_node(message: Mapping[str, Any]) -> KubernetesNode:
    """A node of the Kubernetes API. What cannot be read of its amounts counts as none of it."""
    metadata, spec, status = (_group(message, name) for name in ("metadata", "spec", "status"))
    labels = {str(key): str(value) for key, value in _group(metadata, "labels").items()}
    name = str(metadata.get("name", ""))
    amounts = _group(status, "allocatable") or _group(status, "capacity")
    accelerator, gpus = _accelerator(amounts)
    memory = _amount(mebibytes, amounts.get("memory"))
    info = _group(status, "nodeInfo")
    return KubernetesNode(
        name=NodeName(name),
        hostname=labels.get(HOSTNAME, name),
        # Quantities round up; a MiB less than a node has is never too much to promise.
        allocatable=Resources(
            millicores=_amount(millicores, amounts.get("cpu")), memory_mib=max(memory - 1, 0), gpus=gpus
        ),
        architecture=labels.get(_ARCHITECTURE) or str(info.get("architecture") or "amd64"),
        accelerator=accelerator,
        labels=labels,
        taints=tuple(_taint(one) for one in _objects(spec, "taints")),
        conditions={str(one.get("type")): str(one.get("status")) for one in _objects(status, "conditions")},
        cordoned=bool(spec.get("unschedulable")),
        address=_address(status),
    )


def _address(status: Mapping[str, Any]) -> str | None:
    found = {str(one.get("type")): str(one.get("address")) for one in _objects(status, "addresses")}
    return found.get("InternalIP") or None


def _taint(message: Mapping[str, Any]) -> Taint:
    return Taint(
        key=str(message.get("key")), effect=str(message.get("effect")), value=str(message.get("value") or "")
    )


def _group(message: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = message.get(name)
    return found if isinstance(found, dict) else {}


def _objects(message: Mapping[str, Any], name: str) -> list[Mapping[str, Any]]:
    found = message.get(name)
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []


def _accelerator(amounts: Mapping[str, Any]) -> tuple[str | None, int]:
    """The extended resource that is a GPU, and how many."""
    for name, amount in sorted(amounts.items()):
        if "/" in name and "gpu" in name and str(amount).isdecimal() and int(amount) > 0:
            return name, int(amount)
    return None, 0


def _amount(read: Any, text: object) -> int:
    try:
        return int(read(str(text)))
    except ValueError:
        return 0
