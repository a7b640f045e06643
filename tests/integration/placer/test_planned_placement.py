"""Carrying out plans on a real database: what is recorded, and what happens when a plan no longer holds."""

import json
from collections.abc import Sequence
from datetime import timedelta
from itertools import count
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, text

from nodewise.core import plugins
from nodewise.core.codec import encode
from nodewise.core.db.engine import create_database, transaction
from nodewise.core.db.queries.estimates import record_outcomes
from nodewise.core.db.queries.moves import TaskMove, move_tasks
from nodewise.core.estimates.learning import NodeFacts, Observation, Query
from nodewise.core.lifecycle import TaskEvent, TaskState
from nodewise.core.model.artifact import ArtifactRef, TaskOutputs
from nodewise.core.model.decision import Decision, Reason, ReasonCode
from nodewise.core.model.ids import NodeName, RunId, TaskPath, TaskRef
from nodewise.core.model.node import Cluster
from nodewise.core.model.resources import Resources
from nodewise.core.model.task import TaskSpec, WaitingTask
from nodewise.core.ports import PlacementContext
from nodewise.core.settings import Settings
from tests.support.placing import (
    DRIFT,
    MOST_BOOKED,
    RecordingCarrier,
    add_nodes,
    all_rows,
    finish_placed,
    looking,
    make_placer,
    submit,
    wall_clock,
)
from tests.support.rows import insert_attempt
from tests.support.waiting import wait_until

ONE = Resources(millicores=1000, memory_mib=10)
ADMITTED = TaskState.ADMITTED
TASKS = "SELECT path, state, reason_code, allowed_nodes FROM tasks ORDER BY path"
PLACED = "SELECT path, attempt, node FROM attempts ORDER BY path"


def admitted_to(
    connection: Connection, node: str, *paths: str, strategy: str = "heft", **task: object
) -> RunId:
    columns = {"allowed_nodes": [node], **task}
    return submit(connection, *paths, state=ADMITTED, resources=ONE, strategy=strategy, task=columns)


def fill(engine: Engine, node: str) -> None:
    with transaction(engine) as connection:
        connection.execute(
            text("UPDATE node_loads SET booked_millicores = capacity_millicores WHERE node = :node"),
            {"node": node},
        )


class FilledMeanwhile:
    """A planned strategy whose node is given to somebody else between the decision and the booking."""

    name = "heft"
    summary = "Comes too late."

    def __init__(self, engine: Engine, node: str) -> None:
        self._engine, self._node = engine, node
        self.asked = 0

    def place(
        self, tasks: Sequence[WaitingTask], cluster: Cluster, context: PlacementContext
    ) -> Sequence[Decision]:
        self.asked += 1
        decisions = plugins.strategy("heft").place(tasks, cluster, context)
        if self.asked == 1:
            fill(self._engine, self._node)
        return decisions


def candidates_of(engine: Engine, path: str) -> dict[str, dict[str, Any]]:
    [[found]] = all_rows(engine, "SELECT candidates FROM attempts WHERE path = :path", path=path)
    assert isinstance(found, list)
    return {one["node"]: one for one in found}


def test_a_planned_task_goes_to_the_node_of_its_plan(engine: Engine, settings: Settings) -> None:
    add_nodes(engine, n1=8, n2=1)
    with transaction(engine) as connection:
        admitted_to(connection, "n2", "a")
    make_placer(engine, settings).look()
    assert all_rows(engine, PLACED) == [("a", 1, "n2")]
    assert all_rows(engine, TASKS) == [("a", "PLACED", "placed", None)]
    other = candidates_of(engine, "a")["n1"]
    assert other["exclusion"]["code"] == "not_planned"
    assert other["scores"]["finish_seconds"] > 0


def test_a_planned_node_that_filled_meanwhile_gives_the_task_back_to_be_planned_again(
    engine: Engine, settings: Settings
) -> None:
    add_nodes(engine, n1=1, n2=8)
    with transaction(engine) as connection:
        run_id = admitted_to(connection, "n1", "a")
    fill(engine, "n1")
    placer = make_placer(engine, settings)
    placer.look()
    assert all_rows(engine, TASKS) == [("a", "READY", "no_room", None)]
    [[said]] = all_rows(engine, "SELECT reason FROM tasks")
    assert said == "n1, which it was admitted to, cannot take it any more: 0 of 1 cores free, needs 1"
    assert all_rows(engine, PLACED) == []
    with transaction(engine) as connection:
        admit(connection, [TaskRef(run_id=run_id, path=TaskPath("a"))], "n2", first=1)
    placer.look()
    assert all_rows(engine, PLACED) == [("a", 1, "n2")]


