"""What a task would have to do without, for a node to take it: tried on the very rules that keep it off."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Final

from nodewise.core.estimates.memory import effective_resources
from nodewise.core.feasibility import exclusion
from nodewise.core.model.decision import ReasonCode
from nodewise.core.model.node import Cluster, NodeView
from nodewise.core.model.resources import Resources
from nodewise.core.model.selection import Toleration
from nodewise.core.model.task import TaskSpec

_STEPS: Final = 20
"""More rules than a task and a node can be at odds about: labels are relaxed one at a time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Relaxed:
    """A task that gave way on some rules. `given_up` says which, in words, and `labels` which labels were in the way."""

    spec: TaskSpec
    given_up: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    now: bool = False
    """Whether the node could take it at once, not only when it has room."""

    @property
    def labels_only(self) -> bool:
        return len(self.labels) == len(self.given_up) > 0


def allowed_on(spec: TaskSpec, view: NodeView, cluster: Cluster) -> Relaxed | None:
    """The least that the task must give up for this node ever to be allowed; None: it cannot be had that way."""
    found = Relaxed(spec=spec)
    for _ in range(_STEPS):
        excluded = exclusion(found.spec, view, cluster)
        if excluded is None or not excluded.permanent:
            return replace(found, now=excluded is None)
        relax = _RELAX.get(excluded.code)
        if relax is None:
            # Its engine, or its own image: giving that up would be another task.
            return None
        spec, words = relax(found.spec, view)
        if spec == found.spec or 0 in _amounts_asked(spec, found.spec):
            return None
        labels = words if excluded.code is ReasonCode.LABEL else ()
        found = Relaxed(spec=spec, given_up=(*found.given_up, *words), labels=(*found.labels, *labels))
    return None


def small_enough_for(spec: TaskSpec, view: NodeView, cluster: Cluster) -> Relaxed | None:
    """The task with as much less as this node lacks now; None: it lacks nothing, lacks more than that, or has none to give."""
    need = effective_resources(spec)
    available = cluster.fresh(view.observation.available_memory_mib)
    free = view.free
    memory = free.memory_mib if available is None else min(free.memory_mib, int(max(0.0, available)))
    fitting = _smaller(
        spec,
        Resources(
            millicores=min(need.millicores, free.millicores),
            memory_mib=min(need.memory_mib, memory),
            gpus=min(need.gpus, free.gpus),
        ),
    )
    words = tuple(less(need, effective_resources(fitting)))
    if not words or exclusion(fitting, view, cluster) is not None or 0 in _amounts_asked(fitting, spec):
        return None
    return Relaxed(spec=fitting, given_up=words, now=True)


def less(need: Resources, room: Resources) -> Iterator[str]:
    """In words, by how much `room` is smaller."""
    if room.millicores < need.millicores:
        yield f"{_cores(need.millicores - room.millicores)} less (at most {_cores(room.millicores)})"
    if room.memory_mib < need.memory_mib:
        yield f"{need.memory_mib - room.memory_mib} MiB less memory (at most {room.memory_mib} MiB)"
    if room.gpus < need.gpus:
        yield f"{need.gpus - room.gpus} {'GPU' if need.gpus - room.gpus == 1 else 'GPUs'} less"


def _amounts_asked(fitting: TaskSpec, spec: TaskSpec) -> tuple[int, int]:
    """Cores and memory that are left, 1 where nothing was asked: a task without any of them is none."""
    got, need = effective_resources(fitting), effective_resources(spec)
    return (got.millicores if need.millicores else 1, got.memory_mib if need.memory_mib else 1)


def _cores(millicores: int) -> str:
    return f"{millicores / 1000:g} {'core' if millicores == 1000 else 'cores'}"


def _smaller(spec: TaskSpec, room: Resources) -> TaskSpec:
    # The data set only raises the memory that is asked for, so that a smaller need means a smaller one, too.
    return replace(spec, resources=room, dataset=None)


_Milder = tuple[TaskSpec, tuple[str, ...]]
"""A task without a wish, and that in words."""


def _shrunk(spec: TaskSpec, view: NodeView) -> _Milder:
    need, size = effective_resources(spec), view.node.capacity
    room = Resources(
        millicores=min(need.millicores, size.millicores),
        memory_mib=min(need.memory_mib, size.memory_mib),
        gpus=min(need.gpus, size.gpus),
    )
    return _smaller(spec, room), tuple(less(need, room))


def _any_node(spec: TaskSpec, view: NodeView) -> _Milder:
    wanted = replace(spec.requirements, nodes=(*spec.requirements.nodes, view.name))
    return replace(spec, requirements=wanted), (f"{view.name} among its nodes",)


def _architecture(spec: TaskSpec, view: NodeView) -> _Milder:
    also = view.node.architecture
    wanted = replace(spec.requirements, architectures=(*spec.requirements.architectures, also))
    return replace(spec, requirements=wanted), (f"architecture {also} allowed",)


def _worker_type(spec: TaskSpec, view: NodeView) -> _Milder:
    also = view.node.worker_type
    wanted = replace(spec.requirements, worker_types=(*spec.requirements.worker_types, also))
    return replace(spec, requirements=wanted), (f"worker type {also} allowed",)


def _accelerator(spec: TaskSpec, _: NodeView) -> _Milder:
    wanted = replace(spec.requirements, accelerator=None)
    return replace(spec, requirements=wanted), (f"no need of accelerator {spec.requirements.accelerator}",)


def _label(spec: TaskSpec, view: NodeView) -> _Milder:
    labels = dict(spec.requirements.labels)
    key = min(name for name, value in labels.items() if view.node.labels.get(name) != value)
    words = f"label {key}={labels.pop(key)}"
    return replace(spec, requirements=replace(spec.requirements, labels=labels)), (f"no need of {words}",)


def _affinity(spec: TaskSpec, _: NodeView) -> _Milder:
    return replace(spec, requirements=replace(spec.requirements, affinity=())), ("no node affinity",)


def _taint(spec: TaskSpec, view: NodeView) -> _Milder:
    taints = [taint for taint in view.node.taints if taint.keeps_off]
    also = tuple(Toleration(key=one.key, value=one.value, effect=one.effect) for one in taints)
    wanted = replace(spec.requirements, tolerations=(*spec.requirements.tolerations, *also))
    words = tuple(f"a toleration of {taint}" for taint in taints)
    return replace(spec, requirements=wanted), words


_RELAX: Final[Mapping[ReasonCode, Callable[[TaskSpec, NodeView], _Milder]]] = MappingProxyType(
    {
        ReasonCode.NODE_NOT_ALLOWED: _any_node,
        ReasonCode.ARCHITECTURE: _architecture,
        ReasonCode.WORKER_TYPE: _worker_type,
        ReasonCode.ACCELERATOR: _accelerator,
        ReasonCode.LABEL: _label,
        ReasonCode.AFFINITY: _affinity,
        ReasonCode.TAINT: _taint,
        ReasonCode.CPU_TOO_SMALL: _shrunk,
        ReasonCode.MEMORY_TOO_SMALL: _shrunk,
        ReasonCode.GPU_TOO_FEW: _shrunk,
    }
)
"""For each exclusion that waiting does not cure, but for what makes the task what it is: the task without the wish, and that in words."""
