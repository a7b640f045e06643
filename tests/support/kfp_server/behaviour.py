"""What a test says of the programs in the pods, since none is run: how long each takes, how it ends, what it puts out."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Execution:
    """One pod of a task that begins. `task` is the key in the IR, `path` Argo's; attempts count from 0."""

    path: str
    task: str
    executor: str
    inputs: Mapping[str, Any]
    attempt: int
    node: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """`fails` is the message of a failure; outputs that are not given are empty values of their type."""

    seconds: float = 1.0
    fails: str | None = None
    outputs: Mapping[str, Any] = field(default_factory=dict)


Behave = Callable[[Execution], Outcome]


def well_behaved(_: Execution) -> Outcome:
    return Outcome()


def by_task(**outcomes: Outcome) -> Behave:
    """Outcomes by task key, dashes written as underscores; all others end well after a second."""
    named = {name.replace("_", "-"): outcome for name, outcome in outcomes.items()}
    return lambda execution: named.get(execution.task, Outcome())
