"""Every check finds the fault that is planted for it, and nothing in a history that is in order."""

from dataclasses import replace
from datetime import timedelta

import pytest

from nodewise.core.audit import Allowance, Check, Finding, RunRecord, audit_run
from nodewise.core.lifecycle import AttemptState, RunState, TaskState
from nodewise.core.model.ids import TaskPath
from tests.support.audited import (
    FIT,
    LOAD,
    RUN,
    at,
    attempt,
    booking,
    clean,
    with_attempt,
    with_event,
    with_task,
    without_event,
)

EXACT = Allowance(clocks=timedelta(0), patience=timedelta(seconds=60))


def found(run: RunRecord, *, now: float = 10, allowance: Allowance = EXACT) -> list[Finding]:
    return audit_run(run, now=at(now), allowance=allowance)


def checks(run: RunRecord, *, now: float = 10) -> set[tuple[Check, TaskPath | None]]:
    return {(finding.check, finding.path) for finding in found(run, now=now)}


def test_a_history_in_order_has_no_findings() -> None:
    assert found(clean()) == []


KNOWN = Check.KNOWN_TRANSITIONS


@pytest.mark.parametrize(
    ("run", "path"),
    [
        pytest.param(without_event(clean(), 7), LOAD, id="a step is missing"),
        pytest.param(with_event(clean(), 7, event="retry"), LOAD, id="a step that leads elsewhere"),
        pytest.param(with_event(clean(), 7, event="teleport"), LOAD, id="a step that no table has"),
        pytest.param(with_event(clean(), 7, service="placer"), LOAD, id="a step that is another's"),
        pytest.param(without_event(clean(), 3), FIT, id="it begins with something else"),
        pytest.param(with_task(clean(), FIT, state=TaskState.FAILED), FIT, id="it is elsewhere"),
        pytest.param(without_event(clean(), 18), None, id="a run's end is missing"),
        pytest.param(
            replace(clean(), tasks=(*clean().tasks, replace(clean().tasks[1], path=TaskPath("other")))),
            TaskPath("other"),
            id="it has no history",
        ),
        pytest.param(replace(clean(), tasks=clean().tasks[:1]), FIT, id="it is gone"),
    ],
)
def test_a_history_must_be_one_that_the_tables_allow(run: RunRecord, path: TaskPath | None) -> None:
    assert (KNOWN, path) in checks(run)


ONCE = Check.COUNTED_ONCE


@pytest.mark.parametrize(
    "run",
    [
        pytest.param(
            with_attempt(clean(), LOAD, 1, state=AttemptState.SUCCEEDED), id="two attempts succeeded"
        ),
        pytest.param(with_attempt(clean(), LOAD, 2, state=AttemptState.LOST), id="none did"),
        pytest.param(with_event(clean(), 9, event="succeed", to_state="SUCCEEDED"), id="two good ends"),
        pytest.param(with_task(clean(), LOAD, state=TaskState.FAILED), id="outputs of a failure"),
        pytest.param(with_task(clean(), LOAD, attempt=3), id="an attempt is not on record"),
        pytest.param(with_task(clean(), LOAD, finished_at=at(5)), id="the end of another attempt"),
        pytest.param(with_event(clean(), 13, attempt=1), id="its end names an older attempt"),
        pytest.param(without_event(clean(), 13), id="nothing says that it ended"),
        pytest.param(with_attempt(clean(), LOAD, 1, booking=booking("load", 1, 1, 4.5)), id="two at once"),
        pytest.param(
            with_attempt(clean(), LOAD, 1, booking=booking("load", 1, 1, None)), id="two at once, still"
        ),
    ],
)
def test_a_task_counts_once(run: RunRecord) -> None:
    assert (ONCE, LOAD) in checks(run)


def test_a_good_end_of_a_run_that_is_being_canceled_counts_for_nothing_and_is_no_finding() -> None:
    run = with_event(clean(), 17, event="cancel", to_state="CANCELED")
    run = with_task(run, FIT, state=TaskState.CANCELED, has_outputs=False)
    assert (ONCE, FIT) not in checks(run)


def test_a_result_that_was_reused_needs_no_attempt() -> None:
    run = clean()
    events = tuple(e for e in run.events if e.path != FIT or e.id == 3)
    resolved = replace(run.events[13], event="resolve", to_state="SUCCEEDED", id=17)
    run = replace(run, events=(*events[:-1], resolved, events[-1]), attempts=run.attempts[1:])
    assert found(with_task(run, FIT, attempt=0)) == []


