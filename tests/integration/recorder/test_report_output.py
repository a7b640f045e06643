"""The report on the terminal, as a page and as files, from nothing to ten thousand tasks."""

import csv
import io
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from rich.console import Console
from sqlalchemy import Connection, Engine
from typer import Typer
from typer.testing import CliRunner

from nodewise.core.db import schema
from nodewise.core.db.engine import plain_url, transaction
from nodewise.recorder.commands import NotPossible, export, report
from nodewise.recorder.reports import build_report, export_all, print_report, render_html
from nodewise.recorder.reports.build import Wave
from nodewise.recorder.reports.plots import waves_to_mark
from nodewise.recorder.reports.wording import moment, percent
from tests.support.examples import examples
from tests.support.histories import count, insert_history
from tests.support.rows import NOW


class Reader(HTMLParser):
    """Collects what a page refers to and whether its tags are balanced."""

    VOID = frozenset({"meta", "use", "path", "link", "br", "img"})

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.references: list[str] = []
        self.ids: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in self.VOID:
            self.open.append(tag)
        self.references += [value or "" for name, value in attrs if name in {"src", "href", "xlink:href"}]
        self.ids += [value or "" for name, value in attrs if name == "id"]

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.references += [value or "" for name, value in attrs if name in {"src", "href", "xlink:href"}]
        self.ids += [value or "" for name, value in attrs if name == "id"]

    def handle_endtag(self, tag: str) -> None:
        if tag not in self.VOID:
            assert self.open.pop() == tag


def page_of(connection: Connection) -> tuple[str, Reader]:
    page = render_html(build_report(connection))
    reader = Reader()
    reader.feed(page)
    assert reader.open == []
    return page, reader


def printed(connection: Connection, *, tasks: bool = True, width: int = 200) -> str:
    text = io.StringIO()
    print_report(build_report(connection), Console(file=text, width=width), tasks=tasks)
    return text.getvalue()


@pytest.fixture
def filled(engine: Engine) -> Engine:
    with transaction(engine) as connection:
        insert_history(connection, runs=18)
    return engine


def test_the_page_of_an_empty_record_says_so(engine: Engine) -> None:
    with engine.connect() as connection:
        page, _ = page_of(connection)
        assert "Nothing has run yet" in page
        assert "Nothing has run yet" in printed(connection)


def test_a_record_of_runs_that_only_wait_can_be_shown(engine: Engine) -> None:
    with transaction(engine) as connection:
        insert_history(connection, runs=1)
        connection.exec_driver_sql("DELETE FROM bookings")
        connection.exec_driver_sql("DELETE FROM attempts")
        connection.exec_driver_sql("DELETE FROM events")
        connection.exec_driver_sql(
            "UPDATE runs SET state = 'PENDING', started_at = NULL, finished_at = NULL, scheduled_at = NULL"
        )
        page, _ = page_of(connection)
    assert "1 under way" in page
    assert "Bars of 1 pipelines." in page
    assert "executed 0.00 s" in page


def test_the_rows_of_tasks_can_be_left_out(filled: Engine) -> None:
    with filled.connect() as connection:
        whole, short = printed(connection), printed(connection, tasks=False)
    assert "Why this node" in whole
    assert "Why this node" not in short
    assert "Summary" in short


def test_the_page_stands_alone(filled: Engine) -> None:
    with filled.connect() as connection:
        page, reader = page_of(connection)
    assert all(reference.startswith("#") for reference in reader.references)
    assert "http" not in page
    assert "<script" not in page
    assert len(reader.ids) == len(set(reader.ids))
    assert {reference[1:] for reference in reader.references} <= set(reader.ids)


def test_the_page_has_four_plots_with_text_alternatives(filled: Engine) -> None:
    with filled.connect() as connection:
        page, _ = page_of(connection)
    assert len(re.findall(r'<div role="img" aria-label="[^"]{40,}"><svg', page)) == 4
    assert page.count("wave 1 (6)") == 1
    assert page.count("wave 3 (6)") == 1


def test_names_are_shown_not_interpreted(filled: Engine) -> None:
    with filled.connect() as connection:
        page, _ = page_of(connection)
    assert "pipeline &lt;3&gt; &amp; co" in page
    assert "<b>&" not in page


