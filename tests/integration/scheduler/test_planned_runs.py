"""Runs that are planned, on the real tables: what is loaded, what is written, and that they are carried out."""

from datetime import timedelta

from sqlalchemy import Connection, Engine

from nodewise.core.codec import encode
from nodewise.core.db.engine import transaction
from nodewise.core.db.queries.bookings import BookingRequest, book
from nodewise.core.db.queries.situation import booked_by_team, load_open_runs, load_running
from nodewise.core.estimates.learning import Basis, Prediction
from nodewise.core.lifecycle import RunState, TaskState
from nodewise.core.model.artifact import ArtifactRef, TaskOutputs
from nodewise.core.model.ids import AttemptKey, NodeName, RunId, TaskPath, TaskRef
from nodewise.core.model.resources import Resources
from nodewise.core.model.situation import DoneTask, Occupancy
from nodewise.core.model.task import TaskSpec
from nodewise.core.settings import Settings
from tests.support.builders import a_spec
from tests.support.placing import (
    Turned,
    add_nodes,
    all_rows,
    finish_placed,
    make_placer,
    make_scheduler,
    submit,
)
from tests.support.rows import NOW, insert_attempt, insert_run, insert_task

ONE_CORE = Resources(millicores=1000, memory_mib=10)
EXPECTED = "SELECT path, expected_node, expected_start_at, expected_end_at FROM tasks ORDER BY path"


def add_task(
    connection: Connection, run: RunId, path: str, *after: str, state: TaskState, **columns: object
) -> TaskRef:
    spec = a_spec(path, upstream=tuple(TaskPath(name) for name in after))
    insert_task(connection, run, path, state=state, spec=encode(spec), upstream=list(after), **columns)
    return TaskRef(run_id=run, path=TaskPath(path))


def a_run_half_way(connection: Connection) -> RunId:
    """Done, live, ready and waiting tasks, and a branch that failed."""
    run = insert_run(connection, strategy="heft", state=RunState.RUNNING, priority=3, team="vision")
    artifact = ArtifactRef(name="data", uri="store://file/0", size_bytes=3000)
    model = ArtifactRef(name="model", uri="store://file/1", size_bytes=500)
    outputs = encode(TaskOutputs(artifacts={"data": artifact, "model": model}))
    add_task(connection, run, "done", state=TaskState.SUCCEEDED, ordinal=0, attempt=2, outputs=outputs)
    add_task(connection, run, "live", "done", state=TaskState.RUNNING, ordinal=1, attempt=1)
    add_task(connection, run, "ready", "done", state=TaskState.READY, ordinal=2, input_bytes=7.0)
    add_task(connection, run, "failed", state=TaskState.FAILED, ordinal=3)
    add_task(connection, run, "waiting", "live", state=TaskState.WAITING, ordinal=4)
    add_task(connection, run, "lost", "failed", state=TaskState.WAITING, ordinal=5)
    add_task(connection, run, "lost_too", "lost", "live", state=TaskState.WAITING, ordinal=6)
    times = {"started_at": NOW + timedelta(seconds=1), "finished_at": NOW + timedelta(seconds=5)}
    insert_attempt(connection, run, "done", "n1", attempt=1, state="LOST")
    insert_attempt(connection, run, "done", "n2", attempt=2, state="SUCCEEDED", **times)
    predicted = {
        "predicted_seconds": 20.0,
        "predicted_low": 10.0,
        "predicted_high": 40.0,
        "prediction_level": 0.8,
        "prediction_basis": "pooled",
        "prediction_samples": 0,
    }
    insert_attempt(connection, run, "live", "n1", state="RUNNING", started_at=NOW, **predicted)
    key = AttemptKey(run_id=run, path=TaskPath("live"), attempt=1)
    book(connection, [BookingRequest(key=key, node=NodeName("n1"), resources=ONE_CORE)])
    return run


def test_open_runs_are_what_is_left_of_them(engine: Engine) -> None:
    add_nodes(engine, n1=2, n2=2)
    with transaction(engine) as connection:
        run = a_run_half_way(connection)
        submit(connection, "other", strategy="greedy")
        submit(connection, "cancelled", strategy="heft", cancel_requested_at=NOW)
        insert_run(connection, strategy="heft", state=RunState.SUCCEEDED, finished_at=NOW)
        specs: dict[TaskRef, TaskSpec] = {TaskRef(run_id=run, path=TaskPath("gone")): a_spec("gone")}
        (found,) = load_open_runs(connection, {"heft", "peft"}, specs)
    assert (found.id, found.priority, found.team, found.strategy) == (run, 3, "vision", "heft")
    assert [(task.path, task.state, task.spec.upstream) for task in found.tasks] == [
        ("live", TaskState.RUNNING, ("done",)),
        ("ready", TaskState.READY, ("done",)),
        ("waiting", TaskState.WAITING, ("live",)),
    ]
    assert [task.facts.input_bytes for task in found.tasks] == [None, 7.0, None]
    assert found.done == {
        "done": DoneTask(
            node=NodeName("n2"),
            started_at=NOW + timedelta(seconds=1),
            ended_at=NOW + timedelta(seconds=5),
            output_bytes=3500,
        )
    }
    assert {ref.path for ref in specs} >= {"live", "ready", "waiting"}
    assert "gone" not in {ref.path for ref in specs}