def test_nothing_starts_before_its_inputs_are_there() -> None:
    early = with_attempt(clean(), FIT, 1, started_at=at(5.9))
    (finding,) = found(early)
    assert (finding.check, finding.path, finding.attempt) == (Check.INPUTS_FIRST, FIT, 1)
    assert (finding.since, finding.until) == (at(5.9), at(6))
    assert found(early, allowance=Allowance(clocks=timedelta(seconds=1))) == []


def test_nothing_is_placed_before_its_inputs_are_there_whatever_the_clocks_say() -> None:
    run = clean()
    swapped = {13: 16, 16: 13}
    events = tuple(sorted((replace(e, id=swapped.get(e.id, e.id)) for e in run.events), key=lambda e: e.id))
    assert (Check.INPUTS_FIRST, FIT) in checks(replace(run, events=events))
    assert (Check.INPUTS_FIRST, FIT) not in checks(replace(run, events=events, bound_early=True))


BOOKED = Check.BOOKED_AS_LIVE


@pytest.mark.parametrize(
    "run",
    [
        pytest.param(with_attempt(clean(), FIT, 1, booking=booking("fit", 1, 7, None)), id="ended, and holds room"),
        pytest.param(with_attempt(clean(), FIT, 1, state=AttemptState.RUNNING), id="live, and holds none"),
        pytest.param(with_attempt(clean(), FIT, 1, booking=None, state=AttemptState.PLACED), id="never had any"),
        pytest.param(
            with_attempt(clean(), FIT, 1, booking=booking("fit", 1, 7, 9, node="n2")), id="room on another node"
        ),
        pytest.param(with_task(clean(), FIT, state=TaskState.RUNNING), id="on a node without an attempt"),
        pytest.param(
            with_attempt(
                with_task(clean(), FIT, state=TaskState.RUNNING, attempt=2), FIT, 1,
                state=AttemptState.RUNNING, booking=booking("fit", 1, 7, None),
            ),
            id="an old attempt is live",
        ),
    ],
)  # fmt: skip
def test_bookings_are_those_of_live_attempts(run: RunRecord) -> None:
    assert (BOOKED, FIT) in checks(run)


def open_run(state: TaskState) -> RunRecord:
    """`load` is done and `fit` is in that state, with the history of it left out of sight."""
    run = replace(clean(), state=RunState.RUNNING, attempts=clean().attempts[1:])
    events = tuple(e for e in run.events if e.path != FIT and e.id != 18)
    return replace(with_task(run, FIT, state=state, attempt=0, has_outputs=False), events=events)


@pytest.mark.parametrize(
    ("state", "now", "stuck"),
    [
        (TaskState.WAITING, 100, True),
        (TaskState.FAILED, 100, True),
        (TaskState.WAITING, 30, False),
        (TaskState.READY, 10_000, False),
        (TaskState.ADMITTED, 10_000, False),
    ],
)
def test_an_open_run_is_stuck_where_nothing_will_move_it(state: TaskState, now: float, stuck: bool) -> None:
    assert ((Check.REACHES_AN_END, None) in checks(open_run(state), now=now)) is stuck


def test_a_run_that_nobody_has_looked_at_yet_is_not_stuck() -> None:
    run = replace(open_run(TaskState.WAITING), settled=False)
    assert (Check.REACHES_AN_END, None) not in checks(run, now=10_000)


def test_an_ended_run_has_no_task_that_has_not() -> None:
    assert (Check.REACHES_AN_END, FIT) in checks(with_task(clean(), FIT, state=TaskState.READY))


def test_a_finding_names_what_it_is_about() -> None:
    (finding,) = found(with_attempt(clean(), FIT, 1, booking=booking("fit", 1, 7, None)))
    assert str(finding) == f"booked_as_live: {RUN}/fit#1: it is SUCCEEDED, and still holds room"
    lost = replace(clean(), attempts=(*clean().attempts, attempt("load", 3, AttemptState.LOST, 7, 8)))
    assert {str(f) for f in found(lost)} == {
        f"counted_once: {RUN}/load#2: attempt 2 succeeded, the one that counts is 2, the latest 3",
        f"counted_once: {RUN}/load: it counts 2 attempts, and on record are 1, 2, 3",
    }
