"""The nodes of a cluster as strategies see them: what is left of each when the pods of others have theirs. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from nodewise.carrier import names
from nodewise.core.engine.kubeflow.nodes import KubernetesNode, read_node
from nodewise.core.model.engines import KUBERNETES
from nodewise.core.model.ids import NodeName
from nodewise.core.model.node import Node
from nodewise.core.model.quantities import mebibytes, millicores
from nodewise.core.model.resources import Resources


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """One node: as Kubernetes has it, and as it is told to the services."""

    found: KubernetesNode
    node: Node
    metrics_url: str | None = None


def rooms(
    nodes: Sequence[Mapping[str, Any]], pods: Sequence[Mapping[str, Any]], *, cluster: str, exporter_port: int
) -> dict[NodeName, Room]:
    """All nodes by name.

    Args:
        nodes: As the API lists them.
        pods: All pods of the cluster, as far as they are known.
        cluster: Whose pods are ours: what they use is booked already.
        exporter_port: Of node_exporter on the nodes; 0: there is none.
    """
    taken = _taken(pods, names.label(cluster))
    listed = {node.name: node for node in map(read_node, nodes)}
    return {
        name: Room(
            found=listed[name],
            node=_node(listed[name], taken.get(name, {})),
            metrics_url=_metrics_url(listed[name], exporter_port),
        )
        for name in sorted(listed)
    }


def _node(found: KubernetesNode, taken: Mapping[str, int]) -> Node:
    others = Resources(
        millicores=taken.get("cpu", 0),
        memory_mib=taken.get("memory", 0),
        gpus=taken.get(found.accelerator or "", 0),
    )
    node = found.to_node()
    return replace(node, engine=KUBERNETES, capacity=node.capacity.minus(others))


def _taken(pods: Sequence[Mapping[str, Any]], cluster: str) -> dict[NodeName, dict[str, int]]:
    found: dict[NodeName, dict[str, int]] = {}
    for pod in pods:
        spec, metadata = pod.get("spec") or {}, pod.get("metadata") or {}
        over = (pod.get("status") or {}).get("phase") in ("Succeeded", "Failed")
        ours = (metadata.get("labels") or {}).get(names.CLUSTER) == cluster
        if over or ours or not spec.get("nodeName"):
            continue
        sums = found.setdefault(NodeName(spec["nodeName"]), {})
        for name, amount in requests_of(spec).items():
            sums[name] = sums.get(name, 0) + amount
    return found


def requests_of(spec: Mapping[str, Any]) -> dict[str, int]:
    """What a pod asks for, as the scheduler of Kubernetes reckons: the most that runs at one time, and its overhead."""
    together: dict[str, int] = {}
    for container in spec.get("containers") or []:
        for name, amount in _requests(container).items():
            together[name] = together.get(name, 0) + amount
    for container in spec.get("initContainers") or []:
        for name, amount in _requests(container).items():
            together[name] = max(together.get(name, 0), amount)
    for name, text in (spec.get("overhead") or {}).items():
        together[name] = together.get(name, 0) + _amount(name, text)
    return together


def _requests(container: Mapping[str, Any]) -> dict[str, int]:
    given = (container.get("resources") or {}).get("requests") or {}
    return {name: _amount(name, text) for name, text in given.items()}


def _amount(name: str, text: object) -> int:
    try:
        if name == "cpu":
            return millicores(str(text))
        return mebibytes(str(text)) if name == "memory" else int(str(text))
    except ValueError:
        return 0


def _metrics_url(node: KubernetesNode, port: int) -> str | None:
    if not port or not node.address:
        return None
    host = f"[{node.address}]" if ":" in node.address else node.address
    return f"http://{host}:{port}/metrics"
