from collections.abc import Sequence
from datetime import datetime, timedelta

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.exc import IntegrityError

from nodewise.core import plugins
from nodewise.core.codec import encode
from nodewise.core.db.engine import transaction
from nodewise.core.lifecycle import TaskState
from nodewise.core.model.artifact import TaskOutputs
from nodewise.core.model.decision import Decision, Placement
from nodewise.core.model.node import Cluster
from nodewise.core.model.resources import Resources
from nodewise.core.model.task import DatasetFacts, TaskSpec, WaitingTask
from nodewise.core.model.trace import traceparent_of
from nodewise.core.ports import PlacementContext
from nodewise.core.settings import Settings
from nodewise.placer.service import LOST_RACES
from tests.support.placing import (
    DRIFT,
    RecordingCarrier,
    Turned,
    add_nodes,
    all_rows,
    finish_placed,
    make_placer,
    submit,
    wall_clock,
)
from tests.support.rows import NOW

STATES = "SELECT path, state, reason_code FROM tasks ORDER BY path"
BOOKED = "SELECT node, booked_millicores, running_tasks FROM node_loads ORDER BY node"
HALF = Resources(millicores=500, memory_mib=10)
ADMITTED = TaskState.ADMITTED
GIVEN = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


class Meddling:
    """Places like greedy, but the chosen node is gone small before it can be booked, so many times."""

    name = "greedy"
    summary = "Loses races."

    def __init__(self, engine: Engine, *, times: int) -> None:
        self._engine = engine
        self.left = times
        self.asked = 0

    def place(
        self, tasks: Sequence[WaitingTask], cluster: Cluster, context: PlacementContext
    ) -> Sequence[Decision]:
        self.asked += 1
        decisions = plugins.strategy("greedy").place(tasks, cluster, context)
        if self.left and isinstance(decisions[0], Placement):
            self.left -= 1
            resize(self._engine, decisions[0].node, 100)
        return decisions


def resize(engine: Engine, node: str, millicores: int) -> None:
    with transaction(engine) as connection:
        connection.execute(
            text("UPDATE node_loads SET capacity_millicores = :size WHERE node = :node"),
            {"size": millicores, "node": node},
        )


def test_a_placed_task_has_an_attempt_a_booking_a_reason_and_its_candidates(
    engine: Engine, settings: Settings
) -> None:
    add_nodes(engine, n1=1, n2=2)
    with transaction(engine) as connection:
        submit(connection, "a", state=ADMITTED, resources=HALF)
    carrier = RecordingCarrier()
    make_placer(engine, settings, name="placer-7", carrier=carrier).look()
    assert all_rows(engine, STATES) == [("a", "PLACED", "placed")]
    [attempt] = all_rows(
        engine,
        "SELECT attempt, node, state, policy, strategy, placer, reason, job_uri, dispatched_at IS NOT NULL,"
        " jsonb_array_length(candidates), lease_until - placed_at FROM attempts",
    )
    assert attempt[:6] == (1, "n2", "PLACED", "fifo", "greedy", "placer-7")
    assert "least loaded" in str(attempt[6])
    assert attempt[7:10] == (f"store://file/{carrier.started[0][1].key}", True, 2)
    assert attempt[10] == timedelta(seconds=settings.lease_seconds)
    assert all_rows(engine, BOOKED) == [("n1", 0, 0), ("n2", 500, 1)]
    assert all_rows(engine, "SELECT node, millicores, memory_mib, released_at FROM bookings") == [
        ("n2", 500, 10, None)
    ]
    assert all_rows(engine, "SELECT event, node, attempt FROM events") == [("place", "n2", 1)]


def test_of_many_nodes_some_are_stored_and_the_rest_counted_by_what_kept_them_out(
    engine: Engine, settings: Settings
) -> None:
    add_nodes(
        engine, few=2, **{f"small{n:02}": 0.2 for n in range(30)}, **{f"room{n:02}": 1 for n in range(40)}
    )
    with transaction(engine) as connection:
        submit(connection, "a", state=ADMITTED, resources=HALF)
    make_placer(engine, settings).look()
    stored = "SELECT node, jsonb_array_length(candidates), more_candidates FROM attempts"
    assert all_rows(engine, stored) == [("few", 50, {"cpu_too_small": 21})]
    add_nodes(engine, **{f"more{n:02}": 1 for n in range(20)})
    with transaction(engine) as connection:
        submit(connection, "b", state=ADMITTED, resources=HALF)
    make_placer(engine, settings).look()
    last = f"{stored} ORDER BY placed_at DESC LIMIT 1"
    assert all_rows(engine, last) == [("more00", 50, {"has_room": 11, "cpu_too_small": 30})]


