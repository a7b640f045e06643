"""The SQL views against hand-made rows with known answers."""

from collections.abc import Iterator
from datetime import timedelta

import pytest
from alembic import command
from sqlalchemy import Connection, Engine, create_engine, insert, inspect, text

from nodewise.core.db import schema
from nodewise.core.db.engine import normalised_url
from nodewise.core.db.migrate import alembic_config, upgrade
from nodewise.core.lifecycle import RunState, TaskState
from nodewise.core.model.ids import RunId
from nodewise.core.model.resources import Resources
from tests.support.rows import NOW, insert_attempt, insert_node, insert_run, insert_task

VIEWS = {
    "run_times", "task_times", "node_utilisation", "running_and_waiting", "predictions", "booking_peaks",
    "calibration", "attempt_history",
}  # fmt: skip


def after(seconds: float) -> object:
    return NOW + timedelta(seconds=seconds)


def book(
    connection: Connection,
    run_id: RunId,
    path: str,
    node: str,
    *,
    start: float,
    end: float | None,
    **columns: object,
) -> None:
    row = {
        "run_id": run_id,
        "path": path,
        "attempt": 1,
        "node": node,
        "millicores": 500,
        "memory_mib": 100,
        "gpus": 0,
    }
    times = {"booked_at": after(start), "released_at": None if end is None else after(end)}
    connection.execute(insert(schema.bookings).values(row | times | columns))


@pytest.fixture
def connection(engine: Engine) -> Iterator[Connection]:
    with engine.connect() as connection:
        yield connection


@pytest.fixture
def history(connection: Connection) -> RunId:
    """One run: `a` ran 10..20 s on n1, `b` ran 12..32 s on n2; n3 did nothing."""
    for name in ("n1", "n2", "n3"):
        insert_node(connection, name, Resources(millicores=1000, memory_mib=1000))
    run_id = insert_run(
        connection,
        state=RunState.SUCCEEDED,
        scheduled_at=after(8),
        started_at=after(10),
        finished_at=after(33),
    )
    for path, node, start, end, predicted in (("a", "n1", 10, 20, 5.0), ("b", "n2", 12, 32, None)):
        times = {"started_at": after(start), "finished_at": after(end)}
        insert_task(
            connection, run_id, path, state=TaskState.SUCCEEDED, attempt=1, ready_at=after(4), **times
        )
        insert_attempt(
            connection,
            run_id,
            path,
            node,
            state="SUCCEEDED",
            predicted_seconds=predicted,
            placed_at=after(9),
            **times,
        )
        book(connection, run_id, path, node, start=9, end=end)
    return run_id


def rows(connection: Connection, query: str) -> list[tuple[object, ...]]:
    return [tuple(row) for row in connection.execute(text(query))]


RUN_TIMES = "SELECT start_delay_seconds, waiting_seconds, execution_seconds, total_seconds FROM run_times"


def test_a_run_executes_while_any_of_its_attempts_runs_and_waits_the_rest(
    connection: Connection, history: RunId
) -> None:
    assert rows(connection, RUN_TIMES) == [(10.0, 11.0, 22.0, 33.0)]


def test_a_run_also_waits_between_its_tasks(connection: Connection) -> None:
    insert_node(connection, "n1", Resources(millicores=1000, memory_mib=1000))
    run_id = insert_run(connection, state=RunState.SUCCEEDED, started_at=after(5), finished_at=after(60))
    for path, start, end in (("a", 5, 10), ("b", 40, 50), ("c", 45, 70)):
        insert_task(connection, run_id, path)
        times = {"started_at": after(start), "finished_at": after(end)}
        insert_attempt(connection, run_id, path, "n1", state="SUCCEEDED", **times)
    assert rows(connection, RUN_TIMES) == [(5.0, 35.0, 25.0, 60.0)]


def test_a_run_under_way_executes_up_to_now_and_clocks_that_differ_do_no_harm(connection: Connection) -> None:
    insert_node(connection, "n1", Resources(millicores=1000, memory_mib=1000))
    run_id = insert_run(connection, state=RunState.RUNNING, started_at=after(0))
    insert_task(connection, run_id, "a")
    insert_attempt(connection, run_id, "a", "n1", state="RUNNING", started_at=after(-5))
    insert_attempt(
        connection, run_id, "a", "n1", attempt=2, state="FAILED", started_at=after(3), finished_at=after(2)
    )
    ((delay, waiting, execution, total),) = rows(connection, RUN_TIMES)
    assert (delay, waiting) == (0, 0)
    assert execution == total
    assert total > 0


