"""Every way into a state in which a task waits: which reasons it may carry, and that each of them can be explained."""

import pytest

from nodewise.api.explaining.changes import ANSWERS
from nodewise.core.lifecycle import TASK_EVENT_OWNERS, TASK_TRANSITIONS, TaskEvent, TaskState
from nodewise.core.model.decision import ReasonCode

WITHOUT_NODE = {TaskState.WAITING, TaskState.READY, TaskState.ADMITTED}
"""In these a task waits for its inputs, its turn, or a placer. PLACED waits, too, but has a node and an attempt that say so."""

LOST = {ReasonCode.LEASE_ENDED, ReasonCode.AGENT_FORGOT, ReasonCode.AGENT_ERROR}

CARRIED = {
    ("submitted", TaskState.WAITING): {ReasonCode.UPSTREAM_NOT_FINISHED},
    ("submitted", TaskState.READY): {ReasonCode.QUEUED},
    (TaskEvent.INPUTS_READY, TaskState.READY): {ReasonCode.QUEUED},
    (TaskEvent.ADMIT, TaskState.ADMITTED): {ReasonCode.ADMITTED},
    (TaskEvent.DEFER, TaskState.READY): {
        ReasonCode.NO_NODES,
        ReasonCode.NO_ROOM,
        ReasonCode.UNSATISFIABLE,
        ReasonCode.LOST_RACE,
        ReasonCode.STRATEGY_RULE,
        ReasonCode.UNKNOWN_STRATEGY,
    },
    (TaskEvent.RETRY, TaskState.READY): {ReasonCode.RETRY_BACKOFF},
    (TaskEvent.LOSE, TaskState.READY): LOST,
    ("looked at", TaskState.READY): {
        ReasonCode.QUEUED,
        ReasonCode.NO_NODES,
        ReasonCode.NO_ROOM,
        ReasonCode.UNSATISFIABLE,
        ReasonCode.KEPT_FREE,
        ReasonCode.TEAM_QUOTA,
        ReasonCode.WAITS_FOR_NODE,
        ReasonCode.PLANNED_LATER,
        ReasonCode.RETRY_BACKOFF,
        ReasonCode.UNKNOWN_POLICY,
        ReasonCode.UNKNOWN_STRATEGY,
        ReasonCode.STRATEGY_RULE,
    },
}
"""By how it came there: a submission, an event of its life, or a look of the scheduler that left it where it was."""


def test_every_way_into_a_state_of_waiting_is_listed() -> None:
    ways = {(event, after) for (_, event), after in TASK_TRANSITIONS.items() if after in WITHOUT_NODE}
    assert ways == {way for way in CARRIED if way[0] in set(TASK_EVENT_OWNERS)}
    assert {after for _, after in CARRIED} == WITHOUT_NODE


@pytest.mark.parametrize("way", CARRIED, ids=" ".join)
def test_each_of_its_reasons_can_be_explained(way: tuple[str, TaskState]) -> None:
    assert CARRIED[way]
    assert set(ANSWERS) >= CARRIED[way]


def test_what_can_be_explained_is_carried_by_some_task() -> None:
    """JOB_NOT_BUILT ends a task; an older release let it wait."""
    assert set(ANSWERS) - {ReasonCode.JOB_NOT_BUILT} == set().union(*CARRIED.values())
