"""When a carrier's heartbeats are sent, and what happens when they cannot be."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import redis
from celery import Celery

from nodewise.carrier.pulse import NodeState, Pulse
from nodewise.core.model.ids import NodeName
from nodewise.core.model.node import Node
from nodewise.core.model.resources import Resources
from tests.support.waiting import wait_until

NAMES = [NodeName(f"n{number}") for number in range(5)]


class Broker(Celery):
    """Notes whose heartbeats are tried. `fault` says what goes wrong with a node's."""

    def __init__(self, fault: Callable[[str], Exception | None]) -> None:
        super().__init__("test", set_as_current=False)
        self.tried: list[str] = []
        self._fault = fault

    def send_task(self, name: str, args: list[dict[str, dict[str, str]]], **options: object) -> None:  # type: ignore[override]
        self.tried.append(args[0]["node"]["name"])
        if (fault := self._fault(self.tried[-1])) is not None:
            raise fault


@contextmanager
def beating(broker: Broker) -> Iterator[None]:
    pulse = Pulse(broker, boot_id="b", every_seconds=3600)
    capacity = Resources(millicores=1000, memory_mib=1000)
    pulse.publish(
        {
            name: NodeState(node=Node(name=name, node_class="big", capacity=capacity), usable=True)  # type: ignore[arg-type]
            for name in NAMES
        }
    )
    pulse.start()
    try:
        yield
    finally:
        pulse.stop()


def test_every_node_is_told_of() -> None:
    broker = Broker(lambda node: None)
    with beating(broker):
        wait_until(lambda: len(broker.tried) == len(NAMES), 10, "a heartbeat of each")
    assert broker.tried == NAMES


def test_a_broker_that_is_away_is_asked_once_a_round() -> None:
    broker = Broker(lambda node: redis.ConnectionError("away"))
    with beating(broker):
        wait_until(lambda: len(broker.tried) >= 2, 10, "another round")
    assert set(broker.tried) == {NAMES[0]}


def test_a_heartbeat_that_cannot_be_sent_holds_up_no_other() -> None:
    broker = Broker(lambda node: ValueError("no JSON") if node == NAMES[0] else None)
    with beating(broker):
        wait_until(lambda: len(broker.tried) >= len(NAMES), 10, "a heartbeat of each")
    assert broker.tried[: len(NAMES)] == NAMES
