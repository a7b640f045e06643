from datetime import timedelta

import pytest
from sqlalchemy import Engine, select
from structlog.testing import capture_logs

from nodewise.core.db import schema
from nodewise.core.db.engine import transaction
from nodewise.core.db.queries.moves import TaskMove, move_run, move_tasks
from nodewise.core.errors import IllegalTransition
from nodewise.core.lifecycle import RunEvent, RunState, TaskEvent, TaskState
from nodewise.core.model.decision import Reason, ReasonCode
from nodewise.core.model.ids import RunId, TaskPath, TaskRef
from tests.support.rows import NOW, insert_run, insert_task

REASON = Reason(code=ReasonCode.ADMITTED, text="admitted")


def admit(run_id: RunId, path: str, *, state: TaskState = TaskState.READY, position: int = 1) -> TaskMove:
    ref = TaskRef(run_id=run_id, path=TaskPath(path))
    return TaskMove(ref=ref, state=state, event=TaskEvent.ADMIT, at=NOW, reason=REASON, position=position)


def test_a_move_changes_the_row_and_writes_its_event(engine: Engine) -> None:
    with transaction(engine) as connection:
        run_id = insert_run(connection)
        insert_task(connection, run_id, "a")
        moved = move_tasks(connection, [admit(run_id, "a", position=7)], service="scheduler")
        task = connection.execute(select(schema.tasks)).one()
        event = connection.execute(select(schema.events)).one()
    assert moved == {TaskRef(run_id=run_id, path=TaskPath("a"))}
    assert (task.state, task.position, task.admitted_at, task.reason) == ("ADMITTED", 7, NOW, "admitted")
    assert (event.event, event.from_state, event.to_state, event.service) == (
        "admit",
        "READY",
        "ADMITTED",
        "scheduler",
    )


def test_a_move_that_comes_too_late_moves_nothing(engine: Engine) -> None:
    with transaction(engine) as connection:
        run_id = insert_run(connection)
        insert_task(connection, run_id, "a", state=TaskState.CANCELED)
        insert_task(connection, run_id, "b")
        moved = move_tasks(connection, [admit(run_id, "a"), admit(run_id, "b")], service="scheduler")
        events = connection.execute(select(schema.events.c.path)).scalars().all()
    assert {ref.path for ref in moved} == {"b"}
    assert events == ["b"]


def test_events_are_written_in_the_order_of_the_moves(engine: Engine) -> None:
    """Whoever reads them finds causes first, whichever way the database found the rows."""
    paths = [f"t{number * 37 % 101:03d}" for number in range(100)]
    with transaction(engine) as connection:
        run_id = insert_run(connection)
        for path in sorted(paths):
            insert_task(connection, run_id, path)
        move_tasks(connection, [admit(run_id, path) for path in paths], service="scheduler")
        events = connection.execute(select(schema.events.c.path).order_by(schema.events.c.id)).scalars()
        assert list(events) == paths


def test_the_same_move_twice_does_nothing_the_second_time(engine: Engine) -> None:
    with transaction(engine) as connection:
        run_id = insert_run(connection)
        insert_task(connection, run_id, "a")
        assert move_tasks(connection, [admit(run_id, "a")], service="scheduler")
        assert not move_tasks(connection, [admit(run_id, "a")], service="scheduler")


def test_a_service_may_not_fire_the_event_of_another(engine: Engine) -> None:
    with transaction(engine) as connection, pytest.raises(IllegalTransition, match="for placer"):
        move_tasks(connection, [admit(RunId("x"), "a")], service="placer")


def test_an_illegal_pair_is_refused_before_any_row_is_touched(engine: Engine) -> None:
    with transaction(engine) as connection:
        run_id = insert_run(connection)
        insert_task(connection, run_id, "a")
        insert_task(connection, run_id, "b", state=TaskState.RUNNING)
        with pytest.raises(IllegalTransition):
            move_tasks(
                connection,
                [admit(run_id, "a"), admit(run_id, "b", state=TaskState.RUNNING)],
                service="scheduler",
            )
        assert connection.execute(select(schema.tasks.c.state).order_by("path")).scalars().all() == [
            "READY",
            "RUNNING",
        ]


def test_going_back_to_ready_forgets_the_admission_and_the_start(engine: Engine) -> None:
    later = NOW + timedelta(seconds=30)
    with transaction(engine) as connection:
        run_id = insert_run(connection)
        insert_task(
            connection,
            run_id,
            "a",
            state=TaskState.RUNNING,
            position=3,
            admitted_at=NOW,
            started_at=NOW,
            attempt=1,
        )
        retry = TaskMove(
            ref=TaskRef(run_id=run_id, path=TaskPath("a")),
            state=TaskState.RUNNING,
            event=TaskEvent.RETRY,
            at=later,
            reason=Reason(code=ReasonCode.RETRY_BACKOFF, text="again"),
            failures=1,
            not_before=later,
        )
        move_tasks(connection, [retry], service="recorder")
        row = connection.execute(select(schema.tasks)).one()
    assert (row.state, row.position, row.admitted_at, row.started_at) == ("READY", None, None, None)
    assert (row.ready_at, row.not_before, row.failures) == (later, later, 1)


def test_a_run_ends_once(engine: Engine) -> None:
    with transaction(engine) as connection:
        run_id = insert_run(connection, state=RunState.RUNNING)
        assert move_run(connection, run_id, RunState.RUNNING, RunEvent.FAIL, at=NOW, error="a failed")
        assert not move_run(connection, run_id, RunState.RUNNING, RunEvent.SUCCEED, at=NOW)
        row = connection.execute(select(schema.runs)).one()
    assert (row.state, row.finished_at, row.error) == ("FAILED", NOW, "a failed")


def test_the_log_says_what_moved_once_it_is_committed_and_never_what_was_undone(engine: Engine) -> None:
    with transaction(engine) as connection:
        run_id = insert_run(connection)
        for path in ("a", "b"):
            insert_task(connection, run_id, path)

    with capture_logs() as said:
        with pytest.raises(IllegalTransition), transaction(engine) as connection:
            move_run(connection, run_id, RunState.PENDING, RunEvent.START, at=NOW) and move_tasks(
                connection, [admit(run_id, "a")], service="placer"
            )
        assert said == []
        with transaction(engine) as connection:
            move_tasks(connection, [admit(run_id, "b")], service="scheduler")
            move_run(connection, run_id, RunState.PENDING, RunEvent.START, at=NOW)
            assert said == []
    assert said == [
        {"event": "moved", "log_level": "info", "runs": {run_id: {"b": "ADMITTED", "(run)": "RUNNING"}}}
    ]