def test_live_attempts_are_told_with_their_room_and_what_was_believed(engine: Engine) -> None:
    add_nodes(engine, n1=2, n2=2)
    with transaction(engine) as connection:
        run = a_run_half_way(connection)
        assert load_running(connection) == (
            Occupancy(
                ref=TaskRef(run_id=run, path=TaskPath("live")),
                node=NodeName("n1"),
                resources=ONE_CORE,
                placed_at=NOW,
                started_at=NOW,
                prediction=Prediction(
                    median_seconds=20, low=10, high=40, level=0.8, basis=Basis.POOLED, samples=0
                ),
            ),
        )
        assert booked_by_team(connection) == {"vision": ONE_CORE}


def test_planned_tasks_are_admitted_to_their_node_and_expected_where_they_wait(
    engine: Engine, settings: Settings
) -> None:
    add_nodes(engine, n1=1)
    clock = Turned(NOW)
    with transaction(engine) as connection:
        run = insert_run(connection, strategy="heft", policy="balanced")
        add_task(connection, run, "a", state=TaskState.READY)
        add_task(connection, run, "b", "a", state=TaskState.WAITING, ordinal=1)
    make_scheduler(engine, settings, clock=clock).look()
    rows = all_rows(engine, "SELECT path, state, allowed_nodes FROM tasks ORDER BY path")
    assert rows == [("a", "ADMITTED", ["n1"]), ("b", "WAITING", None)]
    (_, node, start, end), (_, node_b, start_b, end_b) = all_rows(engine, EXPECTED)
    assert (node, node_b, start) == ("n1", "n1", NOW)
    assert isinstance(start, type(NOW))
    assert start < end == start_b < end_b  # type: ignore[operator]


def test_a_second_look_writes_nothing_while_nothing_happens(engine: Engine, settings: Settings) -> None:
    add_nodes(engine, n1=1)
    with transaction(engine) as connection:
        submit(connection, *"abc", resources=ONE_CORE, strategy="portfolio", policy="balanced")
    scheduler = make_scheduler(engine, settings, clock=Turned(NOW))
    scheduler.look()
    scheduler.look()
    query = "SELECT path, state, reason, expected_start_at, xmin::text FROM tasks ORDER BY path"
    before = all_rows(engine, query)
    scheduler.look()
    assert all_rows(engine, query) == before
    assert sorted(str(row[1]) for row in before) == ["ADMITTED", "READY", "READY"]


def test_what_is_no_longer_planned_is_no_longer_expected(engine: Engine, settings: Settings) -> None:
    add_nodes(engine, n1=1, n2=4)
    clock = Turned(NOW)
    with transaction(engine) as connection:
        submit(connection, "a", "b", resources=Resources(millicores=3000), strategy="heft", policy="balanced")
    scheduler = make_scheduler(engine, settings, clock=clock)
    scheduler.look()
    assert [row[1] for row in all_rows(engine, EXPECTED)] == ["n2", "n2"]
    with transaction(engine) as connection:
        connection.exec_driver_sql("UPDATE nodes SET state = 'GONE' WHERE name = 'n2'")
    scheduler.look()
    assert [row[1] for row in all_rows(engine, EXPECTED)] == [None, None]
    codes = all_rows(engine, "SELECT reason_code FROM tasks WHERE state = 'READY'")
    assert codes == [("unsatisfiable",)]


def test_a_deferred_task_may_go_anywhere_again(engine: Engine, settings: Settings) -> None:
    """The placer found its node full; the next look plans anew."""
    add_nodes(engine, n1=1)
    with transaction(engine) as connection:
        submit(connection, "a", resources=ONE_CORE, strategy="heft", policy="balanced")
    make_scheduler(engine, settings).look()
    with transaction(engine) as connection:
        connection.exec_driver_sql("UPDATE node_loads SET booked_millicores = 1000, running_tasks = 1")
    make_placer(engine, settings).look()
    (row,) = all_rows(engine, "SELECT state, allowed_nodes, reason_code FROM tasks")
    assert row == ("READY", None, "no_room")


def test_planned_runs_are_carried_out(engine: Engine, settings: Settings) -> None:
    add_nodes(engine, n1=1, n2=2)
    with transaction(engine) as connection:
        for strategy in ("portfolio", "heft", "greedy"):
            submit(connection, *"abc", resources=ONE_CORE, strategy=strategy, policy="balanced")
    scheduler, placer = make_scheduler(engine, settings), make_placer(engine, settings)
    for _ in range(12):
        scheduler.look()
        placer.look()
        if not finish_placed(engine):
            break
    assert all_rows(engine, "SELECT state, count(*) FROM tasks GROUP BY state") == [("SUCCEEDED", 9)]
