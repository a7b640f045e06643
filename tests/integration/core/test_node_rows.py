"""Rows of nodes, as heartbeats and other engines write them."""

from datetime import timedelta

from sqlalchemy import Engine, text

from nodewise.core.db.engine import transaction
from nodewise.core.db.queries.nodes import mark_silent_nodes_gone, record_heartbeat, set_capacity
from nodewise.core.db.queries.nodes_read import ready_nodes
from nodewise.core.messages import Heartbeat
from nodewise.core.model.ids import NodeName
from nodewise.core.model.node import Node
from nodewise.core.model.resources import Resources
from nodewise.core.model.selection import Taint
from tests.support.rows import NOW

SIZE = Resources(millicores=1000, memory_mib=1000)
TAINT = Taint(key="team", value="vision", effect="NoSchedule")


def hear(engine: Engine, node: Node, *, boot: str = "b", sequence: int = 1, leaving: bool = False) -> bool:
    beat = Heartbeat(node=node, boot_id=boot, sequence=sequence, sent_at=NOW, leaving=leaving)
    with transaction(engine) as connection:
        newest = record_heartbeat(connection, beat, now=NOW)
        if newest:
            set_capacity(connection, beat)
        return newest


def ready(engine: Engine) -> list[Node]:
    with transaction(engine) as connection:
        return [view.node for view in ready_nodes(connection)]


def a_node(engine: str, **rest: object) -> Node:
    return Node(name=NodeName("n1"), capacity=SIZE, engine=engine, **rest)  # type: ignore[arg-type]


def test_a_heartbeat_brings_the_taints_of_its_node(engine: Engine) -> None:
    node = a_node("kubernetes", taints=(TAINT,))
    assert hear(engine, node)
    assert ready(engine) == [node]
    assert hear(engine, a_node("kubernetes"), sequence=2)
    assert ready(engine) == [a_node("kubernetes")]


def test_no_heartbeat_takes_a_node_that_another_engine_uses(engine: Engine) -> None:
    agent, carried = a_node("agents"), a_node("kubernetes")
    assert hear(engine, agent, boot="agent")
    assert not hear(engine, carried, boot="carrier")
    assert ready(engine) == [agent]
    assert hear(engine, agent, boot="agent", sequence=2, leaving=True)
    assert hear(engine, carried, boot="carrier", sequence=2)
    assert ready(engine) == [carried]


def test_nodes_of_every_engine_that_reports_are_gone_when_they_are_silent_and_others_are_not(
    engine: Engine,
) -> None:
    for name, of in (("a", "agents"), ("b", "kubernetes"), ("c", "kubeflow")):
        hear(engine, Node(name=NodeName(name), capacity=SIZE, engine=of))
    with transaction(engine) as connection:
        gone = mark_silent_nodes_gone(connection, before=NOW + timedelta(seconds=1))
        assert sorted(gone) == ["a", "b"]
        assert connection.execute(text("SELECT name FROM nodes WHERE state = 'READY'")).scalars().all() == [
            "c"
        ]