def test_a_run_that_has_not_started_still_waits(connection: Connection) -> None:
    insert_run(connection)
    ((delay, waiting, execution, total),) = rows(connection, RUN_TIMES)
    assert delay == waiting == total
    assert waiting > 0
    assert execution == 0


def test_a_task_has_its_node_its_wait_its_run_and_its_prediction(
    connection: Connection, history: RunId
) -> None:
    query = "SELECT task, node, waited_seconds, ran_seconds, predicted_seconds, attempts FROM task_times ORDER BY task"
    assert rows(connection, query) == [("a", "n1", 6.0, 10.0, 5.0, 1), ("b", "n2", 8.0, 20.0, None, 1)]


def test_a_task_that_is_not_ready_has_no_wait(connection: Connection) -> None:
    run_id = insert_run(connection)
    insert_task(connection, run_id, "later", state=TaskState.WAITING, ready_at=None)
    assert rows(connection, "SELECT waited_seconds, ran_seconds, node FROM task_times") == [
        (None, None, None)
    ]


def test_utilisation_is_busy_core_seconds_over_the_offered_ones(
    connection: Connection, history: RunId
) -> None:
    query = "SELECT node, attempts, busy_core_seconds, capacity_core_seconds, round(utilisation::numeric, 4)::float8 "
    assert rows(connection, query + "FROM node_utilisation ORDER BY node") == [
        ("n1", 1, 5.0, 22.0, 0.2273),
        ("n2", 1, 10.0, 22.0, 0.4545),
        ("n3", 0, 0.0, 22.0, 0.0),
    ]


def test_utilisation_is_unknown_before_anything_ran(connection: Connection) -> None:
    insert_node(connection, "n1", Resources(millicores=1000))
    assert rows(connection, "SELECT utilisation, attempts FROM node_utilisation") == [(None, 0)]


def test_running_and_waiting_counts_at_every_change(connection: Connection) -> None:
    run_id = insert_run(connection)
    events = [
        (0, None, None, "PENDING"), (0, "a", None, "READY"), (0, "b", None, "WAITING"), (1, "a", "READY", "ADMITTED"),
        (2, "a", "ADMITTED", "PLACED"), (3, "a", "PLACED", "RUNNING"), (3, None, "PENDING", "RUNNING"),
        (5, "a", "RUNNING", "SUCCEEDED"), (5, "b", "WAITING", "READY"), (6, "b", "READY", "CANCELED"),
        (7, None, "RUNNING", "FAILED"),
    ]  # fmt: skip
    for seconds, path, before, then in events:
        connection.execute(
            insert(schema.events).values(
                run_id=run_id,
                at=after(seconds),
                path=path,
                event="x",
                from_state=before,
                to_state=then,
                service="x",
            )
        )
    query = """
        SELECT extract(epoch FROM at - :start)::int, running_runs, waiting_runs, running_tasks, waiting_tasks
        FROM running_and_waiting ORDER BY at"""
    found = [tuple(row) for row in connection.execute(text(query), {"start": NOW})]
    assert found == [(0, 0, 1, 0, 1), (3, 1, 0, 1, 0), (5, 1, 0, 0, 1), (6, 1, 0, 0, 0), (7, 0, 0, 0, 0)]


def test_predictions_compare_what_was_predicted_with_what_came(
    connection: Connection, history: RunId
) -> None:
    query = "SELECT task, predicted_seconds, actual_seconds, error_seconds, ratio FROM predictions"
    assert rows(connection, query) == [("a", 5.0, 10.0, 5.0, 2.0)]


@pytest.fixture
def predicted(connection: Connection) -> None:
    """Predicted 8..10..12 s and 90..100..110 MiB each time; on n1 it took 9 and 16 s, on n2 11 s."""
    for name in ("n1", "n2"):
        insert_node(connection, name, Resources(millicores=1000), node_class=f"of-{name}")
    beliefs = {
        "predicted_seconds": 10, "predicted_low": 8, "predicted_high": 12, "prediction_level": 0.8,
        "prediction_basis": "learned", "prediction_samples": 3, "predicted_memory_mib": 100,
        "predicted_memory_low": 90, "predicted_memory_high": 110,
    }  # fmt: skip
    for node, seconds, peak in (("n1", 9, 95), ("n1", 16, 120), ("n2", 11, None)):
        run_id = insert_run(connection)
        insert_task(connection, run_id, "a")
        times = {"started_at": NOW, "finished_at": after(seconds), "node_class": f"of-{node}"}
        insert_attempt(
            connection, run_id, "a", node, state="SUCCEEDED", peak_memory_mib=peak, **times, **beliefs
        )


