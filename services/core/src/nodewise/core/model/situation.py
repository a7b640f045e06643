"""The open runs as planning sees them: what is left of each, where the rest ran, and what holds room meanwhile."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from nodewise.core.estimates.learning import Prediction
from nodewise.core.lifecycle import TaskState
from nodewise.core.model.ids import NodeName, RunId, TaskPath, TaskRef
from nodewise.core.model.resources import Resources
from nodewise.core.model.task import TaskFacts, TaskSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class Occupancy:
    """A live attempt: it holds its room on a node until it ends. Born PLACED, so `started_at` may be unknown.

    `prediction` is what was believed when it was placed (None: of an older release).
    """

    ref: TaskRef
    node: NodeName
    resources: Resources
    placed_at: datetime
    started_at: datetime | None = None
    prediction: Prediction | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenTask:
    """A task that has not ended well. Its upstream tasks are in `spec.upstream`."""

    facts: TaskFacts
    spec: TaskSpec
    state: TaskState
    not_before: datetime | None = None
    allowed_nodes: tuple[NodeName, ...] | None = None
    """Of an ADMITTED task: where the placer may put it."""

    @property
    def path(self) -> TaskPath:
        return self.facts.ref.path


@dataclass(frozen=True, slots=True, kw_only=True)
class DoneTask:
    """A task that succeeded: where its outputs are at hand, and how large they are together."""

    node: NodeName
    started_at: datetime
    ended_at: datetime
    output_bytes: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenRun:
    """A run that has not ended. `tasks` are in topological order; those that are live are in `Occupancy`, too.

    `data_mib` says how much goes from one task to another, where that is known before; else it is what the first has
    left once it is done, and nothing until then.
    """

    id: RunId
    submitted_at: datetime
    policy: str
    strategy: str
    priority: int = 0
    deadline: datetime | None = None
    team: str = "default"
    tasks: tuple[OpenTask, ...]
    done: Mapping[TaskPath, DoneTask] = field(default_factory=dict)
    data_mib: Mapping[tuple[TaskPath, TaskPath], float] = field(default_factory=dict)
