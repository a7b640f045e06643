"""Capacity under several placers: whatever they do in whatever order, sums are true and nothing is overbooked.

Two placers have transactions open at the same time, so that decisions rest on snapshots that others have overtaken.
"""

import itertools

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import Connection, Engine, text

from nodewise.core.db.engine import transaction
from nodewise.core.db.queries.bookings import BookingRequest, book, release
from nodewise.core.db.queries.nodes import mark_silent_nodes_gone, record_heartbeat, set_capacity
from nodewise.core.messages import Heartbeat
from nodewise.core.model.ids import AttemptKey, NodeName, TaskPath
from nodewise.core.model.node import Node
from nodewise.core.model.resources import Resources
from tests.support.examples import examples
from tests.support.placing import DRIFT, wall_clock
from tests.support.rows import insert_attempt, insert_run, insert_task

NODES = tuple(NodeName(name) for name in ("n1", "n2", "n3"))
SIZES = st.sampled_from([0, 300, 1000, 2000])
AMOUNTS = st.sampled_from([100, 400, 700])

OVERBOOKED = """
SELECT node FROM node_loads WHERE booked_millicores > capacity_millicores OR booked_memory_mib > capacity_memory_mib
    OR booked_gpus > capacity_gpus OR booked_millicores < 0
"""


def _rows(engine: Engine, query: str) -> list[tuple[object, ...]]:
    with engine.connect() as connection:
        return [tuple(row) for row in connection.execute(text(query))]


class Capacity(RuleBasedStateMachine):
    """Rows as placers and the recorder leave them; `self.open` is the model: who holds what."""

    engine: Engine
    numbers = itertools.count()

    @initialize()
    def empty_record(self) -> None:
        with transaction(self.engine) as connection:
            connection.execute(text("TRUNCATE runs, nodes, pipeline_specs CASCADE"))
            self.run_id = insert_run(connection)
        self.open: dict[AttemptKey, BookingRequest] = {}
        self.closed: list[AttemptKey] = []
        self.sizes: dict[NodeName, int] = {}
        self.gone: set[NodeName] = set()
        self.sequence = itertools.count(1)
        for node in NODES:
            self.heartbeat(node, 1000)

    @rule(node=st.sampled_from(NODES), millicores=SIZES)
    def heartbeat(self, node: NodeName, millicores: int) -> None:
        """A node reports: it may shrink under its bookings, grow, or return."""
        capacity = Resources(millicores=millicores, memory_mib=1000)
        beat = Heartbeat(
            node=Node(name=node, capacity=capacity),
            boot_id="boot",
            sequence=next(self.sequence),
            sent_at=wall_clock(),
        )
        with transaction(self.engine) as connection:
            assert record_heartbeat(connection, beat, now=wall_clock())
            set_capacity(connection, beat)
        self.sizes[node] = max(millicores, self.booked(node))
        self.gone.discard(node)

    @rule()
    def all_nodes_fall_silent(self) -> None:
        with transaction(self.engine) as connection:
            mark_silent_nodes_gone(connection, before=wall_clock())
        self.gone = set(NODES)

    @rule(wanted=st.lists(st.tuples(st.sampled_from(NODES), AMOUNTS), min_size=1, max_size=4))
    def place(self, wanted: list[tuple[NodeName, int]]) -> None:
        with transaction(self.engine) as connection:
            requests = [self.request(connection, node, amount) for node, amount in wanted]
            booked = book(connection, requests)
            self.drop(connection, requests, booked)
        assert booked == self.expected(requests)
        self.open |= {request.key: request for request in requests if request.key in booked}

    @rule(wanted=st.lists(st.tuples(st.sampled_from(NODES), AMOUNTS), min_size=1, max_size=3))
    def place_and_die(self, wanted: list[tuple[NodeName, int]]) -> None:
        """A placer is killed before it commits: nothing of it stays."""
        with self.engine.connect() as connection:
            book(connection, [self.request(connection, node, amount) for node, amount in wanted])
            connection.rollback()

    @rule(node=st.sampled_from(NODES), first=AMOUNTS, second=AMOUNTS)
    def two_placers_want_the_same_node(self, node: NodeName, first: int, second: int) -> None:
        """Both decide on the same snapshot; the second one books after the first one's commit, unaware of it."""
        with self.engine.connect() as one, self.engine.connect() as two:
            mine, yours = self.request(one, node, first), self.request(two, node, second)
            for connection, request in ((one, mine), (two, yours)):
                expected = self.expected([request])
                assert book(connection, [request]) == expected
                self.drop(connection, [request], expected)
                connection.commit()
                self.open |= {request.key: request} if expected else {}

    @precondition(lambda self: self.open)
    @rule(data=st.data())
    def end(self, data: st.DataObject) -> None:
        keys = data.draw(st.lists(st.sampled_from(sorted(self.open)), min_size=1, unique=True))
        with transaction(self.engine) as connection:
            assert release(connection, keys, at=wall_clock()) == set(keys)
        for key in keys:
            del self.open[key]
        self.closed += keys

    @precondition(lambda self: self.closed)
    @rule(data=st.data())
    def end_again(self, data: st.DataObject) -> None:
        key = data.draw(st.sampled_from(self.closed))
        with transaction(self.engine) as connection:
            assert release(connection, [key], at=wall_clock()) == set()

    @invariant()
    def sums_are_those_of_the_open_bookings(self) -> None:
        assert _rows(self.engine, DRIFT) == []
        found = dict(_rows(self.engine, "SELECT node, booked_millicores FROM node_loads"))  # type: ignore[arg-type]
        assert found == {node: self.booked(node) for node in self.sizes}

    @invariant()
    def nothing_is_overbooked(self) -> None:
        assert _rows(self.engine, OVERBOOKED) == []
        found = dict(_rows(self.engine, "SELECT node, capacity_millicores FROM node_loads"))  # type: ignore[arg-type]
        assert found == self.sizes

    def booked(self, node: NodeName) -> int:
        return sum(held.resources.millicores for held in self.open.values() if held.node == node)

    def expected(self, requests: list[BookingRequest]) -> set[AttemptKey]:
        """Who gets room, by the model: in order, while it lasts, on nodes that are there."""
        granted: list[BookingRequest] = []
        for request in requests:
            before = self.booked(request.node) + sum(
                other.resources.millicores for other in granted if other.node == request.node
            )
            fits = before + request.resources.millicores <= self.sizes[request.node]
            if fits and request.node not in self.gone:
                granted.append(request)
        return {request.key for request in granted}

    def request(self, connection: Connection, node: NodeName, millicores: int) -> BookingRequest:
        path = TaskPath(f"t{next(self.numbers)}")
        insert_task(connection, self.run_id, path)
        insert_attempt(connection, self.run_id, path, node)
        return BookingRequest(
            key=AttemptKey(run_id=self.run_id, path=path, attempt=1),
            node=node,
            resources=Resources(millicores=millicores, memory_mib=1),
        )

    def drop(self, connection: Connection, requests: list[BookingRequest], kept: set[AttemptKey]) -> None:
        for request in requests:
            if request.key not in kept:
                connection.execute(
                    text("DELETE FROM attempts WHERE path = :path"), {"path": request.key.path}
                )


def test_capacity_under_several_placers(engine: Engine) -> None:
    class OnThisDatabase(Capacity):
        pass

    OnThisDatabase.engine = engine
    run_state_machine_as_test(
        OnThisDatabase,
        settings=settings(
            max_examples=examples(20),
            stateful_step_count=20,
            deadline=None,
            suppress_health_check=[HealthCheck.too_slow],
        ),
    )
