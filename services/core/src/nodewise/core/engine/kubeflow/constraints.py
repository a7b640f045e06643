"""What a user asked of the node of one executor, and our choice added to it: an intersection, never a replacement. Pure."""

from collections.abc import Mapping, Sequence
from typing import Any

from nodewise.core.engine.kubeflow.errors import PlacementConflict
from nodewise.core.engine.kubeflow.nodes import KubernetesNode
from nodewise.core.model.selection import HOSTNAME, NodeExpression, NodeTerm, Taint, Toleration

_Term = Mapping[str, Any]


def selected_labels(config: Mapping[str, Any]) -> Mapping[str, str]:
    """The labels of its plain node selector; one that comes from a parameter shows only at run time."""
    return {str(key): str(value) for key, value in (_selector(config).get("labels") or {}).items()}


def required_terms(config: Mapping[str, Any]) -> tuple[NodeTerm, ...]:
    """The alternatives that its affinity demands; none where it demands nothing, or one of them shows only at run time."""
    required = _required(config)
    if any("nodeAffinityJson" in term for term in required):
        return ()
    return tuple(
        NodeTerm(labels=_expressions(term, "matchExpressions"), fields=_expressions(term, "matchFields"))
        for term in required
    )


def own_tolerations(config: Mapping[str, Any]) -> tuple[Toleration, ...]:
    """What its author lets it tolerate; what comes from a parameter is left out."""
    return tuple(_read_toleration(one) for one in config.get("tolerations") or () if isinstance(one, dict))


def allowed(config: Mapping[str, Any], nodes: Sequence[KubernetesNode], *, path: str) -> list[KubernetesNode]:
    """Those of the chosen nodes that the user's selector and affinity let the task run on.

    What only shows at run time (a selector or affinity from a parameter) is taken to allow all.

    Raises:
        PlacementConflict: there is none.
    """
    labels, terms = selected_labels(config), required_terms(config)
    found = [
        node
        for node in nodes
        if all(node.labels.get(key) == value for key, value in labels.items())
        and (not terms or any(term.holds(node.name, node.labels) for term in terms))
    ]
    if not found:
        names = ", ".join(node.name for node in nodes)
        raise PlacementConflict(path, f"its own node selector or affinity does not allow {names}")
    return found


def restricted(config: Mapping[str, Any], nodes: Sequence[KubernetesNode], *, path: str) -> dict[str, Any]:
    """The config with the task bound to these nodes, which it allows: by label to one, by affinity to several.

    A plain label is what every version of KFP 2 understands; affinity came with 2.14.

    Raises:
        PlacementConflict: the user's selector and affinity both come from parameters, so that nothing can be added.
    """
    changed = dict(config)
    selector = _selector(config)
    if len(nodes) == 1 and "nodeSelectorJson" not in selector:
        labels = {**(selector.get("labels") or {}), HOSTNAME: nodes[0].hostname}
        changed["nodeSelector"] = {**selector, "labels": labels}
    else:
        changed["nodeAffinity"] = _with_hosts(config, nodes, path)
    return changed


def tolerating(config: Mapping[str, Any], nodes: Sequence[KubernetesNode]) -> dict[str, Any]:
    """The config with tolerations for the taints that the nodes' owner gave them, where the user has none yet."""
    given = [one for one in config.get("tolerations") or () if isinstance(one, dict)]
    own = own_tolerations(config)
    added: list[dict[str, str]] = []
    for taint in sorted(
        {taint for node in nodes for taint in node.taints}, key=lambda t: (t.key, t.value, t.effect)
    ):
        wanted = taint.keeps_off and not taint.says_unwell
        if wanted and not any(one.covers(taint) for one in own):
            added.append(_toleration(taint))
    return {**config, "tolerations": [*given, *added]} if added else dict(config)


def _toleration(taint: Taint) -> dict[str, str]:
    if not taint.value:
        return {"key": taint.key, "operator": "Exists", "effect": taint.effect}
    return {"key": taint.key, "operator": "Equal", "value": taint.value, "effect": taint.effect}


def _read_toleration(message: Mapping[str, Any]) -> Toleration:
    return Toleration(
        key=str(message.get("key") or ""),
        value=str(message.get("value") or ""),
        effect=str(message.get("effect") or ""),
        exists=message.get("operator") == "Exists",
    )


def _with_hosts(
    config: Mapping[str, Any], nodes: Sequence[KubernetesNode], path: str
) -> list[dict[str, Any]]:
    """Affinity in which every required term also asks for one of the nodes: terms are alternatives to Kubernetes."""
    ours = {"key": HOSTNAME, "operator": "In", "values": sorted(node.hostname for node in nodes)}
    required = _required(config)
    if any("nodeAffinityJson" in term for term in required):
        raise PlacementConflict(
            path, "its node affinity comes from a parameter, to which no choice of node can be added"
        )
    wishes = [dict(term) for term in config.get("nodeAffinity") or () if term not in required]
    joined = [
        {**term, "matchExpressions": [*(term.get("matchExpressions") or ()), ours]} for term in required
    ]
    return [*(joined or [{"matchExpressions": [ours]}]), *wishes]


def _selector(config: Mapping[str, Any]) -> Mapping[str, Any]:
    found = config.get("nodeSelector")
    return found if isinstance(found, dict) else {}


def _required(config: Mapping[str, Any]) -> list[_Term]:
    """Terms without a weight; those with one are wishes."""
    return [
        term for term in config.get("nodeAffinity") or () if isinstance(term, dict) and "weight" not in term
    ]


def _expressions(term: _Term, name: str) -> tuple[NodeExpression, ...]:
    return tuple(
        NodeExpression(
            key=str(one.get("key") or ""),
            operator=str(one.get("operator") or ""),
            values=tuple(str(value) for value in one.get("values") or ()),
        )
        for one in term.get(name) or ()
        if isinstance(one, dict)
    )
