"""Runs whose tasks appear as they go on, as planners see them; exit tasks of canceled runs, from the queue to a node."""

import pytest
from sqlalchemy import Connection, Engine, text

from nodewise.core.codec import encode
from nodewise.core.db.engine import transaction
from nodewise.core.db.queries.queue import load_admitted
from nodewise.core.db.queries.situation import load_open_runs
from nodewise.core.lifecycle import RunState, TaskState
from nodewise.core.model.artifact import TaskOutputs
from nodewise.core.model.ids import RunId, TaskPath, TaskRef
from nodewise.core.model.resources import Resources
from nodewise.core.model.situation import OpenRun
from nodewise.core.model.task import TaskSpec
from nodewise.core.settings import Settings
from tests.support.builders import a_spec
from tests.support.pipelines import compiled
from tests.support.placing import RecordingCarrier, Turned, add_nodes, all_rows, make_placer, make_scheduler
from tests.support.rows import NOW, insert_attempt, insert_node, insert_run, insert_task

ONE = Resources(millicores=1000, memory_mib=10)
WAITING, READY, SUCCEEDED = TaskState.WAITING, TaskState.READY, TaskState.SUCCEEDED


def add(
    connection: Connection, run_id: RunId, path: str, *after: str, state: TaskState, **columns: object
) -> None:
    spec = a_spec(path, upstream=tuple(TaskPath(name) for name in after))
    insert_task(connection, run_id, path, state=state, spec=encode(spec), upstream=list(after), **columns)


def view(connection: Connection, specs: dict[TaskRef, TaskSpec] | None = None) -> OpenRun:
    (found,) = load_open_runs(connection, {"heft"}, {} if specs is None else specs)
    return found


def edges(found: OpenRun) -> list[tuple[str, tuple[str, ...]]]:
    return [(task.path, task.spec.upstream) for task in found.tasks]


def test_tasks_that_were_born_later_come_before_what_waits_for_them(engine: Engine) -> None:
    with transaction(engine) as connection:
        run_id = insert_run(connection, strategy="heft", state=RunState.RUNNING)
        add(connection, run_id, "total", "loop[0]", "loop[1]", state=WAITING, ordinal=0)
        add(connection, run_id, "report", "total", "loop[0]", state=WAITING, ordinal=1)
        add(connection, run_id, "loop[0]", state=READY, ordinal=2)
        add(connection, run_id, "loop[1]", state=READY, ordinal=3)
        found = view(connection)
    assert edges(found) == [
        ("loop[0]", ()),
        ("loop[1]", ()),
        ("total", ("loop[0]", "loop[1]")),
        ("report", ("total", "loop[0]")),
    ]


def test_nobody_waits_for_what_was_skipped_or_was_there_already(engine: Engine) -> None:
    outputs = encode(TaskOutputs(parameters={"Output": 1}))
    with transaction(engine) as connection:
        insert_node(connection, "n1", ONE)
        run_id = insert_run(connection, strategy="heft", state=RunState.RUNNING)
        add(connection, run_id, "skipped", state=TaskState.SKIPPED, ordinal=0)
        add(connection, run_id, "reused", state=SUCCEEDED, ordinal=1, outputs=outputs)
        add(connection, run_id, "ran", state=SUCCEEDED, ordinal=2, attempt=1, outputs=outputs)
        insert_attempt(connection, run_id, "ran", "n1", state="SUCCEEDED", started_at=NOW, finished_at=NOW)
        add(connection, run_id, "always", "skipped", "reused", "ran", state=WAITING, ordinal=3)
        add(connection, run_id, "next", "reused", state=READY, ordinal=4)
        found = view(connection)
    assert edges(found) == [("always", ("ran",)), ("next", ())]
    assert set(found.done) == {"ran"}


def test_a_spec_that_was_completed_is_read_again(engine: Engine) -> None:
    with transaction(engine) as connection:
        run_id = insert_run(connection, strategy="heft", state=RunState.RUNNING)
        add(connection, run_id, "sized", state=READY, resized=True)
        add(connection, run_id, "fixed", state=READY, ordinal=1)
        stale = {
            TaskRef(run_id=run_id, path=TaskPath(path)): a_spec(path, cores=9) for path in ("sized", "fixed")
        }
        found = view(connection, stale)
    assert [task.spec.resources.millicores for task in found.tasks] == [1000, 9000]


def canceled_run(connection: Connection, strategy: str) -> RunId:
    """Its exit task's turn has come; something else of it is READY still, and something was canceled."""
    ir = compiled(tasks={"work": (), "report": (), "last": ()})
    run_id = insert_run(
        connection,
        strategy=strategy,
        policy="balanced",
        state=RunState.CANCELING,
        cancel_requested_at=NOW,
        ir=ir,
    )
    add(connection, run_id, "gone", state=TaskState.CANCELED)
    add(connection, run_id, "work", state=READY, ordinal=1)
    add(connection, run_id, "report", "gone", state=READY, ordinal=2, finaliser=True)
    add(connection, run_id, "last", "work", state=WAITING, ordinal=3, finaliser=True)
    return run_id


def test_of_a_canceled_run_planners_see_the_exit_tasks_whose_turn_has_come(engine: Engine) -> None:
    with transaction(engine) as connection:
        canceled_run(connection, "heft")
        assert edges(view(connection)) == [("report", ())]
        connection.execute(text("UPDATE tasks SET state = 'SUCCEEDED' WHERE path = 'report'"))
        assert load_open_runs(connection, {"heft"}, {}) == ()


@pytest.mark.parametrize("strategy", ["greedy", "heft", "portfolio"])
def test_the_exit_task_of_a_canceled_run_is_admitted_and_placed_and_nothing_else_of_it(
    engine: Engine, settings: Settings, strategy: str
) -> None:
    add_nodes(engine, n1=4)
    with transaction(engine) as connection:
        canceled_run(connection, strategy)
    make_scheduler(engine, settings).look()
    with transaction(engine) as connection:
        assert [row.ref.path for row in load_admitted(connection)] == ["report"]
    carrier = RecordingCarrier()
    make_placer(engine, settings, carrier=carrier).look()
    assert [job.key.path for _, job in carrier.started] == ["report"]
    assert all_rows(engine, "SELECT path, state FROM tasks ORDER BY path") == [
        ("gone", "CANCELED"),
        ("last", "WAITING"),
        ("report", "PLACED"),
        ("work", "READY"),
    ]


def test_an_undelivered_exit_task_of_a_canceled_run_is_sent_again(engine: Engine, settings: Settings) -> None:
    add_nodes(engine, n1=4)
    clock, carrier = Turned(), RecordingCarrier()
    with transaction(engine) as connection:
        canceled_run(connection, "greedy")
    make_scheduler(engine, settings, clock=clock).look()
    placer = make_placer(engine, settings, carrier=carrier, clock=clock)
    placer.look()
    clock.forward(4)
    placer.look()
    assert [key.path for _, key in carrier.resent] == ["report"]
