"""`nodewise plan` and `nodewise explain` of what waits, against the API on a loopback port."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import Result

from nodewise.sdk.cli.explanation import explain_task
from tests.support.fake_api import FakeApi, plan_info, task_info

QUICKSTART = str(Path(__file__).resolve().parents[3] / "examples" / "quickstart.py")
Cli = Callable[..., Result]


@pytest.fixture
def api() -> FakeApi:
    fake = FakeApi()
    fake.answers["plans"] = plan_info()
    return fake


def columns(line: str) -> list[str]:
    return [cell.strip() for cell in line.split("  ") if cell.strip()]


def test_plan_shows_when_and_where_and_why(cli: Cli) -> None:
    result = cli("plan", QUICKSTART)

    assert result.exit_code == 0, result.output
    header, load, fit, _, meaning, done, quality = result.stdout.splitlines()
    assert columns(header) == ["task", "node", "start", "finish", "finish (80 %)", "run", "why"]
    assert columns(load) == [
        "load", "n1", "now", "in 3.0 s", "in 2.0 s to 6.0 s", "3.0 s (2.0 to 6.0, learned)", "n1 has room for it at once",
    ]  # fmt: skip
    assert columns(fit)[2:5] == ["in 3.0 s", "12:01:30", "12:00:02 to 12:02:00"]
    assert "if every task takes its median run time" in meaning
    assert done == (
        "done in about 90.0 s, at 12:01:30 (80 %: 12:01:15 to 12:02:00) UTC; 12 tasks of other runs before it"
    )
    assert quality == (
        "eft: in the order of fifo. By the plan all that is queued ends 95.0 s from now; "
        "no plan can end before 90.0 s, so at most 5.6 % are lost"
    )


def test_plan_sends_what_submit_would(cli: Cli, api: FakeApi) -> None:
    options = ("-p", "depth=4", "--policy", "priority", "--strategy", "heft", "--priority", "3")

    assert cli("plan", QUICKSTART, *options).exit_code == 0
    cli("submit", QUICKSTART, *options)

    planned, submitted = (json.loads(r.content) for r in api.requests if r.method == "POST")
    assert planned == {key: submitted[key] for key in planned}
    assert (planned["parameters"], planned["strategy"]) == ({"depth": 4}, "heft")
    assert set(submitted) - set(planned) == {"name", "labels"}


def test_plan_as_json_is_the_answer(cli: Cli) -> None:
    assert json.loads(cli("plan", QUICKSTART, "--json").stdout) == plan_info()


def test_plan_warns_of_what_cannot_be_planned(cli: Cli, api: FakeApi) -> None:
    nothing = {"tasks": [], "start": None, "finish": None, "finish_low": None, "finish_high": None, "gap": None,
               "makespan_seconds": None, "lower_bound_seconds": None}  # fmt: skip
    left = [{"path": "fit", "reason": "no node has 64 cores"}]
    api.answers["plans"] = plan_info(**nothing, unplannable=left)

    result = cli("plan", QUICKSTART)

    assert result.exit_code == 0
    assert result.stderr == "warning: task fit cannot be planned: no node has 64 cores\n"
    assert result.stdout.splitlines()[0] == "no task can be planned"
    assert "when it is done cannot be told" in result.stdout


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"optimal": True}, "ends 95.0 s from now: proved optimal"),
        ({"gap": None}, "ends 95.0 s from now"),
        ({"queue": {"tasks_before": 1, "tasks_running": 0}}, "1 task of other runs before it"),
        ({"queue": {"tasks_before": 0, "tasks_running": 0}}, "nothing before it"),
        ({"finish_high": "2026-11-23T12:00:00Z"}, "to 2026-11-23 12:00) UTC"),
    ],
)
def test_plan_says_how_good_it_is(cli: Cli, api: FakeApi, changes: dict[str, Any], said: str) -> None:
    api.answers["plans"] = plan_info(**changes)
    assert said in cli("plan", QUICKSTART).stdout


def test_plan_says_of_a_long_queue_what_it_does_not_rest_on(cli: Cli, api: FakeApi) -> None:
    rest = {"runs": 5, "tasks": 9, "text": "the queue is longer: 5 runs with 9 tasks wait beside"}
    api.answers["plans"] = plan_info(queue={"tasks_before": 1, "tasks_running": 0, "left_out": rest})
    lines = cli("plan", QUICKSTART).stdout.splitlines()
    assert lines[-1] == rest["text"]
    assert "By the plan all of it ends 95.0 s from now" in lines[-2]


def test_plan_refuses_a_parameter_that_the_pipeline_has_not(cli: Cli, api: FakeApi) -> None:
    assert cli("plan", QUICKSTART, "-p", "dept=4").exit_code == 1
    assert api.requests == []


def lines_of(**changes: Any) -> list[str]:
    task = {
        **task_info("r", "fit", state="READY", attempt=0, node=None, reason="no node has room now."),
        **changes,
    }
    return [line.strip() for line in explain_task({"attempts": [], "pending": None, **task}).splitlines()]


def test_explain_tells_what_a_task_waits_for_and_what_would_change_it() -> None:
    why = {"code": "no_room", "text": "no node has room", "as_of": "2026-11-20T12:03:00Z", "overtaken": None}
    pending = {
        "as_of": "2026-11-20T12:03:00Z",
        "why": why,
        "waits_for": [
            {"path": "load", "state": "RUNNING", "node": "n1", "expected_end_at": "2026-11-20T12:04:10Z"},
            {"path": "clean", "state": "READY", "node": None, "expected_end_at": None},
        ],
        "nodes": [
            {"node": "n1", "code": "cpu_booked", "text": "0.5 of 2 cores free, needs 1.5", "lasting": False},
            {"node": "n2", "code": "label", "text": "label zone=us, needs eu", "lasting": True},
            {"node": "n3", "code": None, "text": "has room for it now", "lasting": False},
        ],
        "changes": [{"kind": "time", "text": "when load has ended", "node": "n1", "at": None}],
    }
    expected = {
        "expected_node": "n3",
        "expected_start_at": "2026-11-20T12:04:10Z",
        "expected_end_at": "2026-11-20T12:04:31.5Z",
    }
    assert lines_of(pending=pending, effort_flops=None, **expected) == [
        "fit: READY",
        "why: no node has room",
        "expected, by the latest plan: on n3 from about 12:04:10 to 12:04:31 UTC",
        "waits for: load (RUNNING on n1, until about 12:04:10 UTC)",
        "waits for: clean (READY)",
        "the nodes, at 12:03:00 UTC:",
        "node  room for it  why",
        "n1    not now      0.5 of 2 cores free, needs 1.5",
        "n2    never        label zone=us, needs eu",
        "n3    now          has room for it now",
        "what would change it:",
        "- when load has ended",
    ]


def test_explain_says_of_a_reason_that_it_is_older_and_what_has_happened_since() -> None:
    why = {"code": "no_room", "text": "n1 is full", "as_of": None, "overtaken": "n1 has room for it now"}
    pending = {"as_of": "2026-11-20T12:03:00Z", "why": why, "waits_for": [], "nodes": [], "changes": []}
    assert lines_of(pending=pending)[:3] == [
        "fit: READY",
        "why, at the latest look of who decides: n1 is full",
        "since then: n1 has room for it now",
    ]
    pending["why"] = {**why, "overtaken": None}
    assert lines_of(pending=pending, effort_flops=None)[2] == "what would change it:"


def test_explain_says_why_a_task_failed_that_never_had_an_attempt() -> None:
    reason = "input 's': there is no field 'a'"
    failed = lines_of(state="FAILED", pending=None, reason=reason, attempts=[])
    assert failed[:2] == ["fit: FAILED", f"why: {reason}"]


def test_explain_says_why_no_earlier_result_was_reused() -> None:
    why = "its inputs are there; no earlier result is reused: no earlier task was the same: parameter a was 1, is 4"
    told = lines_of(state="RUNNING", pending=None, queued_reason=why)
    assert told[1] == "no earlier result is reused: no earlier task was the same: parameter a was 1, is 4"
    assert not any("earlier" in line for line in lines_of(pending=None, queued_reason="its inputs are there"))


def test_explain_shows_what_each_candidate_would_have_cost() -> None:
    costs = {"run_seconds": 4.1, "run_low": 3.2, "run_high": 5.64, "transfer_seconds": 0.8, "wait_seconds": None,
             "finish_seconds": 4.9, "load": 0.25}  # fmt: skip
    attempt = {
        "attempt": 1, "node": "n2", "state": "RUNNING", "reason": "ends first", "predicted_seconds": 4.1,
        "predicted_low": 3.2, "predicted_high": 5.6, "prediction_level": 0.8, "prediction_basis": "learned",
        "prediction_samples": 4,
        "candidates": [
            {"node": "n1", "scores": {}, "exclusion": {"node": "n1", "code": "label", "text": "label zone=us, needs eu"}},
            {"node": "n2", "scores": costs, "exclusion": None},
        ],
    }  # fmt: skip
    lines = lines_of(state="RUNNING", attempts=[attempt])
    assert "predicted: 4.1 s (80 %: 3.2 to 5.6; learned from 4 runs)" in lines
    table = [columns(line) for line in lines[-3:]]
    assert table[0] == ["node", "run (80 %)", "transfer", "wait", "finish", "load", "out because"]
    assert table[1] == ["n1", "-", "-", "-", "-", "-", "label zone=us, needs eu"]
    assert table[2] == ["*", "n2", "4.1 (3.2 to 5.6)", "0.8", "-", "4.9", "0.25"]


def test_explain_tells_of_what_was_left_out_as_a_whole_and_of_a_task_in_it(cli: Cli, api: FakeApi) -> None:
    api.add_run("r")
    branch = {
        "path": "condition-1",
        "state": "SKIPPED",
        "code": "condition_not_met",
        "text": 'its condition is not met: flip.Output == "heads", but flip.Output is "tails"',
    }
    loop = {"path": "loop-2", "state": "WAITING", "code": "upstream_not_finished", "text": "waits for flip"}
    api.answers.update({"explain": [], "explain besides": {"parts": [branch, loop]}})
    for task in ((), ("condition-1.train",)):
        said = cli("explain", "r", *task)
        assert said.exit_code == 0, said.output
        assert said.stdout.splitlines()[2:] == [
            "condition-1: SKIPPED, left out as a whole",
            f"  why: {branch['text']}",
            "",
            "loop-2: WAITING, not begun as a whole",
            "  why: waits for flip",
        ]


def test_explain_says_how_long_a_long_queue_is(cli: Cli, api: FakeApi) -> None:
    api.add_run("r")
    queue = {"runs": 9, "tasks": 9, "window": 5, "looks": 9, "text": "9 runs wait"}
    api.answers.update({"explain": [], "explain besides": {"queue": queue}})
    assert "the queue: 9 runs wait" in cli("explain", "r").stdout
