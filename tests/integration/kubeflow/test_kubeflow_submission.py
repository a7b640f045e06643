"""One KFP run for one of ours: whoever is killed, whatever is lost on the way."""

import contextlib
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

import pytest

from nodewise.core.engine.kubeflow.client import KfpClient
from nodewise.core.engine.kubeflow.errors import (
    KfpRefused,
    KfpUnavailable,
    SubmissionUncertain,
)
from nodewise.core.engine.kubeflow.runs import KfpRun
from nodewise.core.engine.kubeflow.submission import QUIET, Submission, body_of, submit
from nodewise.core.model.ids import RunId
from tests.support.kfp_server.faults import Fault
from tests.support.kfp_server.server import KfpServer
from tests.support.kubeflow import MemoryJournal, a_submission

Document = tuple[dict[str, Any], dict[str, Any]]


class Killed(BaseException):
    """The process ends here: nothing catches this."""


class Steps:
    """Client and journal of one process, which is killed at a step of its own, counted from 0."""

    def __init__(self, kfp: KfpClient, journal: MemoryJournal, *, killed_at: int) -> None:
        self._kfp, self._journal = kfp, journal
        self._left = killed_at

    def _step(self, act: Callable[[], Any]) -> Any:
        """Being killed right before an act is being killed right after the one before."""
        if self._left == 0:
            raise Killed
        self._left -= 1
        return act()

    def get_run(self, run_id: str) -> KfpRun | None:
        found: KfpRun | None = self._step(lambda: self._kfp.get_run(run_id))
        return found

    def create_run(self, body: Mapping[str, Any]) -> KfpRun:
        found: KfpRun = self._step(lambda: self._kfp.create_run(body))
        return found

    def posted_at(self, run_id: RunId) -> Any:
        return self._step(lambda: self._journal.posted_at(run_id))

    def intend(self, run_id: RunId, at: Any, *, instead_of: Any) -> bool:
        found: bool = self._step(lambda: self._journal.intend(run_id, at, instead_of=instead_of))
        return found

    def withdraw(self, run_id: RunId) -> None:
        self._step(lambda: self._journal.withdraw(run_id))

    def confirm(self, run_id: RunId, run: KfpRun) -> None:
        self._step(lambda: self._journal.confirm(run_id, run))


def until_it_is_there(
    server: KfpServer, submission: Submission, kfp: KfpClient, journal: MemoryJournal, tries: int = 10
) -> KfpRun:
    """What a placer does: try at each tick."""
    for _ in range(tries):
        try:
            return submit(submission, kfp, journal, clock=lambda: server.clock.now)
        except (SubmissionUncertain, KfpUnavailable):
            server.faults.clear()
            server.turn(QUIET.total_seconds() / 3)
    raise AssertionError("it never got there")


def assert_exactly_one(server: KfpServer, submission: Submission, journal: MemoryJournal) -> None:
    assert len(server.workflows(submission.run_id)) == 1
    assert len(server.runs.workflows) == 1
    assert journal.confirmed[submission.run_id].run_id == submission.run_id
    assert journal.posted == {}


@pytest.mark.parametrize("step", range(5))
def test_killed_at_each_step_of_the_submission_there_is_exactly_one_run(
    server: KfpServer, kfp: KfpClient, journal: MemoryJournal, chain_ir: Document, step: int
) -> None:
    submission = a_submission(chain_ir)
    process = Steps(kfp, journal, killed_at=step)
    with pytest.raises(Killed):
        submit(submission, process, process, clock=lambda: server.clock.now)  # type: ignore[arg-type]
    until_it_is_there(server, submission, kfp, journal)
    assert_exactly_one(server, submission, journal)


def test_a_submission_that_nobody_disturbs_has_five_steps(
    server: KfpServer, kfp: KfpClient, journal: MemoryJournal, chain_ir: Document
) -> None:
    """So the test above kills at all of them."""
    submission = a_submission(chain_ir)
    process = Steps(kfp, journal, killed_at=5)
    submit(submission, process, process, clock=lambda: server.clock.now)  # type: ignore[arg-type]
    assert process._left == 0
    assert_exactly_one(server, submission, journal)


@pytest.mark.parametrize("fault", list(Fault))
def test_whatever_the_post_meets_there_is_exactly_one_run(
    server: KfpServer, kfp: KfpClient, journal: MemoryJournal, chain_ir: Document, fault: Fault
) -> None:
    submission = a_submission(chain_ir)
    server.faults.add(fault, method="POST")
    until_it_is_there(server, submission, kfp, journal)
    assert_exactly_one(server, submission, journal)


