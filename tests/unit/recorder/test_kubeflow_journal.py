"""What sightings of KFP change on record: forward only, nothing final, nothing that was not said."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nodewise.core.engine.kubeflow.runs import KfpRun, KfpState
from nodewise.core.engine.kubeflow.tasks import RunSighting, SightedState, TaskSighting
from nodewise.core.lifecycle import (
    FINAL_TASK_STATES,
    TASK_EVENT_OWNERS,
    RunEvent,
    TaskEvent,
    TaskState,
    next_task_state,
)
from nodewise.core.model.decision import Reason, ReasonCode
from nodewise.core.model.ids import NodeName, TaskPath
from nodewise.recorder.kubeflow.journal import end_all, read_run
from nodewise.recorder.kubeflow.known import KnownTask, Placed, Step, Verdict
from nodewise.recorder.kubeflow.missing import Missing
from nodewise.recorder.kubeflow.paths import sibling_path
from tests.support.builders import NOON, seconds

LATER = NOON + seconds(100)


def known(path: str = "a", state: TaskState = TaskState.PLACED, *, attempt: int = 1) -> KnownTask:
    placed = Placed(
        number=attempt,
        node=NodeName("n1"),
        node_class="c",
        policy="fifo",
        strategy="greedy",
        placed_at=NOON,
        started_at=NOON + seconds(1) if state is TaskState.RUNNING else None,
    )
    return KnownTask(path=TaskPath(path), state=state, task_class="t", placed=placed if attempt else None)


def seen(path: str = "a", state: SightedState = SightedState.RUNNING, **fields: object) -> TaskSighting:
    return replace(TaskSighting(path=TaskPath(path), state=state), **fields)  # type: ignore[arg-type]


def verdict(
    tasks: Sequence[KnownTask],
    sightings: Sequence[TaskSighting],
    *,
    state: KfpState = KfpState.RUNNING,
    canceled: bool = False,
    message: str | None = None,
) -> Verdict:
    return read_run(
        {task.path: task for task in tasks},
        KfpRun(run_id="r", state=state),
        RunSighting(tasks=tuple(sightings), message=message),
        cancel_requested=canceled,
        now=LATER,
    )


def events(found: Verdict) -> list[tuple[str, TaskEvent]]:
    return [(step.path, step.event) for step in found.steps]


def step(found: Verdict) -> Step:
    (one,) = found.steps
    return one


def test_a_pod_that_runs_starts_its_task_where_it_is() -> None:
    found = step(verdict([known()], [seen(node=NodeName("n7"), started_at=NOON + seconds(5))]))
    assert (found.event, found.node, found.started_at) == (TaskEvent.START, "n7", NOON + seconds(5))
    assert found.reason.text == "runs on n7"


@pytest.mark.parametrize("state", sorted(FINAL_TASK_STATES))
@pytest.mark.parametrize("shown", [*SightedState])
def test_what_is_final_on_record_stays(state: TaskState, shown: SightedState) -> None:
    assert verdict([known(state=state)], [seen(state=shown, attempts=3)]).steps == ()


def test_an_older_answer_takes_nothing_back() -> None:
    found = verdict([known(state=TaskState.RUNNING)], [seen(state=SightedState.PENDING, message="x")])
    assert (found.steps, dict(found.says)) == ((), {})


def test_a_task_that_waits_for_a_node_says_so_once() -> None:
    message = "Unschedulable: 0/2 nodes are available"
    waiting = seen(state=SightedState.UNSCHEDULABLE, message=message)
    said = verdict([known()], [waiting]).says[TaskPath("a")]
    assert said == Reason(code=ReasonCode.POD_UNSCHEDULABLE, text=message)
    assert dict(verdict([replace(known(), reason=said)], [waiting]).says) == {}


def test_how_long_it_took_is_kfps_word_even_if_its_clock_is_behind() -> None:
    behind = seen(state=SightedState.SUCCEEDED, started_at=NOON - seconds(60), ended_at=NOON - seconds(40))
    found = step(verdict([known()], [behind]))
    assert (found.started_at, found.finished_at, found.seconds) == (NOON, NOON + seconds(20), 20)


def test_an_end_in_our_future_is_now() -> None:
    ahead = seen(state=SightedState.SUCCEEDED, started_at=LATER + seconds(10), ended_at=LATER + seconds(30))
    found = step(verdict([known()], [ahead]))
    assert (found.started_at, found.finished_at, found.seconds) == (LATER - seconds(20), LATER, 20)


def test_a_cached_result_teaches_nothing() -> None:
    found = step(verdict([known()], [seen(state=SightedState.SUCCEEDED, cached=True)]))
    assert (found.reason.code, found.seconds) == (ReasonCode.CACHED, None)


def test_another_attempt_of_kfps_begins_and_runs() -> None:
    found = verdict([known(state=TaskState.RUNNING)], [seen(attempts=3, started_at=LATER)])
    assert events(found) == [("a", TaskEvent.RESTART), ("a", TaskEvent.START)]
    assert (found.steps[0].number, found.steps[0].failures) == (3, 2)


def test_a_round_that_is_not_on_record_is_born_like_its_sibling() -> None:
    found = verdict(
        [known("loop[0].a")],
        [seen("loop[2].a", SightedState.SUCCEEDED, node=NodeName("n2"), attempts=2)],
    )
    (birth,) = found.births
    assert (birth.path, birth.like, birth.node) == ("loop[2].a", "loop[0].a", "n2")
    assert events(found) == [("loop[2].a", TaskEvent.SIGHT), ("loop[2].a", TaskEvent.SUCCEED)]


def test_what_belongs_to_no_task_of_the_pipeline_is_passed_over() -> None:
    found = verdict([known("inner.a")], [seen("inner", SightedState.PENDING), seen("elsewhere")])
    assert found == Verdict()


@pytest.mark.parametrize("inside", ["branch.a", "branch.deeper.a", "branch[0].a"])
def test_a_branch_that_was_not_taken_skips_all_in_it(inside: str) -> None:
    when = seen("branch", SightedState.SKIPPED, message="when 'false' evaluated false")
    found = verdict([known(inside), known("branches.b")], [when])
    assert events(found) == [(inside, TaskEvent.SKIP)]
    assert found.steps[0].reason.code is ReasonCode.CONDITION_NOT_MET


@pytest.mark.parametrize(
    ("state", "canceled", "end", "of_waiting", "of_running"),
    [
        (KfpState.SUCCEEDED, False, RunEvent.SUCCEED, TaskEvent.SKIP, TaskEvent.SUCCEED),
        (KfpState.FAILED, False, RunEvent.FAIL, TaskEvent.SKIP, TaskEvent.FAIL),
        (KfpState.FAILED, True, RunEvent.CANCEL, TaskEvent.CANCEL, TaskEvent.CANCEL),
        (KfpState.CANCELED, False, RunEvent.CANCEL, TaskEvent.CANCEL, TaskEvent.CANCEL),
    ],
)
def test_nothing_is_left_open_when_the_run_ends(
    state: KfpState, *, canceled: bool, end: RunEvent, of_waiting: TaskEvent, of_running: TaskEvent
) -> None:
    tasks = [known("w"), known("r", TaskState.RUNNING), known("f", TaskState.FAILED)]
    found = verdict(tasks, [], state=state, canceled=canceled)
    assert found.end is end
    assert events(found) == [("w", of_waiting), ("r", of_running)]


def test_what_started_in_the_same_look_as_its_run_ended_is_not_skipped() -> None:
    found = verdict([known()], [seen()], state=KfpState.FAILED)
    assert events(found) == [("a", TaskEvent.START), ("a", TaskEvent.FAIL)]


def test_a_run_that_failed_without_a_failed_task_has_argos_words() -> None:
    assert verdict([], [], state=KfpState.FAILED, message="no quota").error == "KFP: no quota"


def test_a_run_that_kfp_never_had_ends_with_the_reason_of_all_its_tasks() -> None:
    why = Reason(code=ReasonCode.KFP_REFUSED, text="no")
    tasks = {task.path: task for task in (known("a"), known("b", TaskState.WAITING, attempt=0))}
    found = end_all(tasks, why, event=RunEvent.FAIL, now=LATER)
    assert (found.end, found.error) == (RunEvent.FAIL, "no")
    assert [(one.event, one.reason) for one in found.steps] == [(TaskEvent.SKIP, why)] * 2


SIGHTINGS = st.builds(
    TaskSighting,
    path=st.sampled_from(["a", "loop[0].b", "loop[1].b", "loop", "x"]).map(TaskPath),
    state=st.sampled_from(SightedState),
    node=st.sampled_from([None, NodeName("n1"), NodeName("n2")]),
    started_at=st.none() | st.integers(-50, 200).map(lambda n: NOON + seconds(n)),
    ended_at=st.none() | st.integers(-50, 200).map(lambda n: NOON + seconds(n)),
    message=st.sampled_from([None, "when 'x' evaluated false", "Unschedulable: y", "z"]),
    attempts=st.integers(1, 4),
    cached=st.booleans(),
)


@given(
    st.lists(SIGHTINGS, max_size=5, unique_by=lambda one: one.path),
    st.sampled_from(TaskState),
    st.sampled_from(TaskState),
    st.sampled_from(KfpState),
    st.booleans(),
)
def test_every_verdict_keeps_to_the_table_of_lives(
    sightings: list[TaskSighting], one: TaskState, two: TaskState, state: KfpState, canceled: bool
) -> None:
    unplaced = (TaskState.WAITING, TaskState.READY, TaskState.ADMITTED)
    tasks = [
        known(path, now, attempt=0 if now in unplaced else 1)
        for path, now in (("a", one), ("loop[0].b", two))
        if now not in (TaskState.READY, TaskState.ADMITTED)
    ]
    found = verdict(tasks, sightings, state=state, canceled=canceled)
    states = {task.path: task.state for task in tasks} | {
        birth.path: TaskState.WAITING for birth in found.births
    }
    for step in found.steps:
        assert TASK_EVENT_OWNERS[step.event] == "recorder"
        states[step.path] = next_task_state(states[step.path], step.event)
        if step.started_at is not None and step.finished_at is not None:
            assert step.started_at <= step.finished_at
        assert step.finished_at is None or step.finished_at <= LATER or step.finished_at <= NOON
    if found.end is not None:
        assert set(states.values()) <= FINAL_TASK_STATES


def test_a_run_is_missing_only_after_several_answers_over_a_while() -> None:
    missing = Missing()
    for number in range(4):
        missing.told(["r"], now=NOON + seconds(number))
    assert missing.beyond(timedelta(seconds=60), now=NOON + seconds(59)) == set()
    assert missing.beyond(timedelta(seconds=60), now=NOON + seconds(60)) == {"r"}


def test_two_answers_are_not_enough_however_far_apart() -> None:
    missing = Missing()
    missing.told(["r"], now=NOON)
    missing.told(["r"], now=NOON + timedelta(days=1))
    assert missing.beyond(timedelta(seconds=60), now=NOON + timedelta(days=1)) == set()


def test_one_answer_that_knows_the_run_forgets_all_others() -> None:
    missing = Missing()
    for _ in range(5):
        missing.told(["r"], now=NOON)
    missing.told([], now=NOON + seconds(1))
    for _ in range(3):
        missing.told(["r"], now=NOON + seconds(100))
    assert missing.beyond(timedelta(seconds=60), now=NOON + seconds(120)) == set()


@pytest.mark.parametrize(
    ("path", "like", "own", "expected"),
    [
        ("loop[0].a", "loop[0].b", "loop[2].b", "loop[2].a"),
        ("outer[1].inner[0].a", "outer[1].inner[0].b", "outer[4].inner[3].b", "outer[4].inner[3].a"),
        ("outer[1].prep", "outer[1].inner[0].b", "outer[4].inner[3].b", "outer[4].prep"),
        ("prep", "loop[0].b", "loop[2].b", "prep"),
        ("inner.a", "inner.b", "inner~2.b", "inner~2.a"),
    ],
)
def test_what_a_sibling_waits_for_is_in_its_own_round(path: str, like: str, own: str, expected: str) -> None:
    assert sibling_path(TaskPath(path), TaskPath(like), TaskPath(own)) == expected