def test_the_terminal_shows_every_table(filled: Engine) -> None:
    with filled.connect() as connection:
        text = printed(connection)
    titles = (
        "Summary", "Pipelines", "By policy and strategy", "Tasks", "Nodes", "Bookings", "Prediction against reality",
        "What predictions rest on", "earlier runs of its kind there", "size and node only", "all together",
    )  # fmt: skip
    for title in titles:
        assert title in text
    assert "18: 16 succeeded, 2 failed" in text


def test_a_terminal_of_80_columns_breaks_no_cell_of_the_tasks(filled: Engine) -> None:
    with filled.connect() as connection:
        narrow, wide = printed(connection, width=80), printed(connection, width=200)
    for cells in (("run-0", "preprocessing", "SUCCEEDED"), ("run-17", "evaluation", "SKIPPED")):
        assert any(all(cell in line for cell in cells) for line in narrow.splitlines())
    assert any("training/forest" in line and "medium" in line for line in narrow.splitlines())
    assert "wider terminal" in narrow
    assert "wider terminal" not in wide
    assert max(map(len, narrow.splitlines())) <= 80


def test_makespan_and_sum_of_execution_are_told_apart(filled: Engine) -> None:
    with filled.connect() as connection:
        text = printed(connection)
        built = build_report(connection)
    assert "Makespan (first start to last end)" in text
    assert "Execution, sum over runs" in text
    summed = built.totals["sum_execution_seconds"]
    assert summed == pytest.approx(sum(float(str(run["execution_seconds"])) for run in built.runs))
    (choice,) = built.choices
    assert (choice["policy"], choice["strategy"], choice["runs"]) == ("fifo", "greedy", 18)
    assert choice["makespan_seconds"] == built.totals["total_execution_seconds"]


def test_the_page_says_when_each_task_ran_and_by_which_policy_and_strategy(filled: Engine) -> None:
    with filled.connect() as connection:
        page, _ = page_of(connection)
        task = build_report(connection).tasks[0]
    assert f"<td>{moment(task['started_at'])}</td>" in page
    assert f"<td>{moment(task['finished_at'])}</td>" in page
    assert "<td>fifo, greedy</td>" in page


def test_long_tables_only_scroll_in_a_box(filled: Engine, engine: Engine) -> None:
    with filled.connect() as connection:
        assert 'class="scroll long"' not in page_of(connection)[0]
    with transaction(engine) as connection:
        connection.exec_driver_sql("TRUNCATE runs, nodes, node_loads CASCADE")
        insert_history(connection, runs=70)
        assert page_of(connection)[0].count('class="scroll long"') == 1


def test_waves_are_marked_where_they_tell_something() -> None:
    def waves(*runs: int, labelled: bool = False) -> list[Wave]:
        return [Wave(name=str(n), started_at=NOW, runs=runs[n], labelled=labelled) for n in range(len(runs))]

    assert waves_to_mark([]) == []
    assert waves_to_mark(waves(1, 1, 1)) == ()
    assert len(waves_to_mark(waves(1, 2))) == 2
    assert waves_to_mark(waves(*[2] * 13)) == ()
    assert len(waves_to_mark(waves(*[1] * 13, labelled=True))) == 13


def test_names_of_waves_do_not_lie_on_each_other(engine: Engine) -> None:
    with transaction(engine) as connection:
        insert_history(connection, runs=40, waves=1)
        connection.exec_driver_sql("UPDATE runs SET labels = jsonb_build_object('wave', name)")
        page, _ = page_of(connection)
    assert 2 <= page.count("(1)</text>") <= 4


def test_thousands_of_tasks_make_a_page_of_bounded_size(engine: Engine) -> None:
    """Ten thousand with NODEWISE_EXAMPLES=1; always more than a page shows."""
    with transaction(engine) as connection:
        insert_history(connection, runs=max(1_100, examples(3_334)), waves=4, labelled=False)
    with engine.connect() as connection:
        page, _ = page_of(connection)
    assert len(page) < 4_000_000
    assert "more rows are left out" in page
    assert "The first 3000 attempts" in page


