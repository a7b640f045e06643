"""Migrations with rows in the tables: down and up again, and the code of before the newest one on the newest schema."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from alembic import command
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, create_engine, text

from nodewise.core.db.engine import normalised_url, transaction
from nodewise.core.db.migrate import alembic_config, upgrade
from nodewise.core.db.revision import is_outdated, newest_revision
from nodewise.core.lifecycle import RunState, TaskState
from nodewise.core.model.resources import Resources
from tests.support.recording import World, report
from tests.support.rows import NOW, insert_attempt, insert_node, insert_run, insert_task

ROOT = Path(__file__).parents[3]
VERSIONS = "services/core/src/nodewise/core/db/migrations/versions"
REVISIONS = [
    script.revision for script in ScriptDirectory.from_config(alembic_config("postgresql://")).walk_revisions()
]  # fmt: skip
"""Newest first."""
_STORY = """
import sys
from sqlalchemy import create_engine, text
from nodewise.core.db.revision import newest_revision
from tests.support.recording import World, report
engine = create_engine(sys.argv[1])
world = World(engine)
world.hear()
run_id = world.submit({"a": (), "b": ("a",)})
for path in ("a", "b"):
    world.recorder.tick()
    world.hear(report(world.place(run_id, path), "SUCCEEDED"))
world.recorder.tick()
with engine.connect() as connection:
    print(newest_revision(), connection.execute(text("SELECT state FROM runs WHERE id = :id"), {"id": run_id}).scalar_one())
"""


def counted(engine: Engine) -> dict[str, object]:
    """What there was from the first release on."""
    with engine.connect() as connection:
        return {
            "runs": connection.execute(text("SELECT id, name, state, team, parameters FROM runs ORDER BY id")).all(),
            "tasks": connection.execute(text("SELECT run_id, path, attempt FROM tasks ORDER BY run_id, path")).all(),
            "attempts": connection.execute(text("SELECT run_id, path, state, node FROM attempts ORDER BY run_id, path")).all(),
            "events": connection.scalar(text("SELECT count(*) FROM events")),
        }  # fmt: skip


def some_rows(engine: Engine) -> None:
    with transaction(engine) as connection:
        insert_node(connection, "n1", Resources(millicores=4000, memory_mib=4000))
        for state in (RunState.SUCCEEDED, RunState.FAILED):
            run_id = insert_run(connection, state=state, finished_at=NOW, parameters={"depth": 3})
            task = TaskState.SUCCEEDED if state is RunState.SUCCEEDED else TaskState.FAILED
            insert_task(connection, run_id, "a", state=task, attempt=1, outputs={"parameters": {"x": 1}})
            insert_attempt(connection, run_id, "a", "n1", state=task.value)


@pytest.mark.parametrize("oldest", REVISIONS[1:])
def test_rows_survive_the_way_down_and_up_again_and_work_goes_on(
    engine: Engine, database_url: str, oldest: str
) -> None:
    some_rows(engine)
    world = World(engine)
    world.hear()
    open_run = world.submit({"a": (), "b": ("a",)})
    before = counted(engine)
    engine.dispose()
    command.downgrade(alembic_config(database_url), oldest)
    assert counted(engine) == before
    upgrade(database_url)
    assert counted(engine) == before
    engine.dispose()
    world.restart()
    world.recorder.tick()
    world.hear()
    for path in ("a", "b"):
        world.hear(report(world.place(open_run, path), "SUCCEEDED"))
    assert world.all(f"SELECT state FROM runs WHERE id = '{open_run}'") == [("SUCCEEDED",)]


@pytest.fixture
def old_code(tmp_path: Path) -> Path:
    """The sources from before the newest migration came in."""
    (newest,) = (ROOT / VERSIONS).glob(f"{newest_revision()}_*.py")
    path = newest.relative_to(ROOT)
    found = subprocess.run(
        ["git", "log", "--diff-filter=A", "--format=%H", "-1", "--", str(path)],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if found.returncode != 0 or not found.stdout.strip():
        pytest.skip("the history that has the release before is not here")
    before = f"{found.stdout.strip()}^"
    archive = tmp_path / "old.tar"
    made = subprocess.run(
        ["git", "archive", "-o", str(archive), before, "services", "sdk", "tests/support", "tests/contracts", "examples"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if made.returncode != 0:
        pytest.skip(f"the release before is not here: {made.stderr}")
    subprocess.run(["tar", "-xf", str(archive), "-C", str(tmp_path)], check=True)
    return tmp_path


def test_the_code_from_before_the_newest_migration_works_on_the_newest_schema(
    old_code: Path, database_url: str
) -> None:
    sources = [*sorted(old_code.glob("services/*/src")), old_code / "sdk" / "src", old_code]
    url = create_engine(normalised_url(database_url)).url.render_as_string(hide_password=False)
    done = subprocess.run(
        [sys.executable, "-c", _STORY, url], cwd=old_code, capture_output=True, text=True, check=False,
        env={**os.environ, "PYTHONPATH": ":".join(map(str, sources))},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    # What the code logs comes before.
    known, state = done.stdout.splitlines()[-1].split()
    assert (known != newest_revision(), state) == (True, "SUCCEEDED")


def test_a_schema_of_a_later_release_is_no_reason_not_to_be_ready() -> None:
    assert [is_outdated(found) for found in (None, REVISIONS[-1], newest_revision(), "9999")] == [
        True, True, False, False,
    ]  # fmt: skip
