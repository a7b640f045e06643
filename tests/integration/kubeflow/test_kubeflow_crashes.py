"""Whatever dies or fails to answer while a run is handed over: there is one KFP run in the end, never two, never none."""

import threading
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

import pytest

from nodewise.core.engine.kubeflow.client import KfpApi
from nodewise.core.engine.kubeflow.runs import KfpRun
from nodewise.core.model.ids import RunId
from nodewise.placer.kubeflow.journal import PostgresJournal
from tests.support.kfp_server.faults import Fault
from tests.support.kubeflow_services import QUIET, Services
from tests.support.placing import all_rows

Document = tuple[dict[str, Any], dict[str, Any]]


class Killed(BaseException):
    """The process ends here, and takes nothing with it but its transaction."""


class DyingJournal(PostgresJournal):
    """Dies where it is told to."""

    def __init__(self, services: Services, dies: str) -> None:
        super().__init__(services.engine, services.now)
        self._dies = dies

    def intend(self, run_id: RunId, at: Any, *, instead_of: Any) -> bool:
        if self._dies == "before the intent":
            raise Killed
        found = super().intend(run_id, at, instead_of=instead_of)
        if self._dies == "before the post":
            raise Killed
        return found

    def confirm(self, run_id: RunId, run: KfpRun) -> None:
        if self._dies == "before our commit":
            raise Killed
        super().confirm(run_id, run)
        if self._dies == "after our commit":
            raise Killed


class DyingKfp:
    """Dies when the post has had its effect, before its answer is heard."""

    def __init__(self, kfp: KfpApi) -> None:
        self._kfp = kfp

    def __getattr__(self, name: str) -> Any:
        return getattr(self._kfp, name)

    def create_run(self, body: Mapping[str, Any]) -> KfpRun:
        self._kfp.create_run(body)
        raise Killed


CRASHES: Mapping[str, Callable[[Services], Any]] = {
    "before the intent": lambda s: s.make_submitter(journal=DyingJournal(s, "before the intent")),
    "before the post": lambda s: s.make_submitter(journal=DyingJournal(s, "before the post")),
    "after the post": lambda s: s.make_submitter(kfp=DyingKfp(s.kfp)),
    "before our commit": lambda s: s.make_submitter(journal=DyingJournal(s, "before our commit")),
    "after our commit": lambda s: s.make_submitter(journal=DyingJournal(s, "after our commit")),
}


def try_until_confirmed(services: Services, run_id: RunId) -> None:
    """What the placers that are left do, at each tick."""
    for _ in range(40):
        services.submitter.look()
        if services.submission(run_id)["confirmed_at"] is not None:
            return
        services.server.turn(5)
    raise AssertionError(f"never submitted: {services.submission(run_id)}")


@pytest.mark.parametrize("crash", CRASHES)
def test_a_placer_that_is_killed_leaves_exactly_one_kfp_run(
    services: Services, chain_ir: Document, crash: str
) -> None:
    services.submitter = CRASHES[crash](services)
    run_id = services.submit(chain_ir)
    with pytest.raises(Killed):
        services.hand_over()
    services.submitter = services.make_submitter()
    try_until_confirmed(services, run_id)
    assert len(services.server.workflows(run_id)) == 1
    services.server.settle()
    services.follower.look()
    assert services.run(run_id) == ("SUCCEEDED", None)


