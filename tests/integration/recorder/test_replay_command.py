"""`nodewise replay` on a record: the recorder's rows, the simulator's answer."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Engine
from typer import Typer
from typer.testing import CliRunner

from nodewise.core.db.engine import plain_url, transaction
from nodewise.core.lifecycle import RunState, TaskState
from nodewise.core.model.resources import Resources
from nodewise.simulator.command import replay
from tests.support.rows import NOW, insert_attempt, insert_node, insert_run, insert_task

app = Typer()
app.command()(replay)


@pytest.fixture
def filled(engine: Engine) -> Engine:
    """Four runs of one task, one after another on one of two nodes."""
    with transaction(engine) as connection:
        for name in ("n1", "n2"):
            insert_node(
                connection,
                name,
                Resources(millicores=100, memory_mib=10),
                last_seen_at=NOW + timedelta(hours=1),
            )
        for number in range(4):
            start = NOW + timedelta(seconds=10 * number)
            end = start + timedelta(seconds=10)
            run = insert_run(connection, state=RunState.SUCCEEDED, name=f"run-{number}", finished_at=end)
            insert_task(connection, run, "a", state=TaskState.SUCCEEDED, attempt=1)
            insert_attempt(connection, run, "a", "n1", state="SUCCEEDED", started_at=start, finished_at=end)
    return engine


def ask(engine: Engine, *options: str) -> Any:
    url = plain_url(str(engine.url.render_as_string(hide_password=False)))
    return CliRunner().invoke(app, ["--database", url, *options])


def test_history_is_told_beside_what_would_have_been(filled: Engine) -> None:
    result = ask(filled, "--from", "2026-01-01", "--policy", "fifo", "--strategy", "greedy", "--json")
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert (found["runs"], found["tasks"]) == (4, 4)
    assert (found["recorded"]["makespan"], found["recorded"]["mean_flow"]) == (40, 25)
    assert found["asked"] == found["resimulated"]
    assert found["asked"]["moved_tasks"] > 0
    assert found["saving"]["recorded"]["makespan"] == pytest.approx(1 - found["asked"]["makespan"] / 40)


def test_a_person_reads_a_table(filled: Engine) -> None:
    result = ask(filled, "--from", "2026-01-01", "--to", "2026-01-01", "--strategy", "heft")
    assert result.exit_code == 0, result.output
    assert "4 runs, 4 tasks" in result.stdout
    assert "balanced/heft, simulated" in result.stdout
    assert "they are estimates" in result.stdout


FUTURE = (datetime.now(UTC) + timedelta(days=40)).date().isoformat()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--from", "2025-01-01", "--to", "2025-02-01"), "nothing that was submitted from 2025-01-01 00:00"),
        (("--from", FUTURE), "is in the future"),
        (("--from", "2026-01-01", "--to", FUTURE), "is in the future"),
        (("--from", "2026-01-02", "--to", "2026-01-01"), "is not before --to 2026-01-01"),
        (("--from", "last week"), "is not a time such as"),
        (("--from", "2026-01-01", "--policy", "nope"), "no policy named 'nope'; known: balanced"),
        (("--from", "2026-01-01", "--strategy", "nope"), "no strategy or preset named 'nope'; known: "),
        (("--from", "2026-01-01", "--objective", "nope"), "no objective named 'nope'; known: makespan"),
    ],
)
def test_what_cannot_be_replayed_ends_with_2_and_one_line(
    filled: Engine, options: tuple[str, ...], message: str
) -> None:
    result = ask(filled, *options)
    assert (result.exit_code, result.stdout, result.stderr.count("\n")) == (2, "", 1)
    assert message in result.stderr