def test_a_second_look_changes_nothing(engine: Engine, settings: Settings) -> None:
    add_nodes(engine, n1=2)
    with transaction(engine) as connection:
        submit(connection, "a", "b", state=ADMITTED, resources=HALF)
    carrier = RecordingCarrier()
    placer = make_placer(engine, settings, carrier=carrier)
    placer.look()
    before = all_rows(
        engine, "SELECT path, xmin::text FROM tasks UNION SELECT path, xmin::text FROM attempts"
    )
    placer.look()
    make_placer(engine, settings, name="placer-2", carrier=carrier).look()
    after = all_rows(engine, "SELECT path, xmin::text FROM tasks UNION SELECT path, xmin::text FROM attempts")
    assert sorted(after) == sorted(before)  # type: ignore[type-var]
    assert len(carrier.started) == 2
    assert carrier.resent == []


def test_more_than_one_batch_is_placed_in_one_look(engine: Engine, settings: Settings) -> None:
    add_nodes(engine, n1=4)
    with transaction(engine) as connection:
        submit(connection, *"abcdefg", state=ADMITTED, resources=HALF)
    small = settings.model_copy(update={"placement_batch": 2})
    make_placer(engine, small).look()
    assert all_rows(engine, BOOKED) == [("n1", 3500, 7)]


def test_what_finds_no_room_goes_back_with_a_reason(engine: Engine, settings: Settings) -> None:
    add_nodes(engine, n1=1)
    with transaction(engine) as connection:
        submit(connection, "a", "b", "c", state=ADMITTED, resources=HALF)
    make_placer(engine, settings).look()
    assert all_rows(engine, STATES) == [
        ("a", "PLACED", "placed"),
        ("b", "PLACED", "placed"),
        ("c", "READY", "no_room"),
    ]
    assert all_rows(engine, "SELECT position, not_before FROM tasks WHERE path = 'c'") == [(None, None)]


def test_an_unknown_strategy_rests_and_blocks_nobody(engine: Engine, settings: Settings) -> None:
    add_nodes(engine, n1=1)
    with transaction(engine) as connection:
        submit(connection, "a", state=ADMITTED, resources=HALF, strategy="psychic")
        submit(connection, "b", state=ADMITTED, resources=HALF)
    make_placer(engine, settings).look()
    assert all_rows(engine, STATES) == [("a", "READY", "unknown_strategy"), ("b", "PLACED", "placed")]
    assert all_rows(engine, "SELECT not_before > now() FROM tasks WHERE path = 'a'") == [(True,)]


def test_a_job_that_cannot_be_built_fails_with_what_is_wrong_and_blocks_nobody(
    engine: Engine, settings: Settings
) -> None:
    add_nodes(engine, n1=2)
    with transaction(engine) as connection:
        broken = submit(connection, "a", state=ADMITTED, resources=HALF)
        connection.execute(
            text("UPDATE pipeline_specs SET ir = '{}' WHERE digest = :digest"), {"digest": f"digest-{broken}"}
        )
        submit(connection, "b", state=ADMITTED, resources=HALF)
        renamed = submit(connection, "c", state=ADMITTED, resources=HALF)
        connection.execute(text("UPDATE tasks SET path = 'd' WHERE run_id = :id"), {"id": renamed})
    make_placer(engine, settings).look()
    assert all_rows(engine, STATES) == [
        ("a", "FAILED", "job_not_built"),
        ("b", "PLACED", "placed"),
        ("d", "FAILED", "job_not_built"),
    ]
    [[first], [second]] = all_rows(
        engine, "SELECT reason FROM tasks WHERE reason_code = 'job_not_built' ORDER BY path"
    )
    assert "its pipeline cannot be read" in str(first)
    assert "no task 'd'" in str(second)
    assert all_rows(engine, BOOKED) == [("n1", 500, 1)]


def test_a_lost_race_is_tried_again_at_once_on_a_fresh_snapshot(engine: Engine, settings: Settings) -> None:
    add_nodes(engine, n1=1, n2=2)
    with transaction(engine) as connection:
        submit(connection, "a", state=ADMITTED, resources=HALF)
    strategy = Meddling(engine, times=1)
    make_placer(engine, settings, strategies={"greedy": strategy}).look()
    assert strategy.asked == 2
    assert all_rows(engine, "SELECT attempt, node FROM attempts") == [(1, "n1")]
    assert all_rows(engine, "SELECT node FROM bookings") == [("n1",)]


def test_a_task_that_loses_every_race_goes_back_to_the_queue(engine: Engine, settings: Settings) -> None:
    add_nodes(engine, n1=0.5)
    with transaction(engine) as connection:
        submit(connection, "a", state=ADMITTED, resources=HALF)
    strategy = Meddling(engine, times=LOST_RACES + 3)

    def restoring() -> datetime:
        resize(engine, "n1", 500)
        return wall_clock()

    make_placer(engine, settings, strategies={"greedy": strategy}, clock=restoring).look()
    assert strategy.asked == LOST_RACES
    assert all_rows(engine, STATES) == [("a", "READY", "lost_race")]
    assert all_rows(engine, "SELECT attempt FROM tasks") == [(0,)]
    assert all_rows(engine, "SELECT count(*) FROM attempts") == [(0,)]


