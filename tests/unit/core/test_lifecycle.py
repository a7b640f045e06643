import pytest

from nodewise.core.errors import IllegalTransition
from nodewise.core.lifecycle import (
    FINAL_RUN_STATES,
    FINAL_TASK_STATES,
    RUN_TRANSITIONS,
    TASK_EVENT_OWNERS,
    TASK_TRANSITIONS,
    RunEvent,
    RunState,
    TaskEvent,
    TaskState,
    next_run_state,
    next_task_state,
)


def reachable(start: object, table: dict[tuple[object, object], object]) -> set[object]:
    seen, frontier = {start}, [start]
    while frontier:
        here = frontier.pop()
        for (state, _), following in table.items():
            if state == here and following not in seen:
                seen.add(following)
                frontier.append(following)
    return seen


def test_every_task_event_has_exactly_one_owner() -> None:
    assert set(TASK_EVENT_OWNERS) == set(TaskEvent)
    assert set(TASK_EVENT_OWNERS.values()) == {"scheduler", "placer", "recorder"}


def test_nothing_leaves_a_final_state() -> None:
    assert not [state for state, _ in TASK_TRANSITIONS if state in FINAL_TASK_STATES]
    assert not [state for state, _ in RUN_TRANSITIONS if state in FINAL_RUN_STATES]


def test_every_state_is_reachable_and_can_end() -> None:
    assert reachable(TaskState.WAITING, dict(TASK_TRANSITIONS)) == set(TaskState)
    assert reachable(RunState.PENDING, dict(RUN_TRANSITIONS)) == set(RunState)
    for state in set(TaskState) - FINAL_TASK_STATES:
        assert reachable(state, dict(TASK_TRANSITIONS)) & FINAL_TASK_STATES
    for run_state in set(RunState) - FINAL_RUN_STATES:
        assert reachable(run_state, dict(RUN_TRANSITIONS)) & FINAL_RUN_STATES


def test_whatever_is_not_final_can_be_canceled() -> None:
    for state in set(TaskState) - FINAL_TASK_STATES:
        assert next_task_state(state, TaskEvent.CANCEL) is TaskState.CANCELED


def test_an_absent_pair_is_refused_in_one_line() -> None:
    with pytest.raises(IllegalTransition, match="a task that is SUCCEEDED cannot start"):
        next_task_state(TaskState.SUCCEEDED, TaskEvent.START)
    with pytest.raises(IllegalTransition, match="a run that is FAILED cannot start"):
        next_run_state(RunState.FAILED, RunEvent.START)
