"""Migration 0003 on databases that have runs in them: nothing recorded is lost, and what was learned is learned anew."""

import math
from collections.abc import Iterator
from datetime import timedelta

import pytest
from alembic import command
from sqlalchemy import Connection, Engine, create_engine, text

from nodewise.core.db.engine import normalised_url, transaction
from nodewise.core.db.migrate import alembic_config, upgrade
from nodewise.core.db.queries.estimates import load_beliefs
from nodewise.core.estimates.learning import Beliefs, NodeFacts, Observation, Query, observe_all
from nodewise.core.lifecycle import TaskState
from nodewise.core.model.resources import Resources
from tests.support.rows import NOW, insert_attempt, insert_node, insert_run, insert_task

RUNS = ((4.0, 200, 1e9), (9.0, None, None), (5.0, -7, 2e9))
"""Seconds, reported peak in MiB and effort of the recorded attempts."""


@pytest.fixture
def old(empty_database_url: str) -> Iterator[Engine]:
    """A database as release 0002 left it: three runs that succeeded, one that failed, one under way."""
    upgrade(empty_database_url, "0002")
    engine = create_engine(normalised_url(empty_database_url))
    with transaction(engine) as connection:
        _fill(connection)
    yield engine
    engine.dispose()


def _fill(connection: Connection) -> None:
    insert_node(
        connection, "n1", Resources(millicores=2500, memory_mib=1000), node_class="big", accelerator="gpu"
    )
    for number, (seconds, peak, effort) in enumerate(RUNS):
        times = {"started_at": NOW, "finished_at": NOW + timedelta(seconds=seconds + number / 100)}
        _run(connection, "SUCCEEDED", effort_flops=effort, times=times, peak_memory_mib=peak)
    ended = {"started_at": NOW, "finished_at": NOW + timedelta(seconds=100)}
    _run(connection, "FAILED", effort_flops=None, times=ended)
    _run(connection, "RUNNING", effort_flops=None, times={"started_at": NOW})
    connection.execute(text("INSERT INTO runtime_estimates VALUES ('other', 'big', 3, 1.5, 0.2, now())"))


def _run(
    connection: Connection,
    state: str,
    *,
    effort_flops: float | None,
    times: dict[str, object],
    **columns: object,
) -> None:
    run_id = insert_run(connection)
    figures = {"attempt": 1, "effort_flops": effort_flops}
    insert_task(connection, run_id, "a", state=TaskState(state), inputs=None, **figures)
    insert_attempt(
        connection,
        run_id,
        "a",
        "n1",
        node_class="big",
        state=state,
        predicted_seconds=5.0,
        **times,
        **columns,
    )


def _learned() -> Beliefs:
    """What the recorder would have learned from `RUNS`, by the time at which they ended."""
    ended = sorted(
        (seconds + number / 100, peak, effort) for number, (seconds, peak, effort) in enumerate(RUNS)
    )
    return observe_all(
        Beliefs(),
        [
            Observation(
                query=Query(
                    task_class="other",
                    node_class="big",
                    effort_flops=effort,
                    node=NodeFacts(cores=2.5, accelerator="gpu"),
                ),
                seconds=seconds,
                peak_memory_mib=peak if peak and peak > 0 else None,
            )
            for seconds, peak, effort in ended
        ],
    )


def test_an_upgrade_learns_from_all_that_is_on_record(old: Engine, empty_database_url: str) -> None:
    upgrade(empty_database_url)
    with old.connect() as connection:
        assert load_beliefs(connection) == _learned()


def test_old_rows_keep_what_they_said_and_claim_no_interval(old: Engine, empty_database_url: str) -> None:
    upgrade(empty_database_url)
    with old.connect() as connection:
        kept = connection.execute(
            text(
                "SELECT predicted_seconds, predicted_low, prediction_basis, predicted_memory_mib FROM attempts"
            )
        )
        assert {tuple(row) for row in kept} == {(5.0, None, None, None)}
        assert set(connection.scalars(text("SELECT held FROM predictions"))) == {None}
        quality = connection.execute(text("SELECT attempts, held_share FROM calibration")).all()
    assert {tuple(row) for row in quality} == {(3, None)}


def test_a_downgrade_goes_back_to_means_of_all_that_is_on_record(
    old: Engine, empty_database_url: str
) -> None:
    upgrade(empty_database_url)
    command.downgrade(alembic_config(empty_database_url), "0002")
    with old.connect() as connection:
        (row,) = connection.execute(text("SELECT * FROM runtime_estimates")).mappings()
        shown = connection.scalar(text("SELECT count(*) FROM predictions WHERE predicted_seconds = 5"))
        waited = connection.scalar(text("SELECT count(*) FROM task_times"))
    logs = [math.log(seconds + number / 100) for number, (seconds, _, _) in enumerate(RUNS)]
    mean = sum(logs) / len(logs)
    assert (row["task_class"], row["node_class"], row["runs"]) == ("other", "big", 3)
    assert row["mean_log_seconds"] == pytest.approx(mean)
    assert row["m2_log_seconds"] == pytest.approx(sum((value - mean) ** 2 for value in logs))
    assert (shown, waited) == (3, 5)


def test_down_and_up_again_learns_the_same(old: Engine, empty_database_url: str) -> None:
    upgrade(empty_database_url)
    command.downgrade(alembic_config(empty_database_url), "0002")
    upgrade(empty_database_url)
    with old.connect() as connection:
        assert load_beliefs(connection) == _learned()