def test_runs_that_are_being_cancelled_are_not_placed(engine: Engine, settings: Settings) -> None:
    add_nodes(engine, n1=1)
    with transaction(engine) as connection:
        submit(connection, "a", state=ADMITTED, cancel_requested_at=NOW)
    make_placer(engine, settings).look()
    assert all_rows(engine, STATES) == [("a", "ADMITTED", None)]


def test_a_batch_held_by_another_placer_is_left_to_it(engine: Engine, settings: Settings) -> None:
    add_nodes(engine, n1=2)
    with transaction(engine) as connection:
        submit(connection, "a", "b", state=ADMITTED, resources=HALF)
    with transaction(engine) as other:
        other.execute(text("SELECT FROM tasks WHERE path = 'a' FOR UPDATE"))
        make_placer(engine, settings).look()
    assert [row[1] for row in all_rows(engine, STATES)] == ["ADMITTED", "PLACED"]


def test_a_job_has_the_outputs_of_its_upstream_and_the_registered_data_set(
    engine: Engine, settings: Settings
) -> None:
    add_nodes(engine, n1=2)
    facts = DatasetFacts(name="wine", samples=10, features=2)
    spec = TaskSpec(path="b", component="b", dataset=facts, upstream=("a",), resources=HALF)  # type: ignore[arg-type]
    with transaction(engine) as connection:
        run_id = submit(connection, "b", state=ADMITTED, task={"spec": encode(spec)}, traceparent=GIVEN)
        submit(connection, "a", state=TaskState.SUCCEEDED, task={"outputs": encode(TaskOutputs())})
        connection.execute(
            text(
                "INSERT INTO datasets (name, uri, kind, size_bytes, types, created_at, updated_at)"
                " VALUES ('wine', 'store://file/w', 'tabular', 9, '{}', :now, :now)"
            ),
            {"now": NOW},
        )
    carrier = RecordingCarrier()
    make_placer(engine, settings, carrier=carrier).look()
    [(node, job)] = carrier.started
    assert (node, job.key.run_id, job.key.path) == ("n1", run_id, "b")
    assert job.dataset_uri == "store://file/w"
    assert job.resources == HALF
    assert job.traceparent == traceparent_of(job.key, GIVEN)


def test_an_attempt_that_no_agent_accepts_is_sent_again_by_any_placer(
    engine: Engine, settings: Settings
) -> None:
    add_nodes(engine, n1=2)
    clock = Turned()
    with transaction(engine) as connection:
        submit(connection, "a", state=ADMITTED, resources=HALF)
    make_placer(engine, settings, clock=clock).look()
    carrier = RecordingCarrier()
    other = make_placer(engine, settings, name="placer-2", carrier=carrier, clock=clock)
    clock.forward(2)
    other.look()
    assert carrier.resent == []
    clock.forward(2)
    other.look()
    other.look()
    assert [(node, key.path) for node, key in carrier.resent] == [("n1", "a")]


def test_an_accepted_attempt_is_not_sent_again(engine: Engine, settings: Settings) -> None:
    add_nodes(engine, n1=2)
    clock = Turned()
    with transaction(engine) as connection:
        submit(connection, "a", state=ADMITTED, resources=HALF)
    carrier = RecordingCarrier()
    placer = make_placer(engine, settings, carrier=carrier, clock=clock)
    placer.look()
    with transaction(engine) as connection:
        connection.execute(text("UPDATE attempts SET accepted_at = :now"), {"now": clock()})
    clock.forward(5)
    placer.look()
    assert carrier.resent == []


def test_a_job_that_the_store_did_not_take_is_written_later(engine: Engine, settings: Settings) -> None:
    add_nodes(engine, n1=2)
    clock, carrier = Turned(), RecordingCarrier(broken=True)
    with transaction(engine) as connection:
        submit(connection, "a", state=ADMITTED, resources=HALF)
    placer = make_placer(engine, settings, carrier=carrier, clock=clock)
    placer.look()
    assert all_rows(engine, "SELECT state, job_uri, dispatched_at FROM attempts") == [("PLACED", None, None)]
    carrier.broken = False
    clock.forward(4)
    placer.look()
    assert [job.key.path for _, job in carrier.started] == ["a"]
    assert all_rows(engine, "SELECT job_uri IS NOT NULL FROM attempts") == [(True,)]


def test_the_schema_refuses_to_book_beyond_capacity(engine: Engine) -> None:
    add_nodes(engine, n1=1)
    with pytest.raises(IntegrityError, match="cpu_within_capacity"), transaction(engine) as connection:
        connection.execute(text("UPDATE node_loads SET booked_millicores = booked_millicores + 1001"))


def test_released_room_is_used_again(engine: Engine, settings: Settings) -> None:
    add_nodes(engine, n1=0.5)
    placer = make_placer(engine, settings)
    for path in "ab":
        with transaction(engine) as connection:
            submit(connection, path, state=ADMITTED, resources=HALF)
        placer.look()
        assert finish_placed(engine) == 1
    assert all_rows(engine, BOOKED) == [("n1", 0, 0)]
    assert all_rows(engine, DRIFT) == []
