"""The schema refuses what must not be, and the migrations make the schema that the code believes in."""

from datetime import timedelta
from uuid import uuid4

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import CheckConstraint, Connection, Engine, insert, inspect, update
from sqlalchemy.exc import IntegrityError

from nodewise.core.db import schema
from nodewise.core.db.engine import transaction
from nodewise.core.db.migrate import alembic_config
from nodewise.core.lifecycle import RunState
from nodewise.core.model.resources import Resources
from tests.support.rows import NOW, insert_attempt, insert_node, insert_run, insert_task

HOUR = timedelta(hours=1)


def test_the_migrations_make_the_tables_of_the_code(engine: Engine) -> None:
    with engine.connect() as connection:
        differences = compare_metadata(MigrationContext.configure(connection), schema.metadata)
    assert not differences


def test_the_migrations_make_the_checks_of_the_code(engine: Engine) -> None:
    found = inspect(engine)
    for table in schema.metadata.sorted_tables:
        made = {check["name"] for check in found.get_check_constraints(table.name)}
        assert made == {
            str(engine.dialect.identifier_preparer.format_constraint(one)).strip('"')
            for one in table.constraints
            if isinstance(one, CheckConstraint)
        }, table.name


def test_all_migrations_go_down_and_up_again(engine: Engine, database_url: str) -> None:
    config = alembic_config(database_url)
    command.downgrade(config, "base")
    assert set(inspect(engine).get_table_names()) <= {"alembic_version"}
    command.upgrade(config, "head")
    assert set(schema.metadata.tables) <= set(inspect(engine).get_table_names())


def test_every_table_names_its_writer() -> None:
    silent = [t.name for t in schema.metadata.sorted_tables if "writer" not in (t.comment or "").lower()]
    assert not silent


def test_a_node_cannot_be_booked_above_its_capacity(engine: Engine) -> None:
    with transaction(engine) as connection:
        insert_node(connection, "n1", Resources(millicores=1000, memory_mib=100))
    with pytest.raises(IntegrityError, match="cpu_within_capacity"), transaction(engine) as connection:
        connection.execute(update(schema.node_loads).values(booked_millicores=1001))
    with pytest.raises(IntegrityError, match="memory_within_capacity"), transaction(engine) as connection:
        connection.execute(update(schema.node_loads).values(booked_memory_mib=-1))


def test_a_task_has_one_live_attempt(engine: Engine) -> None:
    with transaction(engine) as connection:
        run_id = insert_run(connection)
        insert_task(connection, run_id, "a")
        insert_node(connection, "n1", Resources(millicores=1000))
        insert_attempt(connection, run_id, "a", "n1", attempt=1, state="LOST")
        insert_attempt(connection, run_id, "a", "n1", attempt=2, state="RUNNING")
    with pytest.raises(IntegrityError, match="attempts_one_live_per_task"), transaction(engine) as connection:
        insert_attempt(connection, run_id, "a", "n1", attempt=3)


def test_unknown_states_are_refused(engine: Engine) -> None:
    with transaction(engine) as connection:
        run_id = insert_run(connection)
    with pytest.raises(IntegrityError, match="state_is_known"), transaction(engine) as connection:
        connection.execute(update(schema.runs).where(schema.runs.c.id == run_id).values(state="DONE"))


def test_a_run_has_an_end_time_exactly_when_it_ended(engine: Engine) -> None:
    with pytest.raises(IntegrityError, match="finished_when_final"), transaction(engine) as connection:
        insert_run(connection, state=RunState.SUCCEEDED)
    with pytest.raises(IntegrityError, match="finished_when_final"), transaction(engine) as connection:
        insert_run(connection, state=RunState.RUNNING, finished_at=NOW)


def test_an_idempotency_key_is_used_once_per_team(engine: Engine) -> None:
    with transaction(engine) as connection:
        insert_run(connection, team="a", idempotency_key="k")
        insert_run(connection, team="b", idempotency_key="k")
    with (
        pytest.raises(IntegrityError, match="runs_team_idempotency_key_key"),
        transaction(engine) as connection,
    ):
        insert_run(connection, team="a", idempotency_key="k")


def test_a_booking_needs_its_attempt(engine: Engine) -> None:
    with transaction(engine) as connection:
        run_id = insert_run(connection)
        insert_task(connection, run_id, "a")
        insert_node(connection, "n1", Resources(millicores=1000))
    row = {
        "run_id": run_id,
        "path": "a",
        "attempt": 1,
        "node": "n1",
        "millicores": 1,
        "memory_mib": 1,
        "gpus": 0,
    }
    with pytest.raises(IntegrityError), transaction(engine) as connection:
        connection.execute(insert(schema.bookings).values(row))


