"""What reports and silence mean, without a database."""

from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nodewise.core.estimates.learning import NodeFacts, Observation, Query
from nodewise.core.lifecycle import AttemptState, TaskEvent, TaskState
from nodewise.core.messages import AttemptReport, Heartbeat
from nodewise.core.model.decision import ReasonCode
from nodewise.core.model.ids import AttemptKey, NodeName, RunId, TaskPath
from nodewise.core.model.node import Node
from nodewise.core.model.resources import Resources
from nodewise.core.model.task import RetryPolicy
from nodewise.recorder.journal import (
    MAX_LOSSES,
    Change,
    LiveAttempt,
    end_leases,
    keys_to_cancel,
    keys_to_forget,
    read_heartbeat,
)
from tests.support.rows import NOW

KEY = AttemptKey(run_id=RunId("r"), path=TaskPath("train"), attempt=1)


def live(key: AttemptKey = KEY, **fields: object) -> LiveAttempt:
    values: dict[str, object] = {
        "key": key,
        "state": AttemptState.RUNNING,
        "task_state": TaskState.RUNNING,
        "node": NodeName("n1"),
        "node_class": "big",
        "task_class": "training/svm",
        "placed_at": NOW,
        "accepted_at": NOW,
        "lease_until": NOW + timedelta(seconds=10),
    }
    return LiveAttempt(**(values | fields))  # type: ignore[arg-type]


def heartbeat(*reports: AttemptReport, sent_at: datetime = NOW + timedelta(seconds=5)) -> Heartbeat:
    node = Node(name=NodeName("n1"), capacity=Resources(millicores=1000))
    return Heartbeat(node=node, boot_id="b", sequence=1, sent_at=sent_at, attempts=reports)


def report(state: AttemptState, key: AttemptKey = KEY, **fields: object) -> AttemptReport:
    return AttemptReport(key=key, state=state).model_copy(update=fields)


def only_change(
    attempt: LiveAttempt, *reports: AttemptReport, now: datetime = NOW + timedelta(seconds=6)
) -> Change:
    (change,) = read_heartbeat([attempt], heartbeat(*reports), newest=True, now=now)
    return change


def test_a_running_attempt_that_runs_on_changes_nothing() -> None:
    assert read_heartbeat([live()], heartbeat(report(AttemptState.RUNNING)), newest=True, now=NOW) == ()


def test_a_report_of_an_attempt_that_is_not_live_changes_nothing_and_is_to_be_forgotten() -> None:
    late = heartbeat(report(AttemptState.SUCCEEDED))
    assert read_heartbeat([], late, newest=True, now=NOW) == ()
    assert keys_to_forget(late, live=set()) == (KEY,)
    assert keys_to_cancel(late, live=set()) == ()


def test_an_attempt_that_runs_without_being_live_is_to_be_canceled() -> None:
    void = heartbeat(report(AttemptState.RUNNING))
    assert keys_to_cancel(void, live=set()) == (KEY,)
    assert keys_to_cancel(void, live={KEY}) == ()


def test_an_end_is_not_to_be_forgotten_before_it_is_on_record() -> None:
    assert keys_to_forget(heartbeat(report(AttemptState.SUCCEEDED)), live={KEY}) == ()


@pytest.mark.parametrize("code", [ReasonCode.EXIT_CODE, ReasonCode.OUT_OF_MEMORY, ReasonCode.TIMEOUT])
@pytest.mark.parametrize(
    ("failures", "event"), [(0, TaskEvent.RETRY), (1, TaskEvent.RETRY), (2, TaskEvent.FAIL)]
)
def test_failures_are_counted_against_the_retries(code: ReasonCode, failures: int, event: TaskEvent) -> None:
    attempt = live(failures=failures, retry=RetryPolicy(max_retries=2))
    change = only_change(attempt, report(AttemptState.FAILED, reason=code, message="boom"))
    assert change.event is event
    assert change.failures == failures + 1
    assert "boom" in change.reason.text


def test_the_back_off_grows_with_every_failure() -> None:
    retry = RetryPolicy(max_retries=5, backoff=timedelta(seconds=4))
    change = only_change(live(failures=1, retry=retry), report(AttemptState.FAILED), now=NOW)
    assert change.not_before == NOW + timedelta(seconds=8)


@pytest.mark.parametrize(
    "end",
    [
        report(AttemptState.FAILED, reason=ReasonCode.AGENT_ERROR, message="no such artifact"),
        report(AttemptState.CANCELED),
    ],
)
def test_what_is_not_the_tasks_fault_costs_no_retry(end: AttemptReport) -> None:
    change = only_change(live(), end)
    assert change.event is TaskEvent.LOSE
    assert change.failures is None


