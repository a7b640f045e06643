"""The figures that strategies compare nodes by. `None` is unknown, never zero."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

from nodewise.core.model.node import Cluster, NodeView
from nodewise.core.model.task import Preferences


def booked_share(view: NodeView) -> float:
    """Share of the node's cores that is booked, 0 to 1. A node without cores counts as full."""
    cores = view.node.capacity.millicores
    return round(view.booked.millicores / cores, 4) if cores else 1.0


def percent(share: float) -> str:
    """A share as it is told: `25 %`."""
    return f"{100 * share:.0f} %"


def load_per_core(view: NodeView, cluster: Cluster) -> float | None:
    """Runnable tasks per core, as measured; None: unknown or too old to decide on."""
    load, cores = cluster.fresh(view.observation.load1), view.node.capacity.millicores
    if load is None or not cores:
        return None
    return round(load * 1000 / cores, 4)


def strength(view: NodeView) -> tuple[int, int]:
    """How large a node is: cores first, then memory."""
    return (view.node.capacity.millicores, view.node.capacity.memory_mib)


def wishes_met(wanted: Preferences, view: NodeView) -> int:
    """How many of a task's preferences the node fulfils."""
    met = int(view.name in wanted.nodes)
    met += int(wanted.accelerator is not None and view.node.accelerator == wanted.accelerator)
    return met + sum(view.node.labels.get(key) == value for key, value in wanted.labels.items())


def unmeasured(view: NodeView, cluster: Cluster) -> bool:
    """Whether its memory or its load is unknown or too old to decide on."""
    seen = view.observation
    return cluster.fresh(seen.available_memory_mib) is None or cluster.fresh(seen.load1) is None


SORT_KEYS: Final[Mapping[str, Callable[[NodeView], float]]] = MappingProxyType(
    {
        "load": booked_share,
        "cores": lambda view: -view.node.capacity.millicores,
        "free_cores": lambda view: -view.free.millicores,
        "memory": lambda view: -view.node.capacity.memory_mib,
        "free_memory": lambda view: -view.free.memory_mib,
        "gpus": lambda view: -view.free.gpus,
        "tasks": lambda view: view.running_tasks,
    }
)
"""What `custom` rules may sort by, each with its best value smallest: least load, most cores, most memory, ..."""