@pytest.mark.usefixtures("predicted")
def test_predictions_say_how_far_off_they_were_and_whether_their_interval_held(
    connection: Connection,
) -> None:
    query = """
        SELECT node, absolute_error_share, held, actual_memory_mib, memory_held FROM predictions
        ORDER BY actual_seconds"""
    assert rows(connection, query) == [
        ("n1", pytest.approx(1 / 9), True, 95, True),
        ("n2", pytest.approx(1 / 11), True, None, None),
        ("n1", pytest.approx(6 / 16), False, 120, False),
    ]


@pytest.mark.usefixtures("predicted")
def test_calibration_is_told_per_pair_and_over_all(connection: Connection) -> None:
    query = """
        SELECT task_class, node_class, attempts, median_error_share, held_share, promised_share, memory_held_share
        FROM calibration ORDER BY node_class NULLS LAST"""
    assert rows(connection, query) == [
        ("other", "of-n1", 2, pytest.approx((1 / 9 + 6 / 16) / 2), 0.5, 0.8, 0.5),
        ("other", "of-n2", 1, pytest.approx(1 / 11), 1.0, 0.8, None),
        (None, None, 3, pytest.approx(1 / 9), pytest.approx(2 / 3), pytest.approx(0.8), 0.5),
    ]


def test_calibration_is_empty_before_anything_was_predicted(connection: Connection) -> None:
    assert rows(connection, "SELECT * FROM calibration") == []


def test_a_booking_that_follows_a_release_does_not_add_to_it(connection: Connection, history: RunId) -> None:
    insert_task(connection, history, "c")
    insert_attempt(connection, history, "c", "n1", state="SUCCEEDED")
    book(connection, history, "c", "n1", start=20, end=25, millicores=900)
    query = "SELECT node, peak_millicores, peak_memory_mib, peak_gpus, overbooked FROM booking_peaks"
    assert rows(connection, query) == [
        ("n1", 900, 100, 0, False),
        ("n2", 500, 100, 0, False),
        ("n3", 0, 0, 0, False),
    ]


@pytest.mark.parametrize("too_much", [{"millicores": 600}, {"memory_mib": 901}, {"gpus": 1}])
def test_an_overlap_beyond_the_capacity_is_overbooked(
    connection: Connection, history: RunId, too_much: dict[str, int]
) -> None:
    insert_task(connection, history, "c")
    insert_attempt(connection, history, "c", "n1")
    book(connection, history, "c", "n1", start=19, end=None, **too_much)
    assert rows(connection, "SELECT node FROM booking_peaks WHERE overbooked") == [("n1",)]


def test_the_history_of_attempts_keeps_every_try(connection: Connection, history: RunId) -> None:
    insert_attempt(connection, history, "a", "n2", attempt=2, state="LOST", end_code="lease_ended")
    query = (
        "SELECT task, attempt, state, node, millicores, end_code FROM attempt_history ORDER BY task, attempt"
    )
    assert rows(connection, query) == [
        ("a", 1, "SUCCEEDED", "n1", 500, None),
        ("a", 2, "LOST", "n2", None, "lease_ended"),
        ("b", 1, "SUCCEEDED", "n2", 500, None),
    ]


def test_every_view_says_what_it_shows_and_goes_with_its_migration(empty_database_url: str) -> None:
    engine = create_engine(normalised_url(empty_database_url))
    upgrade(empty_database_url)
    with engine.connect() as connection:
        found = inspect(connection)
        assert set(found.get_view_names()) >= VIEWS
        comments = rows(connection, "SELECT relname, obj_description(oid) FROM pg_class WHERE relkind = 'v'")
    assert all(comment for name, comment in comments if name in VIEWS)
    command.downgrade(alembic_config(empty_database_url), "0001")
    with engine.connect() as connection:
        assert not VIEWS & set(inspect(connection).get_view_names())
    upgrade(empty_database_url)
    engine.dispose()