def test_what_an_agent_stopped_unasked_waits_as_lost_and_not_as_canceled() -> None:
    stopped = report(AttemptState.CANCELED, reason=ReasonCode.RUN_CANCELED, message="canceled while it ran")
    change = only_change(live(), stopped)
    assert (change.event, change.reason.code) == (TaskEvent.LOSE, ReasonCode.AGENT_ERROR)
    assert change.reason.text == "lost: canceled while it ran; tried again"


def test_losses_are_bounded_but_failures_do_not_count_among_them() -> None:
    last = AttemptKey(run_id=RunId("r"), path=TaskPath("train"), attempt=MAX_LOSSES)
    ended = NOW + timedelta(seconds=10)
    (given_up,) = end_leases([live(last)], now=ended)
    (again,) = end_leases([live(last, failures=1)], now=ended)
    assert given_up.event is TaskEvent.FAIL
    assert given_up.state is AttemptState.LOST
    assert again.event is TaskEvent.LOSE


def test_a_lease_counts_until_its_last_moment() -> None:
    assert end_leases([live()], now=NOW + timedelta(seconds=9.999)) == ()


@pytest.mark.parametrize("state", [AttemptState.SUCCEEDED, AttemptState.FAILED, AttemptState.CANCELED])
def test_any_end_in_a_run_that_is_being_canceled_cancels_the_task(state: AttemptState) -> None:
    change = only_change(live(cancel_requested=True, retry=RetryPolicy(max_retries=3)), report(state))
    assert change.event is TaskEvent.CANCEL
    assert change.state is state


def test_a_loss_in_a_run_that_is_being_canceled_cancels_the_task() -> None:
    (change,) = end_leases([live(cancel_requested=True)], now=NOW + timedelta(seconds=20))
    assert change.event is TaskEvent.CANCEL


def test_silence_of_a_heartbeat_that_is_older_than_the_acceptance_means_nothing() -> None:
    attempt = live(accepted_at=NOW + timedelta(seconds=6))
    assert read_heartbeat([attempt], heartbeat(), newest=True, now=NOW + timedelta(seconds=7)) == ()


def test_silence_of_a_heartbeat_that_is_not_the_newest_means_nothing() -> None:
    assert read_heartbeat([live()], heartbeat(), newest=False, now=NOW + timedelta(seconds=7)) == ()


_TIMES = st.datetimes(min_value=datetime(2025, 1, 1), max_value=datetime(2027, 1, 1))  # noqa: DTZ001 - naive: a careless clock


@given(started=st.none() | _TIMES, finished=st.none() | _TIMES, lived=st.floats(0, 1e6))
def test_whatever_the_nodes_clock_says_times_are_in_order(
    started: datetime | None, finished: datetime | None, lived: float
) -> None:
    now = NOW + timedelta(seconds=lived)
    change = only_change(
        live(), report(AttemptState.SUCCEEDED, started_at=started, finished_at=finished), now=now
    )
    assert change.finished_at is not None
    assert NOW <= (change.started_at or NOW) <= change.finished_at <= now


def test_a_success_is_learned_from_and_a_failure_is_not() -> None:
    told = {"started_at": NOW + timedelta(seconds=1), "finished_at": NOW + timedelta(seconds=4)}
    attempt = live(effort_flops=1e9, input_bytes=5e6, capacity_millicores=1500, accelerator="gpu")
    good = only_change(attempt, report(AttemptState.SUCCEEDED, **told, peak_memory_mib=70))
    assert good.outcome == Observation(
        query=Query(
            task_class="training/svm",
            node_class="big",
            effort_flops=1e9,
            input_bytes=5e6,
            node=NodeFacts(cores=1.5, accelerator="gpu"),
        ),
        seconds=3.0,
        peak_memory_mib=70,
    )
    assert only_change(attempt, report(AttemptState.FAILED, **told, peak_memory_mib=70)).outcome is None


@pytest.mark.parametrize("peak", [None, 0, -3, 2**40])
def test_a_peak_that_no_task_can_have_is_not_learned_from(peak: int | None) -> None:
    told = {"started_at": NOW + timedelta(seconds=1), "finished_at": NOW + timedelta(seconds=4)}
    outcome = only_change(live(), report(AttemptState.SUCCEEDED, **told, peak_memory_mib=peak)).outcome
    assert outcome is not None
    assert (outcome.seconds, outcome.peak_memory_mib) == (3.0, None)