def test_a_placer_that_is_killed_while_it_binds_leaves_the_run_to_the_next(
    services: Services, chain_ir: Document, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = services.submit(chain_ir)
    services.watch.look()
    services.scheduler.look()

    def die(*_: object, **__: object) -> None:
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr("nodewise.core.db.queries.kubeflow.insert_submission", die)
        with pytest.raises(Killed):
            services.placer.look()
    assert services.tasks(run_id) == {"double": "ADMITTED", "double-2": "WAITING"}
    assert all_rows(services.engine, "SELECT count(*) FROM bookings") == [(0,)]
    services.make_placer("placer-2").look()
    services.submitter.look()
    assert len(services.server.workflows(run_id)) == 1


@pytest.mark.parametrize(
    "fault",
    [
        Fault.ERROR_BEFORE,
        Fault.ERROR_AFTER,
        Fault.CUT_BEFORE,
        Fault.CUT_AFTER,
        Fault.SLOW_AFTER,
        Fault.GARBAGE,
    ],
)
def test_a_post_whose_answer_is_lost_is_not_repeated(
    services: Services, chain_ir: Document, fault: Fault
) -> None:
    services.server.faults.add(fault, method="POST", part="/runs")
    run_id = services.submit(chain_ir)
    services.hand_over()
    try_until_confirmed(services, run_id)
    assert len(services.server.workflows(run_id)) == 1


def test_what_may_be_on_its_way_is_not_posted_again_before_its_time(
    services: Services, chain_ir: Document
) -> None:
    services.submitter = CRASHES["before the post"](services)
    run_id = services.submit(chain_ir)
    with pytest.raises(Killed):
        services.hand_over()
    services.submitter = services.make_submitter()
    services.server.turn(QUIET.total_seconds() - 5)
    services.submitter.look()
    assert services.server.workflows(run_id) == []
    services.server.turn(10)
    services.submitter.look()
    assert len(services.server.workflows(run_id)) == 1


def test_a_kfp_that_is_down_leaves_the_run_waiting_with_its_reason(
    services: Services, chain_ir: Document
) -> None:
    services.watch.look()
    run_id = services.submit(chain_ir)
    services.scheduler.look()
    services.placer.look()
    services.server.down()
    for _ in range(3):
        services.submitter.look()
        services.follower.look()
        services.server.clock.now += timedelta(seconds=10)
    assert services.run(run_id) == ("PENDING", None)
    code, text = services.reasons(run_id)["double"]
    assert (code, text) == ("kfp_unavailable", "KFP does not answer: no connection")
    assert services.submission(run_id)["tries"] == 3
    services.server.up()
    services.server.clock.now += timedelta(seconds=60)
    services.submitter.look()
    assert services.reasons(run_id)["double"][0] == "placed"
    services.server.settle()
    services.follower.look()
    assert services.run(run_id) == ("SUCCEEDED", None)


def test_what_waits_for_kfp_is_tried_more_and_more_seldom(services: Services, chain_ir: Document) -> None:
    services.watch.look()
    run_id = services.submit(chain_ir)
    services.scheduler.look()
    services.placer.look()
    services.server.down()
    pauses = []
    for _ in range(8):
        services.submitter.look()
        due = services.submission(run_id)["try_at"]
        pauses.append((due - services.now()).total_seconds())
        services.server.clock.now = due
    assert pauses == [1, 2, 4, 8, 16, 32, 60, 60]


def test_a_run_that_kfp_refuses_fails_with_kfps_words(services: Services, chain_ir: Document) -> None:
    ir, _ = chain_ir
    odd = {"kubernetes": {"deploymentSpec": {"executors": {"exec-double": {"sidecar": {}}}}}}
    run_id = services.submit((ir, odd))
    services.hand_over()
    assert services.woken[-1] == "recorder"
    services.follower.look()
    state, error = services.run(run_id)
    assert state == "FAILED"
    assert "Kubeflow Pipelines refused POST" in error
    assert 'unknown field "sidecar" of executor exec-double' in error
    assert set(services.tasks(run_id).values()) == {"SKIPPED"}
    assert {code for code, _ in services.reasons(run_id).values()} == {"kfp_refused"}
    assert all_rows(services.engine, "SELECT count(*) FROM bookings WHERE released_at IS NULL") == [(0,)]


def test_a_kfp_that_does_not_let_us_in_is_the_operators_concern_not_the_runs(
    services: Services, chain_ir: Document
) -> None:
    services.server.token = "secret"
    services.watch.source = services.source
    run_id = services.submit(chain_ir)
    services.server.token = None
    services.watch.look()
    services.scheduler.look()
    services.placer.look()
    services.server.token = "secret"
    services.submitter.look()
    services.follower.look()
    assert services.run(run_id) == ("PENDING", None)
    assert services.reasons(run_id)["double"][0] == "kfp_unauthorized"
    services.server.token = None
    services.server.turn(60)
    services.submitter.look()
    assert services.submission(run_id)["confirmed_at"] is not None


def test_two_submitters_at_once_make_one_run(services: Services, chain_ir: Document) -> None:
    runs = [services.submit(chain_ir) for _ in range(4)]
    services.watch.look()
    services.scheduler.look()
    services.placer.look()
    others = [services.make_submitter() for _ in range(3)]
    together([services.submitter, *others])
    for run_id in runs:
        try_until_confirmed(services, run_id)
        assert len(services.server.workflows(run_id)) == 1


def test_two_placers_at_once_bind_each_run_once(services: Services, chain_ir: Document) -> None:
    runs = [services.submit(chain_ir) for _ in range(12)]
    services.watch.look()
    services.scheduler.look()
    together([services.make_placer(f"placer-{number}") for number in range(3)])
    # Who lost a race for the last room went back to the queue.
    services.scheduler.look()
    services.placer.look()
    bound = all_rows(services.engine, "SELECT count(*), count(DISTINCT run_id) FROM attempts")
    placed = [run_id for run_id in runs if services.tasks(run_id)["double"] == "PLACED"]
    assert bound == [(2 * len(placed), len(placed))]
    assert len(placed) >= 8, "as many as the two nodes have room for"


def together(looking: list[Any]) -> None:
    """All look at the same time."""
    failures: list[BaseException] = []

    def look(one: Any) -> None:
        try:
            one.look()
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=look, args=(one,)) for one in looking]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