@pytest.mark.parametrize("fault", list(Fault))
def test_whatever_the_question_meets_there_is_exactly_one_run(
    server: KfpServer, kfp: KfpClient, journal: MemoryJournal, chain_ir: Document, fault: Fault
) -> None:
    submission = a_submission(chain_ir)
    server.faults.add(fault, method="GET", times=2)
    until_it_is_there(server, submission, kfp, journal)
    assert_exactly_one(server, submission, journal)


def test_a_post_that_takes_effect_long_after_its_time_out_is_not_posted_again(
    server: KfpServer, kfp: KfpClient, journal: MemoryJournal, chain_ir: Document
) -> None:
    submission = a_submission(chain_ir)
    server.faults.add(Fault.SLOW_BEFORE, method="POST")
    with pytest.raises(SubmissionUncertain):
        submit(submission, kfp, journal, clock=lambda: server.clock.now)
    server.turn(QUIET.total_seconds() - 1)
    with pytest.raises(SubmissionUncertain) as caught:
        submit(submission, kfp, journal, clock=lambda: server.clock.now)
    assert caught.value.until == server.clock.now + timedelta(seconds=1)
    assert [method for method, _ in server.requests].count("POST") == 1
    until_it_is_there(server, submission, kfp, journal)
    assert_exactly_one(server, submission, journal)


def test_a_server_that_is_down_costs_only_time(
    server: KfpServer, kfp: KfpClient, journal: MemoryJournal, chain_ir: Document
) -> None:
    submission = a_submission(chain_ir)
    server.down()
    with pytest.raises(KfpUnavailable) as caught:
        submit(submission, kfp, journal, clock=lambda: server.clock.now)
    assert not caught.value.uncertain
    server.up()
    submit(submission, kfp, journal, clock=lambda: server.clock.now)
    assert_exactly_one(server, submission, journal)


def test_a_second_submission_finds_the_first(
    server: KfpServer, kfp: KfpClient, journal: MemoryJournal, chain_ir: Document
) -> None:
    submission = a_submission(chain_ir)
    for _ in range(2):
        submit(submission, kfp, journal, clock=lambda: server.clock.now)
    server.restart()
    submit(submission, kfp, journal, clock=lambda: server.clock.now)
    assert_exactly_one(server, submission, journal)


def test_what_kfp_refuses_is_refused_with_its_words_and_leaves_nothing_open(
    server: KfpServer, kfp: KfpClient, journal: MemoryJournal, chain_ir: Document
) -> None:
    submission = a_submission(chain_ir, unknown=1)
    with pytest.raises(KfpRefused, match="parameter unknown is not in the pipeline's inputs"):
        submit(submission, kfp, journal, clock=lambda: server.clock.now)
    assert journal.posted == {}
    assert server.runs.workflows == []


class Overtaken(MemoryJournal):
    """Somebody else submits the run in the moment before this one writes its intent."""

    def __init__(self, shared: MemoryJournal, other: Callable[[], Any]) -> None:
        super().__init__(shared.posted, shared.confirmed)
        self._other: Callable[[], Any] | None = other

    def intend(self, run_id: RunId, at: Any, *, instead_of: Any) -> bool:
        if self._other is not None:
            other, self._other = self._other, None
            other()
        return super().intend(run_id, at, instead_of=instead_of)


@pytest.mark.parametrize("fault", [None, Fault.SLOW_BEFORE, Fault.CUT_AFTER])
def test_of_two_who_submit_at_once_one_posts(
    server: KfpServer, kfp: KfpClient, journal: MemoryJournal, chain_ir: Document, fault: Fault | None
) -> None:
    submission = a_submission(chain_ir)
    if fault is not None:
        server.faults.add(fault, method="POST")

    def other() -> None:
        with contextlib.suppress(SubmissionUncertain):
            submit(submission, kfp, journal, clock=lambda: server.clock.now)

    with pytest.raises(SubmissionUncertain):
        submit(submission, kfp, Overtaken(journal, other), clock=lambda: server.clock.now)
    assert [method for method, _ in server.requests].count("POST") == 1
    until_it_is_there(server, submission, kfp, journal)
    assert_exactly_one(server, submission, journal)


def test_without_the_protocol_a_second_post_makes_a_second_workflow(
    server: KfpServer, kfp: KfpClient, chain_ir: Document
) -> None:
    """What all this is for."""
    submission = a_submission(chain_ir)
    kfp.create_run(body_of(submission))
    with pytest.raises(KfpUnavailable):
        kfp.create_run(body_of(submission))
    assert len(server.workflows(submission.run_id)) == 2
