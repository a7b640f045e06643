"""Nodes: what they are, what is booked on them, what they were last seen doing."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from nodewise.core.model.ids import NodeName
from nodewise.core.model.resources import Resources
from nodewise.core.model.selection import Taint


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """What a node is. `labels` are free text; the named fields are the ones strategies look at.

    `node_class` is the unit of learned run times: nodes of one class run a task class equally fast. `engine` is what starts tasks
    there; `container_runtime` (None: there is none) is what runs those that bring their own image. `taints` keep off
    whoever does not tolerate them.
    """

    name: NodeName
    capacity: Resources
    node_class: str = "default"
    architecture: str = "amd64"
    worker_type: str = "med-cpu"
    accelerator: str | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    engine: str = "agents"
    container_runtime: str | None = None
    taints: tuple[Taint, ...] = ()

    def __post_init__(self) -> None:
        if not self.name:
            raise ValueError("a node needs a name")


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """A measured value and when it was measured (aware UTC)."""

    value: float
    measured_at: datetime

    def age(self, now: datetime) -> timedelta:
        return now - self.measured_at


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """What a node was last seen doing. `None` means unknown, never zero."""

    available_memory_mib: Figure | None = None
    """Averaged over five minutes where the source can."""
    cpu_utilisation: Figure | None = None
    """Share of all cores that is busy, 0 to 1."""
    load1: Figure | None = None
    """Runnable tasks, averaged over a minute."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeView:
    """One node in a snapshot: facts, bookings, and the last observation.

    `slots` bounds how many tasks it takes at once; None: only its resources do.
    """

    node: Node
    booked: Resources = field(default_factory=Resources)
    running_tasks: int = 0
    observation: Observation = field(default_factory=Observation)
    slots: int | None = None

    @property
    def name(self) -> NodeName:
        return self.node.name

    @property
    def free(self) -> Resources:
        return self.node.capacity.minus(self.booked)

    def with_booking(self, resources: Resources) -> "NodeView":
        """This node after one more task of that size was booked on it."""
        return NodeView(
            node=self.node,
            booked=self.booked + resources,
            running_tasks=self.running_tasks + 1,
            observation=self.observation,
            slots=self.slots,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Cluster:
    """An immutable snapshot of the nodes that may be used now, sorted by name.

    `staleness_limit`: a figure older than this counts as unknown.
    """

    nodes: tuple[NodeView, ...]
    taken_at: datetime
    staleness_limit: timedelta = timedelta(seconds=60)

    def __post_init__(self) -> None:
        names = [view.name for view in self.nodes]
        if names != sorted(set(names)):
            raise ValueError("nodes must be sorted by name and unique")

    def fresh(self, figure: Figure | None) -> float | None:
        """The value if it is recent enough to decide on, else None (unknown)."""
        if figure is None or figure.age(self.taken_at) > self.staleness_limit:
            return None
        return figure.value

    def with_booking(self, name: NodeName, resources: Resources) -> "Cluster":
        """The cluster after one more booking; the original is untouched. O(nodes)."""
        nodes = tuple(view.with_booking(resources) if view.name == name else view for view in self.nodes)
        return Cluster(nodes=nodes, taken_at=self.taken_at, staleness_limit=self.staleness_limit)
