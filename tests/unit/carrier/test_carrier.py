"""The carrier without a cluster: what it does with messages that come late, or twice."""

from collections.abc import Iterable
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any, cast

import pytest

from nodewise.carrier.carrier import Carrier, Surroundings
from nodewise.carrier.events import Inbox, Told
from nodewise.carrier.making import NotMade
from nodewise.core.messages import CancelJobs, ForgetJobs, JobRef, StartJobs
from nodewise.core.model.decision import ReasonCode
from nodewise.core.model.ids import AttemptKey, NodeName, RunId, TaskPath
from nodewise.core.settings import Settings

NOW = datetime(2026, 1, 1, tzinfo=UTC)
NODE = NodeName("n1")
KEY = AttemptKey(run_id=RunId("8b0d7a52-3c4d-4d5c-9f52-6f2d1a0b9e11"), path=TaskPath("a"), attempt=1)
START = StartJobs(jobs=(JobRef(key=KEY, job_uri="store://job", dispatched_at=NOW),))
CANCEL, FORGET = CancelJobs(keys=(KEY,)), ForgetJobs(keys=(KEY,))


class World:
    """A cluster without pods, in which no Job can be made; `busy` are the nodes that the carrier has something on."""

    def __init__(self) -> None:
        self.busy: set[NodeName] = set()
        self.inbox = Inbox()
        nothing = SimpleNamespace(
            pods=lambda selector: (), jobs=lambda selector: (), delete_job=lambda name: None,
            due=lambda now: True, look=lambda now: None, rooms={}, forget_vanished=self._forget_vanished,
            make=self._make, follow=lambda running: None,
        )  # fmt: skip
        parts = dict.fromkeys(("api", "cluster", "maker", "leavings", "logs"), cast("Any", nothing))
        self.carrier = Carrier(
            Surroundings(
                inbox=self.inbox, publish=lambda states: None, hold=frozenset, clock=lambda: NOW,
                settings=Settings(), id="cluster", **parts,
            )
        )  # fmt: skip

    def _forget_vanished(self, busy: Iterable[NodeName], now: datetime) -> None:
        self.busy = set(busy)

    def _make(self, attempt: object, node: object) -> None:
        raise NotMade(ReasonCode.AGENT_ERROR, "there is no room")

    def tell(self, *messages: StartJobs | CancelJobs | ForgetJobs) -> set[NodeName]:
        """The nodes that are busy when all this has been heard."""
        for message in messages:
            self.inbox.put(Told(node=NODE, message=message))
        self.carrier.look()
        self.carrier.look()
        return self.busy


def test_an_attempt_keeps_its_node_busy_until_its_end_is_on_record() -> None:
    world = World()
    assert world.tell(START) == {NODE}
    assert world.tell(FORGET) == set()


@pytest.mark.parametrize("late", [START, CANCEL, FORGET])
def test_a_message_that_comes_once_more_leaves_nothing_behind(
    late: StartJobs | CancelJobs | ForgetJobs,
) -> None:
    world = World()
    world.tell(START)
    world.tell(FORGET)
    assert world.tell(late) == set()


def test_an_end_of_what_was_never_started_here_is_told_until_it_is_on_record() -> None:
    world = World()
    assert world.tell(CANCEL) == {NODE}
    assert world.tell(FORGET) == set()
