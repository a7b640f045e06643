"""What a user asked of the node of one executor, and our choice added to it: an intersection, never a replacement. Pure."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from nodewise.core.engine.kubeflow.errors import PlacementConflict
from nodewise.core.engine.kubeflow.nodes import HOSTNAME, KubernetesNode, Taint

_Term = Mapping[str, Any]
_NAME_FIELD: Final = "metadata.name"


def allowed(config: Mapping[str, Any], nodes: Sequence[KubernetesNode], *, path: str) -> list[KubernetesNode]:
    """Those of the chosen nodes that the user's selector and affinity let the task run on.

    What only shows at run time (a selector or affinity from a parameter) is taken to allow all.

    Raises:
        PlacementConflict: there is none.
    """
    labels = _selector(config).get("labels") or {}
    terms = [term for term in _required(config) if "nodeAffinityJson" not in term]
    checked = terms if len(terms) == len(_required(config)) else []
    found = [
        node
        for node in nodes
        if all(node.labels.get(key) == value for key, value in labels.items())
        and (not checked or any(_matches(node, term) for term in checked))
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
    own = [one for one in config.get("tolerations") or () if isinstance(one, dict)]
    added: list[dict[str, str]] = []
    for taint in sorted(
        {taint for node in nodes for taint in node.taints}, key=lambda t: (t.key, t.value, t.effect)
    ):
        wanted = taint.keeps_off and not taint.says_unwell
        if wanted and not any(_tolerates(one, taint) for one in own):
            added.append(_toleration(taint))
    return {**config, "tolerations": [*own, *added]} if added else dict(config)


def _toleration(taint: Taint) -> dict[str, str]:
    if not taint.value:
        return {"key": taint.key, "operator": "Exists", "effect": taint.effect}
    return {"key": taint.key, "operator": "Equal", "value": taint.value, "effect": taint.effect}


def _tolerates(toleration: Mapping[str, Any], taint: Taint) -> bool:
    if toleration.get("effect") not in (None, "", taint.effect):
        return False
    if toleration.get("operator") == "Exists":
        return toleration.get("key") in (None, "", taint.key)
    return toleration.get("key") == taint.key and (toleration.get("value") or "") == taint.value


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


def _matches(node: KubernetesNode, term: _Term) -> bool:
    fields = {_NAME_FIELD: str(node.name)}
    return all(_holds(node.labels, one) for one in term.get("matchExpressions") or ()) and all(
        _holds(fields, one) for one in term.get("matchFields") or ()
    )


def _holds(labels: Mapping[str, str], expression: Mapping[str, Any]) -> bool:
    found, values = labels.get(str(expression.get("key"))), expression.get("values") or []
    match expression.get("operator"):
        case "In":
            return found in values
        case "NotIn":
            return found not in values
        case "Exists":
            return found is not None
        case "DoesNotExist":
            return found is None
        case "Gt" | "Lt" as operator:
            return _compares(found, operator, values)
        case _:
            return False


def _compares(found: str | None, operator: str, values: Sequence[str]) -> bool:
    try:
        left, right = int(found or ""), int(values[0])
    except (ValueError, IndexError):
        return False
    return left > right if operator == "Gt" else left < right
