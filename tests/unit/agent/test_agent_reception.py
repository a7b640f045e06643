"""What an agent heeds: messages from its cluster, for its node, that were signed just now."""

from datetime import UTC, datetime, timedelta

import pytest
from structlog.testing import capture_logs

from nodewise.agent import reception as receiving
from nodewise.agent.reception import Reception
from nodewise.core.messages import CANCEL_JOBS, START_JOBS, CancelJobs, NotHeard, StartJobs
from nodewise.core.model.ids import AttemptKey, NodeName, RunId, TaskPath
from nodewise.core.nodekeys import ClusterSecret
from nodewise.core.sealing import (
    Refusal,
    open_unchecked,
    opener_of_agent,
    opener_of_carrier,
    seal_of_cluster,
    unsealed,
)

SECRET = ClusterSecret(raw=b"s" * 40)
NOW = datetime(2030, 1, 1, tzinfo=UTC)
N1, N2 = NodeName("n1"), NodeName("n2")
CANCEL = CancelJobs(keys=(AttemptKey(run_id=RunId("r"), path=TaskPath("p"), attempt=1),))


class Clock:
    seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def reception(clock: Clock) -> Reception:
    return Reception(opener_of_agent(SECRET.node_key(N1), lambda: NOW, timedelta(minutes=1)), clock)


def signed(node: NodeName = N1, at: datetime = NOW, secret: ClusterSecret = SECRET) -> object:
    return seal_of_cluster(secret, lambda: at)(CANCEL_JOBS, node, CANCEL)


def test_what_the_cluster_signed_for_this_node_is_heeded(reception: Reception) -> None:
    assert reception.read(CANCEL_JOBS, CancelJobs, signed(), node=N1) == CANCEL


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (unsealed(CANCEL_JOBS, N1, CANCEL), "unsigned"),
        (signed(secret=ClusterSecret(raw=b"t" * 40)), "signature"),
        (signed(node=N2), "signature"),
        (signed(at=NOW - timedelta(minutes=2)), "clock"),
    ],
)
def test_anything_else_is_not_and_the_log_says_why_without_its_content(
    reception: Reception, payload: object, reason: str
) -> None:
    with capture_logs() as logs:
        assert reception.read(CANCEL_JOBS, CancelJobs, payload, node=N1) is None
        assert reception.read(CANCEL_JOBS, CancelJobs, payload, node=N1) is None
    (line,) = logs
    assert (line["log_level"], line["reason"], line["kind"]) == ("warning", reason, "CancelJobs")
    assert "keys" not in str(line)


def test_a_cancellation_is_not_taken_for_a_start(reception: Reception) -> None:
    assert reception.read(START_JOBS, StartJobs, signed(), node=N1) is None


def test_a_message_in_the_queue_of_another_node_is_not_heeded() -> None:
    """A carrier has the keys of all its nodes; the one that is named must be the one that is asked."""
    opener = opener_of_carrier(SECRET.carrier_key(), lambda: NOW, timedelta(minutes=1))
    carrier = Reception(opener)
    assert carrier.read(CANCEL_JOBS, CancelJobs, signed(node=N2), node=N2) == CANCEL
    with capture_logs() as logs:
        assert carrier.read(CANCEL_JOBS, CancelJobs, signed(node=N2), node=N1) is None
    assert [line["reason"] for line in logs] == ["other_node"]


def test_what_does_not_parse_is_said(reception: Reception) -> None:
    payload = seal_of_cluster(SECRET, lambda: NOW)(START_JOBS, N1, CANCEL)
    with capture_logs() as logs:
        assert reception.read(START_JOBS, StartJobs, payload, node=N1) is None
    assert [line["event"] for line in logs] == ["a message does not parse"]


def test_without_keys_all_is_heeded() -> None:
    assert Reception(open_unchecked).read(CANCEL_JOBS, CancelJobs, signed(N2), node=N1) == CANCEL


@pytest.mark.parametrize("why", [*Refusal, "something of a later release"])
def test_a_node_that_is_refused_learns_it_once_a_minute_with_what_to_do(
    reception: Reception, clock: Clock, why: str
) -> None:
    with capture_logs() as logs:
        for _ in range(3):
            reception.not_heard(NotHeard(why=why).model_dump(mode="json"), node=N1)
        clock.seconds += receiving.EVERY_SECONDS
        reception.not_heard(NotHeard(why=why).model_dump(mode="json"), node=N1)
        reception.not_heard({"why": 7}, node=N1)
    assert [line["log_level"] for line in logs] == ["error", "error"]
    assert all(line["advice"] for line in logs)
    assert "later release" not in str(logs)
