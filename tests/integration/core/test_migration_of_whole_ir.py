"""Migration 0004 on a database that has runs in it: open runs go on with their inputs on record, ended ones are left alone."""

from collections.abc import Iterator

import pytest
from alembic import command
from sqlalchemy import Connection, Engine, create_engine, text

from nodewise.core.db.engine import normalised_url, transaction
from nodewise.core.db.migrate import alembic_config, upgrade
from nodewise.core.lifecycle import RunState, TaskState
from nodewise.core.model.ids import RunId
from nodewise.core.model.resources import Resources
from tests.support.pipelines import compiled
from tests.support.recording import World, report
from tests.support.rows import NOW, insert_attempt, insert_node, insert_run, insert_task

TASKS = {"ready": (), "admitted": (), "live": (), "done": (), "late": ("done", "ready")}
STATES = "SELECT path, state FROM tasks WHERE run_id = :id ORDER BY path"
OLD_RELEASE = "0003"


@pytest.fixture
def old(empty_database_url: str) -> Iterator[Engine]:
    """A database as release 0003 left it."""
    upgrade(empty_database_url, OLD_RELEASE)
    engine = create_engine(normalised_url(empty_database_url))
    with transaction(engine) as connection:
        insert_node(connection, "n1", Resources(millicores=2500, memory_mib=1000))
    yield engine
    engine.dispose()


def a_run(connection: Connection, state: RunState, **columns: object) -> RunId:
    """Something in every state."""
    run_id = insert_run(connection, state=state, ir=compiled(tasks=TASKS), **columns)
    later = {"position": 7, "allowed_nodes": ["n1"]}
    told = {
        "ready": (TaskState.READY, {}),
        "admitted": (TaskState.ADMITTED, later),
        "live": (TaskState.RUNNING, {"attempt": 1}),
        "done": (TaskState.SUCCEEDED, {"attempt": 1, "finished_at": NOW}),
        "late": (TaskState.WAITING, {"upstream": ["done", "ready"], "ready_at": None}),
    }
    for ordinal, (path, (task_state, more)) in enumerate(told.items()):
        insert_task(connection, run_id, path, state=task_state, inputs=None, ordinal=ordinal, **more)
    insert_attempt(connection, run_id, "live", "n1", state="RUNNING", started_at=NOW)
    insert_attempt(connection, run_id, "done", "n1", state="SUCCEEDED", started_at=NOW, finished_at=NOW)
    return run_id


def states(engine: Engine, run_id: RunId) -> dict[str, str]:
    with engine.connect() as connection:
        return dict(map(tuple, connection.execute(text(STATES), {"id": run_id})))


def test_what_waits_for_a_node_waits_for_its_inputs_and_is_readied_again(
    old: Engine, empty_database_url: str
) -> None:
    with transaction(old) as connection:
        run_id = a_run(connection, RunState.RUNNING, started_at=NOW)
    upgrade(empty_database_url)
    assert states(old, run_id) == {
        "admitted": "WAITING", "done": "SUCCEEDED", "late": "WAITING", "live": "RUNNING", "ready": "WAITING",
    }  # fmt: skip
    world = World(old)
    assert world.all("SELECT path FROM tasks WHERE position IS NOT NULL OR allowed_nodes IS NOT NULL") == []
    world.recorder.tick()
    assert states(old, run_id) == {
        "admitted": "READY", "done": "SUCCEEDED", "late": "WAITING", "live": "RUNNING", "ready": "READY",
    }  # fmt: skip
    assert world.all("SELECT path FROM tasks WHERE state = 'READY' AND inputs IS NULL") == []
    world.hear()
    keys = [world.place(run_id, path) for path in ("ready", "admitted")]
    world.hear(*(report(key, "SUCCEEDED") for key in keys))
    assert states(old, run_id)["late"] == "READY"


def test_a_run_that_is_being_canceled_is_left_to_its_end(old: Engine, empty_database_url: str) -> None:
    with transaction(old) as connection:
        run_id = a_run(connection, RunState.CANCELING, started_at=NOW, cancel_requested_at=NOW)
    upgrade(empty_database_url)
    world = World(old)
    world.recorder.tick()
    assert states(old, run_id) == {
        "admitted": "CANCELED", "done": "SUCCEEDED", "late": "CANCELED", "live": "RUNNING", "ready": "CANCELED",
    }  # fmt: skip


def test_ended_runs_are_settled_and_new_columns_say_what_was_always_so(
    old: Engine, empty_database_url: str
) -> None:
    with transaction(old) as connection:
        ended = insert_run(connection, state=RunState.SUCCEEDED, finished_at=NOW)
        insert_task(connection, ended, "a", state=TaskState.SUCCEEDED, inputs=None)
        open_run = a_run(connection, RunState.RUNNING, started_at=NOW)
    upgrade(empty_database_url)
    with old.connect() as connection:
        rows = connection.execute(text("SELECT id, settled_at, engine, caching, outputs FROM runs")).all()
        finalisers = connection.scalars(text("SELECT DISTINCT finaliser OR resized FROM tasks")).all()
        nodes = connection.execute(text("SELECT engine, container_runtime FROM nodes")).all()
    assert {(str(row[0]), *row[1:]) for row in rows} == {
        (ended, NOW, "agents", True, None),
        (open_run, None, "agents", True, None),
    }
    assert finalisers == [False]
    assert [tuple(row) for row in nodes] == [("agents", None)]


def test_down_and_up_again_loses_nothing_but_what_only_the_new_release_knows(
    old: Engine, empty_database_url: str
) -> None:
    with transaction(old) as connection:
        run_id = a_run(connection, RunState.RUNNING, started_at=NOW)
    counts = (
        "SELECT (SELECT count(*) FROM tasks), (SELECT count(*) FROM attempts), (SELECT count(*) FROM runs)"
    )
    upgrade(empty_database_url)
    World(old).recorder.tick()
    command.downgrade(alembic_config(empty_database_url), OLD_RELEASE)
    with old.connect() as connection:
        assert tuple(connection.execute(text(counts)).one()) == (5, 2, 1)
        columns = set(
            connection.scalars(
                text("SELECT column_name FROM information_schema.columns WHERE table_name = 'tasks'")
            )
        )
        left = connection.scalar(text("SELECT to_regclass('cached_results')"))
    assert not {"inputs", "cache", "finaliser", "resized"} & columns
    assert left is None
    assert states(old, run_id)["ready"] == "READY"
    upgrade(empty_database_url)
    assert states(old, run_id)["ready"] == "WAITING"
    world = World(old)
    world.recorder.tick()
    assert states(old, run_id)["ready"] == "READY"
    assert world.all("SELECT path FROM tasks WHERE state = 'READY' AND inputs IS NULL") == []
