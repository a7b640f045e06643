"""A cordoned node takes nothing new, whoever decides, and what runs there goes on."""

import threading
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

import pytest
from sqlalchemy import Engine, text

from nodewise.core import plugins
from nodewise.core.db.engine import transaction
from nodewise.core.db.queries.nodes import record_heartbeat, set_cordon
from nodewise.core.messages import Heartbeat
from nodewise.core.model.decision import Decision, Placement
from nodewise.core.model.ids import NodeName
from nodewise.core.model.node import Cluster, Node
from nodewise.core.model.resources import Resources
from nodewise.core.model.task import WaitingTask
from nodewise.core.ports import PlacementContext, Strategy
from nodewise.core.settings import Settings
from tests.support.placing import RecordingCarrier, add_nodes, all_rows, make_placer, make_scheduler, submit
from tests.support.waiting import wait_until

STATES = "SELECT path, state, reason_code FROM tasks ORDER BY path"
PLACES = "SELECT path, node FROM attempts ORDER BY path"
WAITS_FOR_A_LOCK = (
    "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
)
HALF = Resources(millicores=500, memory_mib=10)


def cordon(engine: Engine, name: str, *, on: bool = True) -> None:
    with transaction(engine) as connection:
        assert set_cordon(connection, NodeName(name), at=datetime.now(UTC) if on else None)


def admitted(engine: Engine, settings: Settings) -> None:
    """One task on its way to the only node."""
    add_nodes(engine, n1=4)
    with transaction(engine) as connection:
        submit(connection, "a", resources=HALF)
    make_scheduler(engine, settings).look()
    assert all_rows(engine, STATES) == [("a", "ADMITTED", "admitted")]


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
    admitted(engine, settings)
    cordon(engine, "n1")
    make_placer(engine, settings).look()
    assert all_rows(engine, STATES) == [("a", "READY", "no_room")]


class Cordoning:
    """Places like greedy, but the chosen node is cordoned before it can be booked."""

    name = "greedy"
    summary = "Loses to an operator."

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def place(
        self, tasks: Sequence[WaitingTask], cluster: Cluster, context: PlacementContext
    ) -> Sequence[Decision]:
        decisions = plugins.strategy("greedy").place(tasks, cluster, context)
        for decision in decisions:
            if isinstance(decision, Placement):
                cordon(self._engine, decision.node)
        return decisions


def test_a_placement_that_was_decided_before_the_cordon_books_nothing_after_it(
    engine: Engine, settings: Settings
) -> None:
    admitted(engine, settings)
    strategies: Mapping[str, Strategy] = {"greedy": Cordoning(engine)}
    make_placer(engine, settings, strategies=strategies).look()
    assert all_rows(engine, STATES) == [("a", "READY", "no_room")]
    assert all_rows(engine, "SELECT running_tasks FROM node_loads") == [(0,)]


def test_a_cordon_waits_for_who_is_booking_and_then_sees_what_is_booked(
    engine: Engine, settings: Settings
) -> None:
    add_nodes(engine, n1=4)
    seen: list[int] = []

    def cordoned() -> None:
        with transaction(engine) as connection:
            set_cordon(connection, NodeName("n1"), at=datetime.now(UTC))
            seen.extend(connection.scalars(text("SELECT running_tasks FROM node_loads")))

    with transaction(engine) as connection:
        connection.execute(text("SELECT FROM node_loads FOR UPDATE"))
        thread = threading.Thread(target=cordoned, daemon=True)
        thread.start()
        wait_until(lambda: bool(all_rows(engine, WAITS_FOR_A_LOCK)[0][0]), 10, "the cordon to wait")
        connection.execute(text("UPDATE node_loads SET running_tasks = 1"))
    thread.join(10)
    assert seen == [1]


def test_a_task_that_fits_nowhere_is_told_so_whatever_is_cordoned(engine: Engine, settings: Settings) -> None:
    add_nodes(engine, n1=1, n2=1)
    cordon(engine, "n1")
    with transaction(engine) as connection:
        submit(connection, "huge", resources=Resources(millicores=64_000, memory_mib=10))
    make_scheduler(engine, settings).look()
    assert all_rows(engine, STATES) == [("huge", "READY", "unsatisfiable")]


def test_a_heartbeat_does_not_end_a_cordon(engine: Engine) -> None:
    add_nodes(engine, n1=4)
    cordon(engine, "n1")
    now = datetime.now(UTC)
    node = Node(name=NodeName("n1"), capacity=Resources(millicores=4000, memory_mib=100))
    with transaction(engine) as connection:
        heard = Heartbeat(node=node, boot_id="another", sequence=1, sent_at=now)
        assert record_heartbeat(connection, heard, now=now)
    assert all_rows(engine, "SELECT state, cordoned_at IS NOT NULL FROM nodes") == [("READY", True)]
