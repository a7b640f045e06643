"""A cordoned node takes nothing new, whoever decides, and what runs there goes on."""

from datetime import UTC, datetime

import pytest
from sqlalchemy import Engine

from nodewise.core.db.engine import transaction
from nodewise.core.db.queries.nodes import record_heartbeat, set_cordon
from nodewise.core.messages import Heartbeat
from nodewise.core.model.ids import NodeName
from nodewise.core.model.node import Node
from nodewise.core.model.resources import Resources
from nodewise.core.settings import Settings
from tests.support.placing import RecordingCarrier, add_nodes, all_rows, make_placer, make_scheduler, submit

STATES = "SELECT path, state, reason_code FROM tasks ORDER BY path"
PLACES = "SELECT path, node FROM attempts ORDER BY path"
HALF = Resources(millicores=500, memory_mib=10)


def cordon(engine: Engine, name: str, *, on: bool = True) -> None:
    with transaction(engine) as connection:
        assert set_cordon(connection, NodeName(name), at=datetime.now(UTC) if on else None)


def step(engine: Engine, settings: Settings) -> None:
    make_scheduler(engine, settings).look()
    make_placer(engine, settings, carrier=RecordingCarrier()).look()


@pytest.mark.parametrize("strategy", ["greedy", "round_robin", "portfolio"])
def test_new_tasks_go_elsewhere_or_wait_and_say_why(
    engine: Engine, settings: Settings, strategy: str
) -> None:
    add_nodes(engine, n1=4, n2=0.5)
    cordon(engine, "n1")
    with transaction(engine) as connection:
        submit(connection, "a", "b", resources=HALF, strategy=strategy)
        submit(connection, "large", resources=Resources(millicores=2000, memory_mib=10), strategy=strategy)
    step(engine, settings)
    [(_, node)] = all_rows(engine, PLACES)
    assert node == "n2"
    text = dict(all_rows(engine, "SELECT path, reason FROM tasks"))
    assert "n1: is cordoned: it takes nothing new" in text["large"]
    assert ("large", "READY", "no_room") in all_rows(engine, STATES)
    cordon(engine, "n1", on=False)
    step(engine, settings)
    assert dict(all_rows(engine, PLACES)) | {"large": "n1"} == dict(all_rows(engine, PLACES))
    assert len(all_rows(engine, PLACES)) == 3


def test_what_was_admitted_before_the_cordon_goes_back_to_the_queue(
    engine: Engine, settings: Settings
) -> None:
    add_nodes(engine, n1=4)
    with transaction(engine) as connection:
        submit(connection, "a", resources=HALF)
    make_scheduler(engine, settings).look()
    cordon(engine, "n1")
    make_placer(engine, settings).look()
    assert all_rows(engine, STATES) == [("a", "READY", "no_room")]


def test_a_heartbeat_does_not_end_a_cordon(engine: Engine) -> None:
    add_nodes(engine, n1=4)
    cordon(engine, "n1")
    now = datetime.now(UTC)
    node = Node(name=NodeName("n1"), capacity=Resources(millicores=4000, memory_mib=100))
    with transaction(engine) as connection:
        heard = Heartbeat(node=node, boot_id="another", sequence=1, sent_at=now)
        assert record_heartbeat(connection, heard, now=now)
    assert all_rows(engine, "SELECT state, cordoned_at IS NOT NULL FROM nodes") == [("READY", True)]
