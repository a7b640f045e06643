"""What a plug-in implements. Found by entry point (see `plugins.py`); each has a contract suite in tests/contracts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from random import Random
from typing import Protocol, runtime_checkable

from nodewise.core.estimates.forecast import unlearned
from nodewise.core.estimates.learning import Prediction
from nodewise.core.model.decision import Decision
from nodewise.core.model.ids import NodeName, TaskRef
from nodewise.core.model.node import Cluster, Node
from nodewise.core.model.quota import Quota
from nodewise.core.model.resources import Resources
from nodewise.core.model.situation import Occupancy
from nodewise.core.model.task import TaskFacts, WaitingTask


class Predict(Protocol):
    """What is believed of the run time of a task on a node. Never fails: who was never seen has a wide interval."""

    def __call__(self, task: TaskFacts, node: Node, /) -> Prediction: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyContext:
    """What a policy may know besides the tasks. `rng` is the only source of chance.

    `booked` is what each team's live tasks hold; `shares` are the teams' weights (a team without one has 1). `quotas` are
    kept by the scheduler, whatever a policy says.
    """

    now: datetime
    rng: Random
    cluster: Cluster | None = None
    predict: Predict = unlearned
    booked: Mapping[str, Resources] = field(default_factory=dict)
    shares: Mapping[str, float] = field(default_factory=dict)
    quotas: Mapping[str, Quota] = field(default_factory=dict)


@runtime_checkable
class Policy(Protocol):
    """The order in which waiting tasks are considered. Pure."""

    name: str
    summary: str
    """One line for `nodewise policies`."""

    def order(self, waiting: Sequence[WaitingTask], context: PolicyContext) -> Sequence[TaskRef]:
        """All of `waiting`, each once, first to be considered first.

        Equal inputs (and an `rng` in equal state) give equal orders, whatever the order of `waiting`.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class PlacementContext:
    """What a strategy may know besides tasks and cluster.

    `previous_node` is the node of the latest placement of all (None: there was none). `options` are the user's
    settings for this strategy. `running` is what holds the booked room, with what is believed of its end.
    `link_mib_per_s` is how fast data moves between two nodes.
    """

    now: datetime
    rng: Random
    previous_node: NodeName | None = None
    predict: Predict = unlearned
    running: Sequence[Occupancy] = ()
    link_mib_per_s: float = 100.0
    options: Mapping[str, object] = field(default_factory=dict)


@runtime_checkable
class Strategy(Protocol):
    """The mapping from tasks to nodes. Pure."""

    name: str
    summary: str
    """One line for `nodewise strategies`."""

    def place(
        self, tasks: Sequence[WaitingTask], cluster: Cluster, context: PlacementContext
    ) -> Sequence[Decision]:
        """One decision per task, in the order of `tasks`, each seeing the bookings of those before it.

        Never books a node beyond its free capacity, nor against a hard requirement, nor where the scheduler did not
        admit the task to (`nodewise.core.feasibility.exclusion_of` knows all three); a task that fits nowhere gets a `Deferral` that says why.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Preset:
    """A policy and a strategy that are known together by one name."""

    name: str
    policy: str
    strategy: str
    summary: str = ""
