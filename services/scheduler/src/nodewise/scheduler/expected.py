"""Where and when planned tasks are expected to run, as far as it changed enough to be told. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from nodewise.core.lifecycle import TaskState
from nodewise.core.model.ids import NodeName, TaskRef
from nodewise.core.model.situation import OpenRun
from nodewise.planning.joint import PlannedTask

REFRESHED_TIMES: Final = 200
"""So many tasks, the first to start, get new times in a look when only these changed: times move a little all the time."""

_NOT_STARTED: Final = frozenset({TaskState.WAITING, TaskState.READY, TaskState.ADMITTED})


@dataclass(frozen=True, slots=True)
class Expectation:
    """To the second."""

    node: NodeName
    start: datetime
    end: datetime


def expectations(
    planned: Mapping[TaskRef, PlannedTask], runs: Iterable[OpenRun]
) -> dict[TaskRef, Expectation]:
    """What is expected of all tasks that have not started, first to start first."""
    found = [planned[ref] for ref in _not_started(runs) if ref in planned]
    return {
        task.ref: Expectation(
            task.node, task.start.replace(microsecond=0), max(task.start, task.end).replace(microsecond=0)
        )
        for task in sorted(found, key=lambda task: (task.start, task.ref))
    }


def news(
    expected: Mapping[TaskRef, Expectation], told: Mapping[TaskRef, Expectation], runs: Iterable[OpenRun]
) -> dict[TaskRef, Expectation | None]:
    """Of what is expected, that which is to be told: new tasks, other nodes, and some of the times that changed.

    None: nothing is expected any more of a task that waits on.
    """
    found: dict[TaskRef, Expectation | None] = {
        ref: None for ref in _not_started(runs) if ref in told and ref not in expected
    }
    refreshed = 0
    for ref, expectation in expected.items():
        before = told.get(ref)
        if before == expectation:
            continue
        if before is not None and before.node == expectation.node:
            refreshed += 1
            if refreshed > REFRESHED_TIMES:
                continue
        found[ref] = expectation
    return found


def _not_started(runs: Iterable[OpenRun]) -> Iterable[TaskRef]:
    return (task.facts.ref for run in runs for task in run.tasks if task.state in _NOT_STARTED)