def test_a_planned_node_that_fills_before_it_is_booked_gives_the_task_back(
    engine: Engine, settings: Settings
) -> None:
    add_nodes(engine, n1=1, n2=8)
    with transaction(engine) as connection:
        admitted_to(connection, "n1", "a")
    late = FilledMeanwhile(engine, "n1")
    make_placer(engine, settings, strategies={"heft": late}).look()
    assert late.asked == 2, "a lost race is looked at again on a fresh snapshot"
    assert all_rows(engine, TASKS) == [("a", "READY", "no_room", None)]
    assert all_rows(engine, PLACED) == []
    assert all_rows(engine, "SELECT count(*) FROM bookings") == [(0,)]


def test_what_is_kept_free_by_the_scheduler_is_left_free_by_any_strategy(
    engine: Engine, settings: Settings
) -> None:
    add_nodes(engine, n1=1, n2=2, n3=8)
    with transaction(engine) as connection:
        submit(connection, "a", "b", "c", state=ADMITTED, resources=ONE, task={"allowed_nodes": ["n1", "n2"]})
    make_placer(engine, settings).look()
    assert [node for _, _, node in all_rows(engine, PLACED)].count("n3") == 0
    assert [code for _, _, code, _ in all_rows(engine, TASKS)] == ["placed"] * 3
    assert candidates_of(engine, "a")["n3"]["exclusion"]["code"] == "kept_free"


def test_what_was_believed_is_recorded_with_the_attempt(engine: Engine, settings: Settings) -> None:
    add_nodes(engine, n1=8)
    seen = Query(task_class="other", node_class="default", node=NodeFacts(cores=8.0))
    with transaction(engine) as connection:
        outcomes = [Observation(query=seen, seconds=20.0, peak_memory_mib=300.0) for _ in range(12)]
        record_outcomes(connection, outcomes, at=wall_clock())
        submit(connection, "a", state=ADMITTED, resources=ONE)
    make_placer(engine, settings).look()
    [row] = all_rows(
        engine,
        "SELECT predicted_seconds, predicted_low, predicted_high, prediction_level, prediction_basis,"
        " prediction_samples, predicted_memory_mib, predicted_memory_low, predicted_memory_high FROM attempts",
    )
    seconds, low, high, level, basis, samples, memory, memory_low, memory_high = row
    assert seconds == pytest.approx(20, rel=0.1)
    assert memory == pytest.approx(300, rel=0.1)
    assert low < seconds < high  # type: ignore[operator]
    assert memory_low < memory < memory_high  # type: ignore[operator]
    assert (level, basis, samples) == (0.8, "learned", 12)


def test_what_is_learned_is_believed_after_the_next_look_that_finds_nothing_to_do(
    engine: Engine, settings: Settings
) -> None:
    add_nodes(engine, n1=8)
    placer = make_placer(engine, settings)
    seen = Query(task_class="other", node_class="default", node=NodeFacts(cores=8.0))
    for path in "ab":
        with transaction(engine) as connection:
            submit(connection, path, state=ADMITTED, resources=ONE)
        placer.look()
        with transaction(engine) as connection:
            record_outcomes(connection, [Observation(query=seen, seconds=7.0)] * 5, at=wall_clock())
        placer.look()
    found = all_rows(engine, "SELECT prediction_basis, prediction_samples FROM attempts ORDER BY path")
    assert found == [("prior", 0), ("learned", 5)]


