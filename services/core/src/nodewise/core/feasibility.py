"""Whether a node can take a task now, and if not, why. Shared by scheduler, placer and simulator, so they never disagree."""

from nodewise.core.estimates.memory import effective_resources
from nodewise.core.model.decision import Exclusion, ReasonCode
from nodewise.core.model.node import Cluster, Node, NodeView
from nodewise.core.model.resources import Resources
from nodewise.core.model.task import Requirements, TaskSpec


def exclusion(spec: TaskSpec, view: NodeView, cluster: Cluster) -> Exclusion | None:
    """The first rule that keeps `spec` off this node, permanent rules first; None: the node can take it now.

    Unknown figures exclude nothing: the booked amounts still bound what the node takes.
    """
    need = effective_resources(spec)
    found = (
        _hard_requirement(spec.requirements, view.node)
        or _capacity(need, view.node)
        or _room(need, view)
        or _measured_memory(need, view, cluster)
    )
    if found is None:
        return None
    code, text = found
    return Exclusion(node=view.name, code=code, text=text)


_Found = tuple[ReasonCode, str]


def _hard_requirement(wanted: Requirements, node: Node) -> _Found | None:
    if wanted.nodes and node.name not in wanted.nodes:
        return ReasonCode.NODE_NOT_ALLOWED, f"only {', '.join(wanted.nodes)} allowed"
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
    for key, value in sorted(wanted.labels.items()):
        if node.labels.get(key) != value:
            return ReasonCode.LABEL, f"label {key}={node.labels.get(key, '(absent)')}, needs {value}"
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
