"""When heartbeats are sent: many changes at once are one, and what can wait goes with what cannot."""

from collections.abc import Iterator
from typing import Any

import pytest
from celery import Celery

from nodewise.agent.heart import Heart
from nodewise.core.messaging.heartbeats import HeartbeatSender
from nodewise.core.model.node import Node
from nodewise.core.model.resources import Resources
from tests.support.waiting import wait_until

NEVER = 3600.0


class Broker(Celery):
    """Keeps what is sent; `faults` are raised first."""

    def __init__(self) -> None:
        super().__init__("test", set_as_current=False)
        self.sent: list[dict[str, Any]] = []
        self.faults: list[Exception] = []

    def send_task(self, name: str, args: Any = None, **options: Any) -> None:  # type: ignore[override]
        if self.faults:
            raise self.faults.pop()
        self.sent.append(args[0])

    def wait_for(self, count: int) -> None:
        wait_until(lambda: len(self.sent) >= count, 20, f"{count} heartbeats")


@pytest.fixture
def broker() -> Broker:
    return Broker()


@pytest.fixture
def heart(broker: Broker) -> Iterator[Heart]:
    node = Node(name="n1", node_class="big", capacity=Resources(millicores=1000, memory_mib=1000))  # type: ignore[arg-type]
    heart = Heart(
        HeartbeatSender(broker), node, boot_id="b", metrics_url=None, reports=tuple, every_seconds=NEVER
    )
    heart.start()
    broker.wait_for(1)
    yield heart
    heart.leave()


def test_the_first_comes_at_once_and_the_last_says_so(broker: Broker, heart: Heart) -> None:
    heart.leave()
    assert [beat["leaving"] for beat in broker.sent] == [False, True]
    assert [beat["sequence"] for beat in broker.sent] == [1, 2]


def test_what_can_wait_goes_with_what_cannot(broker: Broker, heart: Heart) -> None:
    heart.beat(within=NEVER)
    heart.beat(within=NEVER)
    heart.beat()
    broker.wait_for(2)
    heart.leave()
    assert [beat["leaving"] for beat in broker.sent] == [False, False, True]


def test_what_can_wait_a_moment_is_told_without_anything_else(broker: Broker, heart: Heart) -> None:
    heart.beat(within=0.01)
    broker.wait_for(2)


def test_what_could_not_be_sent_is_told_again(broker: Broker, heart: Heart) -> None:
    broker.faults = [OSError("the broker is away")]
    heart.beat()
    broker.wait_for(2)
    assert [beat["sequence"] for beat in broker.sent] == [1, 3]