@pytest.mark.parametrize(
    ("columns", "rule"),
    [
        (
            {"predicted_seconds": 5.0, "predicted_low": 6.0, "predicted_high": 9.0},
            "predicted_within_interval",
        ),
        (
            {"predicted_seconds": 5.0, "predicted_low": 1.0, "predicted_high": 4.0},
            "predicted_within_interval",
        ),
        (
            {"predicted_memory_mib": 5.0, "predicted_memory_low": 6.0, "predicted_memory_high": 9.0},
            "memory_within_interval",
        ),
        ({"prediction_level": 80.0}, "level_is_a_share"),
        ({"prediction_basis": "guess"}, "prediction_basis_is_known"),
        ({"prediction_samples": -1}, "samples_not_negative"),
    ],
)
def test_a_prediction_that_contradicts_itself_is_refused(
    engine: Engine, columns: dict[str, object], rule: str
) -> None:
    with transaction(engine) as connection:
        run_id = insert_run(connection)
        insert_task(connection, run_id, "a")
        insert_node(connection, "n1", Resources(millicores=1000))
        insert_attempt(connection, run_id, "a", "n1", attempt=1, state="LOST", predicted_seconds=5.0)
    with pytest.raises(IntegrityError, match=rule), transaction(engine) as connection:
        insert_attempt(connection, run_id, "a", "n1", attempt=2, **columns)


@pytest.mark.parametrize(
    ("columns", "rule"),
    [
        ({"input_bytes": -1.0}, "input_bytes_not_negative"),
        (
            {"expected_start_at": NOW, "expected_end_at": NOW.replace(year=2025)},
            "expected_end_after_start",
        ),
    ],
)
def test_a_task_of_impossible_size_or_time_is_refused(
    engine: Engine, columns: dict[str, object], rule: str
) -> None:
    with pytest.raises(IntegrityError, match=rule), transaction(engine) as connection:
        insert_task(connection, insert_run(connection), "a", **columns)


def insert_schedule(connection: Connection, **columns: object) -> None:
    """A schedule of every hour from now on, of an empty pipeline."""
    digest = f"digest-{uuid4()}"
    connection.execute(insert(schema.pipeline_specs).values(digest=digest, ir={}, platforms={}))
    row = {
        "id": str(uuid4()),
        "name": "hourly",
        "team": "default",
        "spec_digest": digest,
        "pipeline_name": "pipeline",
        "request": {},
        "interval_seconds": 3600,
        "start_at": NOW,
        "catchup": True,
        "max_concurrency": 1,
        "enabled": True,
        "next_at": NOW,
        "look_at": NOW,
        "request_digest": "0",
        "created_at": NOW,
    }
    connection.execute(insert(schema.schedules).values(row | columns))


@pytest.mark.parametrize(
    ("columns", "rule"),
    [
        ({"cron": "@daily", "time_zone": "UTC"}, "one_trigger"),
        ({"interval_seconds": None}, "one_trigger"),
        ({"time_zone": "UTC"}, "zone_of_cron"),
        ({"interval_seconds": 0}, "interval_is_positive"),
        ({"max_concurrency": 0}, "concurrency_is_positive"),
        ({"end_at": NOW - HOUR}, "end_after_start|next_within"),
        ({"next_at": NOW - HOUR}, "next_within"),
        ({"end_at": NOW, "next_at": NOW + HOUR, "look_at": NOW + HOUR}, "next_within"),
        ({"last_at": NOW}, "next_after_last"),
        ({"look_at": None}, "looks_in_time"),
        ({"look_at": NOW - HOUR}, "looks_in_time"),
        ({"last_error": "no"}, "error_has_time"),
        ({"reason_code": "mood"}, "reason_code_is_known"),
    ],
)
def test_a_schedule_that_contradicts_itself_is_refused(
    engine: Engine, columns: dict[str, object], rule: str
) -> None:
    with transaction(engine) as connection:
        insert_schedule(connection, name="sound")
    with pytest.raises(IntegrityError, match=rule), transaction(engine) as connection:
        insert_schedule(connection, **columns)


def test_the_name_of_a_deleted_schedule_is_free_again(engine: Engine) -> None:
    with transaction(engine) as connection:
        insert_schedule(connection, deleted_at=NOW)
        insert_schedule(connection)
    with pytest.raises(IntegrityError, match="schedules_name_key"), transaction(engine) as connection:
        insert_schedule(connection)