def test_transfer_and_wait_of_every_candidate_are_recorded(engine: Engine, settings: Settings) -> None:
    add_nodes(engine, n1=1, n2=4)
    now = wall_clock()
    model = ArtifactRef(name="model", uri="store://file/1", size_bytes=200 * 1024 * 1024)
    spec = TaskSpec(path=TaskPath("b"), component="b", upstream=(TaskPath("a"),), resources=ONE)
    with transaction(engine) as connection:
        other = submit(connection, "x", state=TaskState.RUNNING, resources=ONE)
        insert_attempt(
            connection, other, "x", "n1", state="RUNNING", placed_at=now, started_at=now, predicted_seconds=50,
            predicted_low=40, predicted_high=60, prediction_level=0.8, prediction_basis="learned",
            prediction_samples=3,
        )  # fmt: skip
        connection.execute(
            text(
                "INSERT INTO bookings (run_id, path, attempt, node, millicores, memory_mib, gpus, booked_at)"
                " VALUES (:run_id, 'x', 1, 'n1', 1000, 10, 0, :now)"
            ),
            {"run_id": other, "now": now},
        )
        connection.execute(
            text(
                "UPDATE node_loads SET booked_millicores = 1000, booked_memory_mib = 10, running_tasks = 1 WHERE node = 'n1'"
            )
        )
        outputs = encode(TaskOutputs(artifacts={"model": model}))
        run_id = submit(connection, "b", state=ADMITTED, task={"spec": encode(spec)})
        connection.execute(
            text(
                "INSERT INTO tasks (run_id, path, ordinal, component, kind, task_class, spec, upstream, state, attempt, outputs)"
                " SELECT run_id, 'a', 1, 'a', kind, task_class, spec, '{}', 'SUCCEEDED', 1, CAST(:outputs AS jsonb)"
                " FROM tasks WHERE path = 'b'"
            ),
            {"outputs": json.dumps(outputs)},
        )
        insert_attempt(connection, run_id, "a", "n1", state="SUCCEEDED", finished_at=now)
    make_placer(engine, settings, clock=lambda: now + timedelta(seconds=10)).look()
    scores = {name: one["scores"] for name, one in candidates_of(engine, "b").items()}
    assert scores["n1"]["wait_seconds"] == pytest.approx(40)
    assert scores["n1"]["transfer_seconds"] == 0
    assert scores["n2"]["wait_seconds"] == 0
    assert scores["n2"]["transfer_seconds"] == pytest.approx(2)


def admit(connection: Connection, refs: Sequence[TaskRef], node: str, *, first: int) -> None:
    """What the scheduler does with a plan."""
    moves = [
        TaskMove(
            ref=ref,
            state=TaskState.READY,
            event=TaskEvent.ADMIT,
            at=wall_clock(),
            reason=Reason(code=ReasonCode.ADMITTED, text="planned"),
            position=first + index,
            allowed_nodes=(NodeName(node),),
        )
        for index, ref in enumerate(refs)
    ]
    move_tasks(connection, moves, service="scheduler")


def test_two_placers_and_plans_that_promise_too_much_lose_no_task_and_overbook_no_node(
    engine: Engine, settings: Settings
) -> None:
    """Every round admits all that waits, each task to the next node in turn, whether that has room or not."""
    cores = {"n1": 1, "n2": 2, "n3": 3}
    add_nodes(engine, **cores)
    with transaction(engine) as connection:
        for _ in range(4):
            submit(
                connection, *(f"t{number:02}" for number in range(20)), resources=ONE, strategy="portfolio"
            )
    small = settings.model_copy(update={"placement_batch": 5})
    engines = [create_database(small, name=f"placer-{number}") for number in range(2)]
    carrier, failures = RecordingCarrier(), list[BaseException]()
    planned: dict[TaskRef, str] = {}
    turn = count()

    def all_finished() -> bool:
        finish_placed(engine)
        ready = all_rows(engine, "SELECT run_id, path FROM tasks WHERE state = 'READY' ORDER BY run_id, path")
        for run_id, path in ready:
            ref, number = TaskRef(run_id=RunId(str(run_id)), path=TaskPath(str(path))), next(turn)
            planned[ref] = f"n{number % 3 + 1}"
            with transaction(engine) as connection:
                admit(connection, [ref], planned[ref], first=number)
        return all_rows(engine, "SELECT count(*) FROM tasks WHERE state <> 'SUCCEEDED'") == [(0,)]

    placers = [
        make_placer(own, small, name=f"placer-{n}", carrier=carrier) for n, own in enumerate(engines, start=1)
    ]
    with looking(placers, failures):
        wait_until(all_finished, 60, "all tasks to succeed")
    for own in engines:
        own.dispose()

    assert failures == []
    rows = all_rows(engine, "SELECT run_id, path, node FROM attempts")
    assert len(rows) == 80, "each task is placed once"
    assert all(
        planned[TaskRef(run_id=RunId(str(run)), path=TaskPath(str(path)))] == node for run, path, node in rows
    )
    assert all_rows(
        engine, "SELECT count(*) > 0 FROM events WHERE event = 'defer' AND reason_code = 'no_room'"
    ) == [(True,)]
    assert all(booked <= capacity for _, booked, capacity in all_rows(engine, MOST_BOOKED))  # type: ignore[operator]
    assert all_rows(engine, DRIFT) == []
    assert len({job.key for _, job in carrier.started}) == len(carrier.started) == 80
