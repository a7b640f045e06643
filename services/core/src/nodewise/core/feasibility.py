"""Whether a node can take a task now, and if not, why. Shared by scheduler, placer and simulator, so they never disagree."""

from dataclasses import replace

from nodewise.core.estimates.memory import effective_resources
from nodewise.core.model.decision import Exclusion, ReasonCode
from nodewise.core.model.node import Cluster, Node, NodeView
from nodewise.core.model.resources import Resources
from nodewise.core.model.selection import HOSTNAME
from nodewise.core.model.task import Requirements, TaskSpec, WaitingTask


def exclusion_of(task: WaitingTask, view: NodeView, cluster: Cluster) -> Exclusion | None:
    """`exclusion`, and where the scheduler let the task pass to; None: the node can take it now."""
    return exclusion(task.spec, view, cluster) or not_admitted(task, view)


def exclusion(spec: TaskSpec, view: NodeView, cluster: Cluster) -> Exclusion | None:
    """The first rule that keeps `spec` off this node, permanent rules first; None: the node can take it now.

    Unknown figures exclude nothing: the booked amounts still bound what the node takes.
    """
    need = effective_resources(spec)
    found = _lasting(spec, need, view.node) or _room(need, view) or _measured_memory(need, view, cluster)
    return None if found is None else _exclusion(view.node, found)


def lasting_exclusion(spec: TaskSpec, node: Node) -> Exclusion | None:
    """The first rule that keeps `spec` off this node for ever, whatever runs there; None: it can take it some time."""
    found = _lasting(spec, effective_resources(spec), node)
    return None if found is None else _exclusion(node, found)


def without_cordon(node: Node) -> Node:
    """The node as if it took new tasks."""
    return replace(node, taints=tuple(taint for taint in node.taints if not taint.cordons))


_Found = tuple[ReasonCode, str]


def _exclusion(node: Node, found: _Found) -> Exclusion:
    code, text = found
    return Exclusion(node=node.name, code=code, text=text)


def _lasting(spec: TaskSpec, need: Resources, node: Node) -> _Found | None:
    return _hard_requirement(spec.requirements, node) or _capacity(need, node) or _cordoned(node)


def _cordoned(node: Node) -> _Found | None:
    if any(taint.cordons for taint in node.taints):
        return ReasonCode.CORDONED, "is cordoned: it takes nothing new"
    return None


def not_admitted(task: WaitingTask, view: NodeView) -> Exclusion | None:
    """That the scheduler did not let the task pass to this node; None: it did."""
    allowed = task.allowed_nodes
    if allowed is None or view.name in allowed:
        return None
    if len(allowed) == 1:
        text = f"the scheduler admitted it to {allowed[0]} only"
        return Exclusion(node=view.name, code=ReasonCode.NOT_PLANNED, text=text)
    text = "the scheduler keeps it free for a task before this one"
    return Exclusion(node=view.name, code=ReasonCode.KEPT_FREE, text=text)


def _hard_requirement(wanted: Requirements, node: Node) -> _Found | None:
    return (
        _unfit(wanted, node)
        or _other_kind(wanted, node)
        or _other_label(wanted, node)
        or _other_affinity(wanted, node)
        or _tainted(wanted, node)
    )


def _unfit(wanted: Requirements, node: Node) -> _Found | None:
    if node.engine != wanted.engine:
        return ReasonCode.OTHER_ENGINE, f"belongs to engine {node.engine}, the run to {wanted.engine}"
    if wanted.containers and node.container_runtime is None:
        return ReasonCode.NO_CONTAINER_RUNTIME, "has no container runtime, and the task brings its own image"
    if wanted.nodes and node.name not in wanted.nodes:
        return ReasonCode.NODE_NOT_ALLOWED, f"only {', '.join(wanted.nodes)} allowed"
    return None


def _other_kind(wanted: Requirements, node: Node) -> _Found | None:
    if wanted.architectures and node.architecture not in wanted.architectures:
        return (
            ReasonCode.ARCHITECTURE,
            f"architecture {node.architecture}, needs {' or '.join(wanted.architectures)}",
        )
    if wanted.worker_types and node.worker_type not in wanted.worker_types:
        return (
            ReasonCode.WORKER_TYPE,
            f"worker type {node.worker_type}, needs {' or '.join(wanted.worker_types)}",
        )
    if wanted.accelerator and node.accelerator != wanted.accelerator:
        return ReasonCode.ACCELERATOR, f"accelerator {node.accelerator or 'none'}, needs {wanted.accelerator}"
    return None


def _other_label(wanted: Requirements, node: Node) -> _Found | None:
    for key, value in sorted(wanted.labels.items()):
        if node.labels.get(key) != value:
            return ReasonCode.LABEL, f"label {key}={node.labels.get(key, '(absent)')}, needs {value}"
    return None


def _other_affinity(wanted: Requirements, node: Node) -> _Found | None:
    if not wanted.affinity or any(term.holds(node.name, node.labels) for term in wanted.affinity):
        return None
    return ReasonCode.AFFINITY, f"is not {' or '.join(str(term) for term in wanted.affinity)}"


def _tainted(wanted: Requirements, node: Node) -> _Found | None:
    named = node.name in wanted.nodes or HOSTNAME in wanted.labels
    if named:
        return None
    for taint in node.taints:
        if taint.keeps_off and not taint.cordons and not any(one.covers(taint) for one in wanted.tolerations):
            return ReasonCode.TAINT, f"has the taint {taint}, which the task does not tolerate"
    return None


def _capacity(need: Resources, node: Node) -> _Found | None:
    size = node.capacity
    if need.millicores > size.millicores:
        return (
            ReasonCode.CPU_TOO_SMALL,
            f"has {_cores(size.millicores)} cores in all, needs {_cores(need.millicores)}",
        )
    if need.memory_mib > size.memory_mib:
        return ReasonCode.MEMORY_TOO_SMALL, f"has {size.memory_mib} MiB in all, needs {need.memory_mib}"
    if need.gpus > size.gpus:
        return ReasonCode.GPU_TOO_FEW, f"has {size.gpus} GPUs in all, needs {need.gpus}"
    return None


def _room(need: Resources, view: NodeView) -> _Found | None:
    free = view.free
    if need.millicores > free.millicores:
        return (
            ReasonCode.CPU_BOOKED,
            f"{_cores(free.millicores)} of {_cores(view.node.capacity.millicores)} cores free, needs {_cores(need.millicores)}",
        )
    if need.memory_mib > free.memory_mib:
        return (
            ReasonCode.MEMORY_BOOKED,
            f"{free.memory_mib} of {view.node.capacity.memory_mib} MiB unbooked, needs {need.memory_mib}",
        )
    if need.gpus > free.gpus:
        return (
            ReasonCode.GPU_BOOKED,
            f"{free.gpus} of {view.node.capacity.gpus} GPUs free, needs {need.gpus}",
        )
    if view.slots is not None and view.running_tasks >= view.slots:
        return ReasonCode.SLOTS_TAKEN, f"{view.running_tasks} of {view.slots} slots taken"
    return None


def _measured_memory(need: Resources, view: NodeView, cluster: Cluster) -> _Found | None:
    available = cluster.fresh(view.observation.available_memory_mib)
    if available is not None and available < need.memory_mib:
        return ReasonCode.MEMORY_IN_USE, f"{available:.0f} MiB measured available, needs {need.memory_mib}"
    return None


def _cores(millicores: int) -> str:
    return f"{millicores / 1000:g}"
