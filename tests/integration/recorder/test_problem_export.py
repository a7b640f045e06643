"""`nodewise export --problem`: the rows of a period as a problem that the simulator reads."""

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine
from typer import Typer
from typer.testing import CliRunner

from nodewise.core.db.engine import plain_url, transaction
from nodewise.core.lifecycle import RunState, TaskState
from nodewise.core.model.resources import Resources
from nodewise.recorder.commands import NotPossible, export
from nodewise.recorder.period import InvalidPeriod
from nodewise.recorder.reports.problem import EmptyHistory
from nodewise.simulator.problem_file import parse_scenario
from tests.support.rows import NOW, insert_attempt, insert_node, insert_run, insert_task

app = Typer()
app.command()(export)


def after(seconds: float) -> Any:
    return NOW + timedelta(seconds=seconds)


@pytest.fixture
def filled(engine: Engine) -> Engine:
    """A run of two tasks, the second after a lost attempt; one that was cancelled, and one under way."""
    with transaction(engine) as connection:
        for name in ("n1", "n2"):
            insert_node(connection, name, Resources(millicores=4000, memory_mib=4096), last_seen_at=after(60))
        insert_node(connection, "older", Resources(), first_seen_at=after(-90), last_seen_at=after(-60))
        run = insert_run(connection, state=RunState.SUCCEEDED, name="one", finished_at=after(9), priority=3)
        outputs = {"artifacts": {"x": {"size_bytes": 3 * 1024 * 1024}}}
        succeeded = {"state": TaskState.SUCCEEDED, "attempt": 1}
        insert_task(connection, run, "a", outputs=outputs, **succeeded)
        insert_attempt(
            connection,
            run,
            "a",
            "n1",
            state="SUCCEEDED",
            started_at=after(1),
            finished_at=after(4),
            predicted_seconds=2.5,
        )
        insert_task(
            connection, run, "b", **succeeded | {"attempt": 2}, ordinal=1, upstream=["a"], ready_at=after(4)
        )
        insert_attempt(connection, run, "b", "n1", state="LOST", started_at=after(4))
        insert_attempt(
            connection,
            run,
            "b",
            "n2",
            attempt=2,
            state="SUCCEEDED",
            started_at=after(5),
            finished_at=after(9),
        )
        canceled = insert_run(connection, state=RunState.CANCELED, name="two", finished_at=after(9))
        insert_task(connection, canceled, "a", state=TaskState.CANCELED)
        insert_run(connection, name="three")
    return engine


def ask(engine: Engine, *options: str) -> Any:
    url = plain_url(str(engine.url.render_as_string(hide_password=False)))
    return CliRunner().invoke(app, ["--database", url, *options])


def test_what_ran_is_written_as_a_problem(filled: Engine, tmp_path: Path) -> None:
    file = tmp_path / "new" / "problem.json"
    result = ask(filled, "--problem", str(file))
    assert result.exit_code == 0, result.output
    assert "Wrote 1 pipelines, 2 tasks" in result.output
    raw = json.loads(file.read_text(encoding="utf-8"))
    truth = parse_scenario(raw).truth
    assert [node.name for node in truth.nodes] == ["n1", "n2"]
    (pipeline,) = truth.pipelines
    assert (pipeline.name, pipeline.priority) == ("one", 3)
    assert pipeline.tasks[0].seconds["n1"] == 3.0
    assert pipeline.tasks[1].seconds["n2"] == 4.0
    assert [(found.task, found.mib) for found in pipeline.tasks[1].after] == [("a", 3.0)]
    assert raw["pipelines"][0]["tasks"][0]["estimate"]["n1"] == 2.5
    assert raw["recorded"]["schedule"][1] == {
        "pipeline": "one", "task": "b", "node": "n2", "ready": 4.0, "start": 5.0, "end": 9.0
    }  # fmt: skip
    assert raw["recorded"]["runs_under_way"] == 1


def test_only_the_period_counts(filled: Engine, tmp_path: Path) -> None:
    file = tmp_path / "problem.json"
    assert ask(filled, "--problem", str(file), "--from", "2026-01-01", "--to", "2026-01-01").exit_code == 0
    result = ask(filled, "--problem", str(file), "--from", "2026-01-02", "--to", "2026-01-03")
    assert isinstance(result.exception, EmptyHistory)
    assert "nothing that was submitted from 2026-01-02 00:00 until 2026-01-04 00:00 UTC" in str(
        result.exception
    )


def test_an_empty_record_says_so(engine: Engine, tmp_path: Path) -> None:
    assert isinstance(ask(engine, "--problem", str(tmp_path / "p.json")).exception, EmptyHistory)


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ((), NotPossible),
        (("--from", "2026-01-01"), NotPossible),
        (("--problem", "p.json", "--from", "never"), InvalidPeriod),
        (("--problem", "p.json", "--from", "2026-01-02", "--to", "2026-01-01"), InvalidPeriod),
    ],
)
def test_options_that_make_no_sense_are_refused(
    engine: Engine, options: tuple[str, ...], error: type[Exception]
) -> None:
    assert isinstance(ask(engine, *options).exception, error)


def test_a_file_that_cannot_be_written_is_told(filled: Engine, tmp_path: Path) -> None:
    result = ask(filled, "--problem", str(tmp_path))
    assert isinstance(result.exception, NotPossible)
