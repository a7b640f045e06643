"""Which heartbeats are read, which of them are signs of life, and what is said of the others."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from prometheus_client import REGISTRY
from pydantic import ValidationError
from structlog.testing import capture_logs

from nodewise.core.messages import HEARTBEAT, Heartbeat, NotHeard
from nodewise.core.model.ids import AttemptKey, NodeName, RunId, TaskPath
from nodewise.core.model.node import Node
from nodewise.core.model.resources import Resources
from nodewise.core.nodekeys import ClusterSecret
from nodewise.core.sealing import (
    Refusal,
    open_unchecked,
    opener_of_cluster,
    seal_of_agent,
    seal_of_carrier,
    unsealed,
)
from nodewise.recorder import complaints as complaining
from nodewise.recorder.admission import Admission
from nodewise.recorder.complaints import Complaints
from nodewise.recorder.owners import Owners

SECRET = ClusterSecret(raw=b"s" * 40)
N1 = NodeName("n1")


class World:
    """An admission with a clock of its own, that remembers what it told to whom."""

    def __init__(self) -> None:
        self.now = datetime(2030, 1, 1, tzinfo=UTC)
        self.told: list[tuple[str, str]] = []
        self.complaints = Complaints(lambda node, why: self.told.append((node, why)), clock=self.seconds)
        opener = opener_of_cluster(SECRET, lambda: self.now, timedelta(minutes=1))
        self.admission = Admission(opener, self.complaints)

    def seconds(self) -> float:
        return self.now.timestamp()

    def beat(
        self, *, boot: str = "b1", node: str = "n1", engine: str = "agents", sequence: int = 1
    ) -> Heartbeat:
        size = Resources(millicores=1000, memory_mib=100)
        found = Node(name=NodeName(node), node_class="x", capacity=size, engine=engine)
        return Heartbeat(node=found, boot_id=boot, sequence=sequence, sent_at=self.now)

    def signed(self, heartbeat: Heartbeat, by: str = "n1") -> Any:
        seal = seal_of_agent(SECRET.node_key(NodeName(by)), lambda: self.now)
        return seal(HEARTBEAT, NodeName(by), heartbeat)

    def life(self, payload: object) -> bool | None:
        """Whether it is a sign of life; None: refused."""
        taken = self.admission.take(payload)
        return None if taken is None else taken[1]


@pytest.fixture
def world() -> World:
    return World()


def count(reason: Refusal) -> float:
    name = "nodewise_node_messages_refused_total"
    return REGISTRY.get_sample_value(name, {"reason": reason.value}) or 0.0


def test_a_signed_heartbeat_is_a_sign_of_life(world: World) -> None:
    assert world.life(world.signed(world.beat())) is True
    assert world.told == []


def test_an_unsigned_one_is_refused_counted_and_told(world: World) -> None:
    before = count(Refusal.UNSIGNED)
    assert world.life(unsealed(HEARTBEAT, N1, world.beat())) is None
    assert count(Refusal.UNSIGNED) == before + 1
    assert world.told == [("n1", "unsigned")]


def test_a_node_speaks_of_itself_only(world: World) -> None:
    """Signed well, with its own key and in its own name; but what it says is of another."""
    assert world.life(world.signed(world.beat(node="n2"), by="n1")) is None
    assert world.told == [("n1", "other_node")]


def test_an_agent_is_no_node_of_kubernetes_and_a_carrier_brings_no_node_of_agents(world: World) -> None:
    assert world.life(world.signed(world.beat(engine="kubernetes"))) is None
    seal = seal_of_carrier(SECRET.carrier_key(), lambda: world.now)
    assert world.life(seal(HEARTBEAT, N1, world.beat(engine="agents"))) is None
    assert world.life(seal(HEARTBEAT, N1, world.beat(engine="kubernetes"))) is True


def test_what_is_signed_but_no_heartbeat_is_invalid(world: World) -> None:
    seal = seal_of_agent(SECRET.node_key(N1), lambda: world.now)
    with pytest.raises(ValidationError):
        world.admission.take(seal(HEARTBEAT, N1, NotHeard(why="x")))


def test_one_that_is_sent_again_long_after_revives_nobody(world: World) -> None:
    payload = world.signed(world.beat())
    assert world.life(payload) is True
    world.now += timedelta(minutes=2)
    assert world.life(payload) is False
    assert world.told == [("n1", "clock")]


def test_one_of_an_earlier_start_that_is_sent_again_revives_nobody(world: World) -> None:
    earlier = world.signed(world.beat(boot="b1"))
    assert world.life(earlier) is True
    world.now += timedelta(seconds=5)
    assert world.life(world.signed(world.beat(boot="b2"))) is True
    world.now += timedelta(seconds=5)
    assert world.life(earlier) is False
    assert world.life(world.signed(world.beat(boot="b2", sequence=2))) is True


def test_within_one_start_their_numbers_tell_and_two_may_change_places(world: World) -> None:
    first = world.signed(world.beat(sequence=1))
    world.now += timedelta(seconds=1)
    assert world.life(world.signed(world.beat(sequence=2))) is True
    assert world.life(first) is True


def test_where_keys_are_not_wanted_all_is_taken(world: World) -> None:
    open_to_all = Admission(open_unchecked, world.complaints)
    for payload in (unsealed(HEARTBEAT, N1, world.beat()), world.signed(world.beat())):
        taken = open_to_all.take(payload)
        assert taken is not None
        assert taken[1] is True


def test_of_one_node_and_reason_is_said_once_a_minute_and_never_what_it_sent(world: World) -> None:
    with capture_logs() as logs:
        for _ in range(100):
            world.complaints.about("n1", Refusal.SIGNATURE)
            world.complaints.about("n2", Refusal.SIGNATURE)
        world.now += timedelta(seconds=complaining.EVERY_SECONDS)
        world.complaints.about("n1", Refusal.SIGNATURE)
    assert [(entry["node"], entry["reason"], entry["log_level"]) for entry in logs] == [
        ("n1", "signature", "warning"), ("n2", "signature", "warning"), ("n1", "signature", "warning"),
    ]  # fmt: skip
    assert len(world.told) == 3


@pytest.mark.parametrize("name", [None, "", "a b", "x\nlevel=error", "n" * 1000])
def test_what_cannot_be_a_name_gets_no_message_and_no_line_of_its_own(world: World, name: str | None) -> None:
    with capture_logs() as logs:
        world.complaints.about(name, Refusal.UNSIGNED)
    assert [entry["node"] for entry in logs] == ["?"]
    assert world.told == []


def test_many_names_take_no_memory(world: World) -> None:
    for number in range(5000):
        world.complaints.about(f"n{number}", Refusal.UNSIGNED)
    assert len(world.complaints._said) <= 1000


def test_owners_remember_where_attempts_are() -> None:
    owners = Owners()
    keys = [AttemptKey(run_id=RunId("r"), path=TaskPath("p"), attempt=number) for number in (1, 2)]
    assert owners.not_known_of(N1, keys) == keys
    owners.note(N1, keys[:1])
    assert owners.not_known_of(N1, keys) == keys[1:]
    assert owners.not_known_of(NodeName("n2"), keys) == keys
