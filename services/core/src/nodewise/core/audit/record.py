"""The rows as the checks read them: no more columns than they need."""

from dataclasses import dataclass
from datetime import datetime

from nodewise.core.lifecycle import AttemptState, RunState, TaskState
from nodewise.core.model.ids import NodeName, RunId, TaskPath
from nodewise.core.model.resources import Resources


@dataclass(frozen=True, slots=True, kw_only=True)
class EventRecord:
    """One event. Its id is larger than that of every event that was committed before its transaction wrote. Path None: of the run.

    Texts, not enums: what the tables do not know is to be found, not to fail the reader.
    """

    id: int
    at: datetime
    path: TaskPath | None
    attempt: int | None
    event: str
    from_state: str | None
    to_state: str
    service: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BookingRecord:
    """Room that an attempt holds, or held, from `booked_at` until `released_at` (None: still)."""

    run_id: RunId
    path: TaskPath
    attempt: int
    node: NodeName
    resources: Resources
    booked_at: datetime
    released_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptRecord:
    path: TaskPath
    attempt: int
    node: NodeName
    state: AttemptState
    started_at: datetime | None
    finished_at: datetime | None
    booking: BookingRecord | None


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskRecord:
    """`attempt` is the number of its latest attempt, `has_outputs` whether any are on record."""

    path: TaskPath
    state: TaskState
    attempt: int
    upstream: tuple[TaskPath, ...]
    finished_at: datetime | None
    has_outputs: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRecord:
    """A run with all that is on record of it; attempts by task and number, events in the order of their ids.

    `bound_early`: its engine runs the DAG by itself (KFP), so its tasks are placed before their inputs are there.
    """

    id: RunId
    state: RunState
    bound_early: bool
    settled: bool
    tasks: tuple[TaskRecord, ...]
    attempts: tuple[AttemptRecord, ...]
    events: tuple[EventRecord, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RoomRecord:
    """What a node has, and the sums of what is booked on it, as its row says."""

    node: NodeName
    capacity: Resources
    booked: Resources
    running_tasks: int
