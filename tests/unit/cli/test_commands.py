"""The command line against the API on a loopback port."""

import io
import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from typer.testing import CliRunner, Result

from nodewise.sdk.cli.app import app
from nodewise.sdk.cli.explanation import known
from nodewise.sdk.cli.output import age, fits, rich_blocks, size
from tests.support.fake_api import FakeApi, run_info, task_info

ROOT = Path(__file__).resolve().parents[3]
QUICKSTART = str(ROOT / "examples" / "quickstart.py")
Cli = Callable[..., Result]


def submitted(api: FakeApi) -> dict[str, Any]:
    return dict(json.loads(next(r for r in api.requests if r.method == "POST").content))


def test_submit_prints_the_run(cli: Cli, api: FakeApi) -> None:
    result = cli(
        "submit", QUICKSTART, "-p", "depth=4", "--name", "mine", "--label", "wave=1", "--priority", "3"
    )

    assert result.exit_code == 0, result.output
    assert result.stdout.split() == ["00000000-0000-4000-8000-000000000000", "mine", "PENDING"]
    sent = submitted(api)
    assert (sent["parameters"], sent["labels"], sent["priority"]) == ({"depth": 4}, {"wave": "1"}, 3)
    assert sent["pipeline_spec"]["pipelineInfo"]["name"] == "quickstart"


def test_submit_switches_caching_off_where_it_is_told_to(cli: Cli, api: FakeApi) -> None:
    cli("submit", QUICKSTART, "--no-cache")
    assert submitted(api)["cache"] is False


def test_submit_says_nothing_of_caching_by_itself(cli: Cli, api: FakeApi) -> None:
    cli("submit", QUICKSTART)
    assert "cache" not in submitted(api)


def test_submit_refuses_an_unknown_parameter_with_the_known_ones(cli: Cli, api: FakeApi) -> None:
    result = cli("submit", QUICKSTART, "-p", "dept=4")

    assert result.exit_code == 1
    assert "no parameter named 'dept'; known: depth" in result.stderr
    assert api.requests == []


@pytest.mark.parametrize("arguments", [("-p", "depth"), ("--label", "=x"), ("--deadline", "soon")])
def test_submit_refuses_what_it_cannot_read(cli: Cli, api: FakeApi, arguments: tuple[str, str]) -> None:
    result = cli("submit", QUICKSTART, *arguments)

    assert result.exit_code == 2
    assert result.stderr.startswith("error: ")
    assert api.requests == []


