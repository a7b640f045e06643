"""The room on the simulated nodes, twice: as numbers for quick answers, as views for the code of production."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from nodewise.core.model.node import Node, NodeView
from nodewise.core.model.problem import ProblemNode
from nodewise.core.model.resources import Resources

_WORKER_TYPES: Final = frozenset({"low-cpu", "med-cpu", "high-cpu"})
_UNBOUNDED: Final = 1 << 40


def node_of(found: ProblemNode) -> Node:
    """The node as strategies see it: what the file does not say is derived as an agent would.

    Its class is its own, since each node has its own run times: what is believed of one is never taken for another's.
    The worker type is the class of the file where that names one, else by cores; a node with GPUs has the accelerator
    `gpu`; a class that begins with `arm` is of that architecture.
    """
    return Node(
        name=found.name,
        capacity=found.capacity,
        node_class=f"{found.node_class}/{found.name}",
        architecture="arm64" if found.node_class.startswith("arm") else "amd64",
        worker_type=found.node_class if found.node_class in _WORKER_TYPES else _worker_type(found.capacity),
        accelerator="gpu" if found.capacity.gpus else None,
    )


def _worker_type(size: Resources) -> str:
    cores = -(-size.millicores // 1000)
    if cores <= 2:
        return "low-cpu"
    return "med-cpu" if cores <= 8 else "high-cpu"


class NodeRoom:
    """What is booked on each node. Views are remade only where something changed."""

    def __init__(self, nodes: Sequence[ProblemNode]) -> None:
        self._views = [NodeView(node=node_of(node), slots=node.slots) for node in nodes]
        self._left = [_left(view) for view in self._views]
        self._up = [True] * len(nodes)
        self._cached: tuple[NodeView, ...] | None = None
        self._open = {i for i, view in enumerate(self._views) if _is_open(view)}

    def fits(self, node: int, need: Resources) -> bool:
        """Whether a task of that size has room there now."""
        return self.copies(node, need, most=1) > 0

    def copies(self, node: int, need: Resources, *, most: int = _UNBOUNDED) -> int:
        """How many tasks of that size the node could take now."""
        if node not in self._open:
            return 0
        millicores, memory_mib, gpus, slots = self._left[node]
        pairs = ((millicores, need.millicores), (memory_mib, need.memory_mib), (gpus, need.gpus))
        return min(most, slots, *(have // wanted if wanted else _UNBOUNDED for have, wanted in pairs))

    def able(self, need: Resources) -> int:
        """The nodes that have room for a task of that size, as a set of bits."""
        return sum(1 << node for node in self._open if self.copies(node, need, most=1))

    def copies_on(self, nodes: int, need: Resources) -> int:
        """How many tasks of that size these nodes (bits) could take now, together."""
        return sum(self.copies(node, need) for node in self._open if nodes >> node & 1)

    @property
    def up(self) -> int:
        """The nodes that are there, as a set of bits."""
        return sum(1 << node for node, is_up in enumerate(self._up) if is_up)

    def book(self, node: int, need: Resources) -> None:
        self._put(node, self._views[node].with_booking(need))

    def release(self, node: int, need: Resources) -> None:
        view = self._views[node]
        self._put(node, replace(view, booked=view.booked.minus(need), running_tasks=view.running_tasks - 1))

    def close(self, node: int) -> None:
        self._up[node] = False
        self._put(node, self._views[node])

    def open(self, node: int) -> None:
        self._up[node] = True
        self._put(node, self._views[node])

    def views(self) -> tuple[NodeView, ...]:
        """The nodes that are up, by name."""
        if self._cached is None:
            self._cached = tuple(view for view, up in zip(self._views, self._up, strict=True) if up)
        return self._cached

    def _put(self, node: int, view: NodeView) -> None:
        self._views[node] = view
        self._left[node] = _left(view)
        self._cached = None
        if self._up[node] and _is_open(view):
            self._open.add(node)
        else:
            self._open.discard(node)


def _left(view: NodeView) -> tuple[int, int, int, int]:
    """What is free: millicores, MiB of memory, GPUs, slots."""
    free = view.free
    slots = _UNBOUNDED if view.slots is None else view.slots - view.running_tasks
    return free.millicores, free.memory_mib, free.gpus, slots


def _is_open(view: NodeView) -> bool:
    return view.slots is None or view.running_tasks < view.slots
