"""What is checked, and what a check says where something does not hold."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from nodewise.core.model.ids import NodeName, RunId, TaskPath


class Check(StrEnum):
    REACHES_AN_END = "reaches_an_end"
    """A run is final with all its tasks, or something is under way that will move it on."""
    COUNTED_ONCE = "counted_once"
    """A task succeeded at most once, by its latest attempt, and only then has outputs."""
    KNOWN_TRANSITIONS = "known_transitions"
    """The events of a subject lead from its birth to its state by steps that the tables have."""
    WITHIN_CAPACITY = "within_capacity"
    """At no instant more was booked on a node than it has."""
    INPUTS_FIRST = "inputs_first"
    """No attempt was placed or started before the tasks that it waits for had succeeded."""
    BOOKED_AS_LIVE = "booked_as_live"
    """What is booked is what live attempts hold, and the sums of a node are those of its bookings."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that does not hold. What it is not about is None; `since` and `until` are the instants that contradict."""

    check: Check
    text: str
    run_id: RunId | None = None
    path: TaskPath | None = None
    attempt: int | None = None
    node: NodeName | None = None
    since: datetime | None = None
    until: datetime | None = None

    def __str__(self) -> str:
        task = f"/{self.path}" if self.path else ""
        number = f"#{self.attempt}" if self.attempt else ""
        where = f"{self.run_id}{task}{number}" if self.run_id else f"node {self.node}"
        return f"{self.check}: {where}: {self.text}"