def test_the_export_names_every_component_with_its_node_and_platform(filled: Engine, tmp_path: Path) -> None:
    with filled.connect() as connection:
        export_all(connection, tmp_path)
    pipelines = json.loads((tmp_path / "pipelines.json").read_text())
    assert len(pipelines) == 18
    assert {
        "id",
        "name",
        "state",
        "submitted_at",
        "scheduled_at",
        "finished_at",
        "duration",
        "components",
    } <= set(pipelines[0])
    first = pipelines[0]["components"][0]
    assert first["type"] == "preprocessing"
    assert first["platform"] in {"amd64", "arm64"}
    assert first["start_time"].endswith("Z")
    assert first["duration"] > 0
    assert pipelines[0]["execution"] == pytest.approx(pipelines[0]["duration"])
    assert pipelines[0]["waiting"] > 0
    skipped = pipelines[8]["components"][2]
    assert (skipped["state"], skipped["node"], skipped["start_time"]) == ("SKIPPED", None, None)


def test_the_counts_start_and_end_with_nothing_running_and_mark_each_wave(
    filled: Engine, tmp_path: Path
) -> None:
    with filled.connect() as connection:
        export_all(connection, tmp_path)
    with (tmp_path / "n_pipelines.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["type"] for row in rows].count("new_window") == 3
    assert rows[0]["type"] == "new_window"
    assert (rows[-1]["running_pipelines"], rows[-1]["waiting_pipelines"]) == ("0", "0")
    assert [row["timestamp"] for row in rows] == sorted(row["timestamp"] for row in rows)


def test_every_prediction_is_exported_with_its_outcome(filled: Engine, tmp_path: Path) -> None:
    with filled.connect() as connection:
        export_all(connection, tmp_path)
        expected = count(connection, "predictions")
    with (tmp_path / "predictions.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == expected > 0
    for row in rows:
        low, actual, high = (
            float(row[name]) for name in ("predicted_low", "actual_seconds", "predicted_high")
        )
        assert row["held"] == str(low <= actual <= high)
        assert (row["actual_memory_mib"], row["memory_held"]) == ("110", "True")


def test_the_summary_says_how_good_the_predictions_were(filled: Engine) -> None:
    with filled.connect() as connection:
        report = build_report(connection)
        text = printed(connection)
        connection.exec_driver_sql("UPDATE attempts SET predicted_seconds = NULL")
        without = printed(connection)
    (overall,) = [row for row in report.quality if row["overall"]]
    assert f"(median of {overall['attempts']})" in text
    assert f"{percent(overall['held_share'])}, promised: 80 %" in text
    assert "predicted" not in without.partition("Pipelines")[0]


def test_every_table_is_exported_with_all_its_rows(filled: Engine, tmp_path: Path) -> None:
    with filled.connect() as connection:
        export_all(connection, tmp_path)
        for name in schema.metadata.tables.keys() - {"api_keys"}:
            assert pq.read_table(tmp_path / f"{name}.parquet").num_rows == count(connection, name)
    assert not (tmp_path / "api_keys.parquet").exists()
    runs = pq.read_table(tmp_path / "runs.parquet")
    assert runs.schema.field("submitted_at").type == pa.timestamp("us", tz="UTC")
    assert {json.loads(labels.as_py())["wave"] for labels in runs["labels"]} == {"1", "2", "3"}


def test_the_commands_write_the_page_and_the_files(filled: Engine, database_url: str, tmp_path: Path) -> None:
    app = Typer()
    app.command("report")(report)
    app.command("export")(export)
    url = plain_url(database_url)
    page = tmp_path / "out" / "report.html"
    shown = CliRunner().invoke(app, ["report", "--database", url, "--output", str(page)])
    assert shown.exit_code == 0, shown.output
    assert page.read_text().startswith("<!doctype html>")
    written = CliRunner().invoke(app, ["export", str(tmp_path / "files")], env={"DATABASE_URL": url})
    assert written.exit_code == 0, written.output
    assert (tmp_path / "files" / "runs.parquet").is_file()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "nodewise up"),
        (["--database", "postgresql://nobody@127.0.0.1:1/none"], "does not answer"),
        (["--database", "what is this"], "not the URL"),
        (["--database", "postgresql://x@127.0.0.1:1/y", "--since", "yesterday"], "2026-11-20"),
    ],
)
def test_a_command_that_cannot_work_says_what_to_do(
    arguments: list[str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("DATABASE_URL", "NODEWISE_DATABASE_URL", "NODEWISE_HOME"):
        monkeypatch.delenv(name, raising=False)
    app = Typer(rich_markup_mode=None)
    app.command("report")(report)
    app.command("export")(export)
    result = CliRunner().invoke(app, ["report", *arguments])
    assert isinstance(result.exception, NotPossible)
    assert said in str(result.exception)
    assert "\n" not in str(result.exception)