def test_submit_names_file_and_line_of_an_error_without_a_traceback(cli: Cli, tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text("from nodewise.sdk import pipeline\n\nprint(nothing)\n")

    result = cli("submit", str(file))

    assert result.exit_code == 1
    assert result.stderr.splitlines() == [f"error: {file}:3: NameError: name 'nothing' is not defined"]


def test_debugging_shows_the_traceback(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NODEWISE_DEBUG", "1")

    assert isinstance(cli("get", "nothing").exception, Exception)
    assert not isinstance(cli("get", "nothing").exception, SystemExit)


def test_submit_and_watch_ends_with_the_run(cli: Cli) -> None:
    result = cli("submit", QUICKSTART, "--watch")

    assert result.exit_code == 0, result.output
    assert "fit: SUCCEEDED on n1 after 2.2 s (least loaded)" in result.stdout
    assert "SUCCEEDED" in result.stdout.splitlines()[-1]


def test_submit_and_watch_as_json_prints_nothing_but_the_ended_run(cli: Cli) -> None:
    result = cli("submit", QUICKSTART, "--watch", "--json")

    assert json.loads(result.stdout)["state"] == "SUCCEEDED"


def test_watch_fails_when_the_run_failed(cli: Cli, api: FakeApi) -> None:
    api.add_run("a" * 36, states=("RUNNING", "RUNNING", "FAILED"))
    api.tasks["a" * 36] = [task_info("a" * 36, "fit", state="FAILED", reason="exit code 3")]

    result = cli("watch", "latest")

    assert result.exit_code == 1
    assert "fit: FAILED on n1 after 2.2 s (exit code 3)" in result.stdout
    assert "\x1b" not in result.stdout


def test_watch_and_explain_say_what_broke_a_run_whose_tasks_all_ended_well(cli: Cli, api: FakeApi) -> None:
    error = "the condition of 'say' cannot be decided: int('x')"
    api.add_run("r", states=("RUNNING", "FAILED"), error=error)
    api.answers["explain"] = explained("r")

    assert cli("watch", "r").stdout.splitlines()[-1] == f"why: {error}"
    assert f"why: {error}" in cli("explain", "r").stdout.splitlines()


def test_watch_tells_of_retries_and_losses(cli: Cli, api: FakeApi) -> None:
    failure = {
        "attempt": 1,
        "node": "n1",
        "state": "FAILED",
        "code": "exit_code",
        "message": "ValueError: no rows",
    }
    lost = {**failure, "state": "LOST", "message": None, "code": "node_gone"}
    api.add_run("r", states=("RUNNING", "RUNNING", "SUCCEEDED"))
    waiting = {
        "state": "READY",
        "attempt": 1,
        "node": None,
        "why_node": None,
        "finished_at": None,
        "reason": "waits 2 s",
    }
    api.tasks["r"] = [
        task_info("r", "fit", attempt=2, last_failure=failure),
        task_info("r", "load", last_failure=lost, **waiting),
        task_info("r", "said", last_failure=failure, **{**waiting, "reason": "waits after ValueError: no rows"}),
        task_info("r", "bad", state="FAILED", attempt=2, last_failure={**failure, "attempt": 2}, reason="exit code 1"),
    ]  # fmt: skip

    out = cli("watch", "r").stdout

    assert (
        "fit: SUCCEEDED on n1 after 2.2 s (least loaded; attempt 2; attempt 1 failed: ValueError: no rows)"
        in out
    )
    assert "load: READY (waits 2 s; attempt 1 lost: node_gone)" in out
    assert "said: READY (waits after ValueError: no rows)" in out
    assert "bad: FAILED on n1 after 2.2 s (exit code 1; attempt 2)" in out
    assert "attempt 1 failed: ValueError: no rows" in cli("get", "r").stdout


def test_ls_is_a_plain_table_and_the_ids_tell_runs_apart(cli: Cli, api: FakeApi) -> None:
    api.add_run("11111111-1" + "0" * 26, name="one")
    api.add_run("11111111-2" + "0" * 26, name="two", states=("FAILED",))

    lines = cli("ls").stdout.splitlines()

    assert lines[0].split()[:3] == ["run", "name", "state"]
    assert [line.split()[:3] for line in lines[1:]] == [
        ["11111111-2", "two", "FAILED"],
        ["11111111-1", "one", "SUCCEEDED"],
    ]


def test_ls_as_json_and_by_state(cli: Cli, api: FakeApi) -> None:
    api.add_run("a", states=("FAILED",))
    api.add_run("b")

    assert [run["id"] for run in json.loads(cli("ls", "--state", "failed", "--json").stdout)] == ["a"]


def test_ls_without_runs_says_so(cli: Cli) -> None:
    assert cli("ls").stdout == "no runs\n"


@pytest.mark.parametrize("ref", ["latest", "beef", "deadbeef", "two"])
def test_a_run_may_be_abbreviated(cli: Cli, api: FakeApi, ref: str) -> None:
    api.add_run("deadbee1", name="one")
    api.add_run("deadbeef", name="two")

    result = cli("get", ref)

    assert (ref == "beef") == ("no run named 'beef'" in result.stderr)
    assert (ref != "beef") == ("deadbeef" in result.stdout)


def test_an_abbreviation_of_several_runs_names_them(cli: Cli, api: FakeApi) -> None:
    api.add_run("deadbee1")
    api.add_run("deadbeef")

    result = cli("get", "dead")

    assert result.exit_code == 1
    assert "2 runs begin with 'dead': deadbeef (quickstart), deadbee1 (quickstart)" in result.stderr


def test_get_shows_facts_tasks_and_outputs(cli: Cli, api: FakeApi) -> None:
    api.add_run("r", parameters={"depth": 3}, labels={"wave": "1"})

    out = cli("get", "latest").stdout

    assert "parameters  depth=3" in out
    assert "fit.Output = 0.97" in out


def test_logs_of_all_tasks_or_of_one(cli: Cli, api: FakeApi) -> None:
    api.add_run("r")
    api.texts |= {"tasks/load/logs": "reading\n", "tasks/fit/logs": "fitting\n"}

    assert cli("logs", "r").stdout.splitlines() == [
        "==> load (SUCCEEDED) <==", "reading", "==> fit (SUCCEEDED) <==", "fitting",
    ]  # fmt: skip
    assert cli("logs", "r", "fit", "--follow").stdout == "fitting\n"


def test_logs_of_an_unknown_task_names_the_known_ones(cli: Cli, api: FakeApi) -> None:
    api.add_run("r")

    assert "no task named 'nope'; known: load, fit" in cli("logs", "r", "nope").stderr


def test_cancel_says_what_became_of_it(cli: Cli, api: FakeApi) -> None:
    api.add_run("r", states=("RUNNING",))

    assert cli("cancel", "r").stdout == "r  quickstart  CANCELING, asked to end\n"


def test_cancelling_what_has_ended_fails(cli: Cli, api: FakeApi) -> None:
    api.add_run("r")

    result = cli("cancel", "r")

    assert result.exit_code == 1
    assert "already ended" in result.stderr


def explained(run_id: str) -> list[dict[str, Any]]:
    attempt = {
        "attempt": 1, "node": "n2", "state": "SUCCEEDED", "policy": "fifo", "strategy": "greedy",
        "reason_code": "placed", "reason": "least loaded of 2", "predicted_seconds": 2.0,
        "end_code": "finished", "end_message": None,
        "candidates": [
            {"node": "n1", "scores": {"load": None}, "exclusion": {"code": "no_room", "text": "needs 1 core, has 0.2"}},
            {"node": "n2", "scores": {"load": 0.25, "free_cores": 2.0}, "exclusion": None},
        ],
    }  # fmt: skip
    waiting = task_info(run_id, "fit", state="READY", attempt=0, node=None, reason="waits for load")
    return [{**task_info(run_id, "load"), "attempts": [attempt]}, {**waiting, "attempts": []}]


def test_explain_shows_every_candidate_and_why_others_wait(cli: Cli, api: FakeApi) -> None:
    api.add_run("r")
    api.answers["explain"] = explained("r")

    lines = [line.strip() for line in cli("explain", "r").stdout.splitlines()]

    assert "attempt 1 on n2: SUCCEEDED (policy fifo, strategy greedy)" in lines
    assert "why this node: least loaded of 2" in lines
    assert "n1    -     -           needs 1 core, has 0.2" in lines
    assert "*  n2    0.25  2" in lines
    assert "why: waits for load" in lines


def test_explain_counts_the_nodes_that_are_not_told_of(cli: Cli, api: FakeApi) -> None:
    api.add_run("r")
    tasks = explained("r")
    counts = {
        "cpu_booked": 500,
        "memory_booked": 700,
        "cpu_too_small": 50,
        "has_room": 8,
        "of_a_newer_server": 1,
    }
    tasks[0]["attempts"][0]["more_candidates"] = counts
    api.answers["explain"] = tasks

    lines = [line.strip() for line in cli("explain", "r").stdout.splitlines()]

    assert "and 1,259 more: 1,200 full, 50 too small, 8 with room, 1 of_a_newer_server" in lines


def test_explain_of_one_task_shows_only_that(cli: Cli, api: FakeApi) -> None:
    api.add_run("r")
    api.answers["explain"] = explained("r")

    assert [task["path"] for task in json.loads(cli("explain", "r", "fit", "--json").stdout)["tasks"]] == [
        "fit"
    ]


def test_queue_strategies_and_policies_are_listed(cli: Cli, api: FakeApi) -> None:
    choice = {"name": "fifo", "summary": "First come, first served.", "default": True}
    item = {
        "run_id": "deadbeef-1", "run_name": "quickstart", "path": "fit", "state": "READY", "position": None,
        "reason_code": "no_room", "reason": "no node has 1 core free", "ready_at": None, "waited_seconds": 3.0,
        "priority": 0, "policy": "fifo", "strategy": "greedy", "resources": {},
    }  # fmt: skip
    api.answers |= {
        "policies": {"items": [choice]},
        "strategies": {
            "items": [choice],
            "presets": [{"name": "fifo_greedy", "policy": "fifo", "strategy": "greedy", "summary": "Both."}],
        },
        "queue": {"counts": {"READY": 1}, "items": [item], "waiting": []},
    }

    assert "First come, first served." in cli("policies").stdout
    assert "fifo_greedy" in cli("strategies").stdout
    assert "no node has 1 core free" in cli("queue").stdout


def test_queue_lists_what_waits_for_inputs_after_what_is_queued(cli: Cli, api: FakeApi) -> None:
    run = {"run_id": "deadbeef-1", "run_name": "wave", "priority": 0, "policy": "fifo", "strategy": "greedy"}
    awaited = [{"path": "load", "state": "RUNNING"}, {"path": "clean", "state": "WAITING"}]
    waiting = [
        {
            **run,
            "tasks": 9,
            "items": [{"path": "fit", "waits_for": awaited}, {"path": "test", "waits_for": []}],
        }
    ]
    api.answers["queue"] = {"counts": {"WAITING": 12, "READY": 0}, "items": [], "waiting": waiting}
    assert [" ".join(line.split()) for line in cli("queue").stdout.splitlines()] == [
        "12 WAITING, 0 READY",
        "nothing is queued",
        "",
        "not queued yet, since their inputs are not there:",
        "run name task waits for",
        "deadbeef wave fit load (RUNNING), clean (WAITING)",
        "deadbeef wave test its turn: its inputs are there",
        "deadbeef wave and 7 more",
        "and 3 tasks of other runs",
    ]


def test_data_put_and_ls(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("a,b\n1,2\n3,4\n")

    put = cli("data", "put", "mine", str(tmp_path / "a.csv"), "--classes", "2")

    assert put.exit_code == 0, put.output
    assert put.stdout.splitlines()[1].split() == ["mine", "tabular", "12", "B", "2", "2", "2", "2", "int64"]
    assert "mine" in cli("data", "ls").stdout


def test_no_stack_is_one_clear_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("NODEWISE_URL", raising=False)
    monkeypatch.setenv("NODEWISE_HOME", str(tmp_path))

    result = CliRunner().invoke(app, ["ls"])

    assert result.exit_code == 1
    assert len(result.stderr.splitlines()) == 1
    assert "run `nodewise up`" in result.stderr


def test_a_log_is_nothing_but_the_log(cli: Cli, api: FakeApi) -> None:
    api.add_run("r")
    api.texts["tasks/load/logs"] = "reading"

    assert cli("logs", "r", "load").stdout == "reading"
    silent = cli("logs", "r", "fit")
    assert (silent.stdout, silent.stderr) == ("", "task fit wrote nothing\n")


@pytest.mark.parametrize("label", ["wave=1", "wave:1"])
def test_a_label_is_asked_for_as_it_was_given(cli: Cli, api: FakeApi, label: str) -> None:
    cli("ls", "--label", label)

    assert api.requests[0].url.params["label"] == "wave:1"


def test_submit_warns_of_what_no_node_can_take(cli: Cli, api: FakeApi) -> None:
    run_id = "00000000-0000-4000-8000-000000000000"
    hopeless = {"code": "unsatisfiable", "text": "no node has 64 cores"}
    api.answers["findings"] = [
        {**hopeless, "paths": ["fit"], "tasks": 1},
        {**hopeless, "paths": ["loop[0].a", "loop[1].a"], "tasks": 7},
    ]

    result = cli("submit", QUICKSTART)

    assert (result.exit_code, result.stdout.split()[0]) == (0, run_id)
    assert result.stderr.splitlines() == [
        "warning: task fit cannot run now: no node has 64 cores",
        "warning: tasks loop[0].a, loop[1].a and 5 more cannot run now: no node has 64 cores",
    ]


@pytest.mark.parametrize("findings", [None, []])
def test_submit_warns_of_nothing_where_nothing_is_told(cli: Cli, api: FakeApi, findings: Any) -> None:
    api.answers["findings"] = findings
    assert cli("submit", QUICKSTART).stderr == ""


def test_interrupting_a_watch_says_that_the_run_goes_on(
    cli: Cli, api: FakeApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: Any) -> None:
        raise KeyboardInterrupt

    api.add_run("r", states=("RUNNING",))
    monkeypatch.setattr("nodewise.sdk.client.run.Run.pause", interrupt)

    result = cli("watch", "r")

    assert result.exit_code == 130
    assert "the run goes on; `nodewise cancel r` ends it" in result.stderr


def test_data_put_refuses_what_it_does_not_know_unless_told_the_kind(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "a.bin").write_bytes(b"123")
    (tmp_path / "empty.csv").write_text("")

    refused = cli("data", "put", "mine", str(tmp_path / "a.bin"))

    assert refused.exit_code == 1
    assert ".csv, .jsonl, .ndjson, .npy, .npz, .parquet, .tsv, a folder" in refused.stderr
    assert cli("data", "put", "mine", str(tmp_path / "a.bin"), "--kind", "images").exit_code == 0
    assert "holds no samples" in cli("data", "put", "mine", str(tmp_path / "empty.csv")).stderr


def test_a_narrow_screen_loses_no_value() -> None:
    headers = ("node", "state", "worker type", "cores free", "load", "seen")
    rows = [(f"n{number}", "READY", "high-cpu", "0.5/2", "1.50 (90s old)", "3s") for number in range(3)]
    console = Console(file=io.StringIO(), width=40, force_terminal=False)

    console.print(rich_blocks(headers, rows, width=40))

    assert isinstance(console.file, io.StringIO)
    shown = console.file.getvalue()
    assert (fits(headers, rows, width=40), fits(headers, rows, width=80)) == (False, True)
    for value in (*rows[2], "worker type high-cpu", "load 1.50 (90s old)"):
        assert value in shown
    assert max(map(len, shown.splitlines())) <= 40


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (21690.0, "21,690"),
        (12.3456, "12.35"),
        (0.000123, "0.000123"),
        (2.0, "2"),
        (0.0, "0"),
        (100.0, "100"),
        (None, "-"),
    ],
)
def test_figures_have_no_exponents(value: float | None, text: str) -> None:
    assert known(value) == text


def test_version_is_printed(cli: Cli) -> None:
    assert cli("--version").stdout == cli("version").stdout
    assert cli("version").stdout.startswith("nodewise ")


def test_ages_and_sizes_are_short() -> None:
    now = datetime(2026, 11, 20, 13, 0, 5, tzinfo=UTC)
    assert age(run_info("r")["submitted_at"], now=now) == "1h"
    assert (size(532), size(1_258_291), size(None)) == ("532 B", "1.2 MiB", "-")
