"""Nodes of the pretended cluster, and a choice of node like that of Kubernetes' scheduler: filter, score, or say why not."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

HOSTNAME = "kubernetes.io/hostname"


@dataclass(frozen=True, slots=True, kw_only=True)
class FakeNode:
    """A node. `hostname` is the value of its hostname label, which on some clouds is not its name."""

    name: str
    millicores: int = 4000
    memory_mib: int = 8192
    gpus: int = 0
    architecture: str = "amd64"
    hostname: str | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    taints: tuple[Mapping[str, str], ...] = ()
    ready: bool = True
    cordoned: bool = False

    @property
    def all_labels(self) -> dict[str, str]:
        return {
            HOSTNAME: self.hostname or self.name,
            "kubernetes.io/arch": self.architecture,
            "kubernetes.io/os": "linux",
            **self.labels,
        }

    @property
    def all_taints(self) -> list[Mapping[str, str]]:
        own = list(self.taints)
        if self.cordoned:
            own.append({"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule"})
        if not self.ready:
            own.append({"key": "node.kubernetes.io/not-ready", "effect": "NoSchedule"})
        return own


@dataclass(frozen=True, slots=True, kw_only=True)
class Needs:
    """What a pod asks of a node. `affinity` are KFP's terms; those with a weight are wishes."""

    millicores: int = 0
    memory_mib: int = 0
    gpus: int = 0
    selector: Mapping[str, str] = field(default_factory=dict)
    affinity: tuple[Mapping[str, Any], ...] = ()
    tolerations: tuple[Mapping[str, Any], ...] = ()


class FakeCluster:
    """The nodes and who is bound to them. `driver_nodes` is where drivers go: anywhere, as KFP has it."""

    def __init__(self, nodes: Sequence[FakeNode]) -> None:
        self.nodes: dict[str, FakeNode] = {node.name: node for node in nodes}
        self._bound: dict[str, tuple[str, Needs]] = {}

    def bind(self, pod: str, needs: Needs) -> str | None:
        """Bind the pod to the best node that fits; None: none does."""
        fitting = [node for node in self.nodes.values() if self._obstacle(node, needs) is None]
        if not fitting:
            return None
        best = max(sorted(fitting, key=lambda node: node.name), key=lambda node: self._score(node, needs))
        self._bound[pod] = (best.name, needs)
        return best.name

    def release(self, pod: str) -> None:
        self._bound.pop(pod, None)

    def why_not(self, needs: Needs) -> str:
        """The scheduler's message when no node fits."""
        found = Counter(filter(None, (self._obstacle(node, needs) for node in self.nodes.values())))
        listed = ", ".join(f"{count} {text}" for text, count in sorted(found.items()))
        return f"0/{len(self.nodes)} nodes are available: {listed}."

    def bound_to(self, node: str) -> list[str]:
        return sorted(pod for pod, (name, _) in self._bound.items() if name == node)

    def _obstacle(self, node: FakeNode, needs: Needs) -> str | None:
        for taint in node.all_taints:
            if taint["effect"] != "PreferNoSchedule" and not any(
                tolerates(one, taint) for one in needs.tolerations
            ):
                value = f"{taint['key']}: {taint.get('value', '')}"
                return f"node(s) had untolerated taint {{{value}}}"
        if not selected(node.all_labels, needs):
            return "node(s) didn't match Pod's node affinity/selector"
        free = self._free(node)
        for name, want in (
            ("cpu", needs.millicores),
            ("memory", needs.memory_mib),
            ("nvidia.com/gpu", needs.gpus),
        ):
            if want > free[name]:
                return f"Insufficient {name}"
        return None

    def _free(self, node: FakeNode) -> dict[str, int]:
        held = [needs for name, needs in self._bound.values() if name == node.name]
        return {
            "cpu": node.millicores - sum(one.millicores for one in held),
            "memory": node.memory_mib - sum(one.memory_mib for one in held),
            "nvidia.com/gpu": node.gpus - sum(one.gpus for one in held),
        }

    def _score(self, node: FakeNode, needs: Needs) -> tuple[int, float]:
        wishes = [term for term in needs.affinity if term.get("weight")]
        weight = sum(int(term["weight"]) for term in wishes if matches(node.all_labels, term))
        free = self._free(node)
        return weight, (free["cpu"] - needs.millicores) / max(node.millicores, 1)


def tolerates(toleration: Mapping[str, Any], taint: Mapping[str, str]) -> bool:
    if toleration.get("effect") and toleration["effect"] != taint["effect"]:
        return False
    if toleration.get("key") and toleration["key"] != taint["key"]:
        return False
    if toleration.get("operator", "Equal") == "Exists":
        return True
    return bool(toleration.get("key")) and toleration.get("value", "") == taint.get("value", "")


def selected(labels: Mapping[str, str], needs: Needs) -> bool:
    if any(labels.get(key) != value for key, value in needs.selector.items()):
        return False
    required = [term for term in needs.affinity if not term.get("weight")]
    return not required or any(matches(labels, term) for term in required)


def matches(labels: Mapping[str, str], term: Mapping[str, Any]) -> bool:
    return all(_holds(labels, one) for one in term.get("matchExpressions", ()))


def _holds(labels: Mapping[str, str], expression: Mapping[str, Any]) -> bool:
    value, values = labels.get(expression["key"]), expression.get("values", [])
    return {
        "In": value in values,
        "NotIn": value not in values,
        "Exists": value is not None,
        "DoesNotExist": value is None,
    }[expression["operator"]]
