import json
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from nodewise.simulator.command import simulate
from tests.support.scenarios import Document, a_node, a_pipeline, a_problem, a_task, random_problem

app = typer.Typer()
app.command()(simulate)

CHAIN = a_problem(
    [a_node("n1"), a_node("n2")],
    a_pipeline(a_task("a", {"n1": 2, "n2": 4}), a_task("b", {"n1": 1, "n2": 3}, after=[("a", 100)])),
)


def run(tmp_path: Path, raw: Document, *options: str) -> tuple[int, str, str]:
    path = tmp_path / "problem.json"
    path.write_text(json.dumps(raw), encoding="utf-8")
    result = CliRunner().invoke(app, [str(path), *options])
    return result.exit_code, result.stdout, result.stderr


def test_json_has_exactly_the_keys_of_the_format(tmp_path: Path) -> None:
    code, out, _ = run(tmp_path, CHAIN, "--json")
    found = json.loads(out)
    assert code == 0
    assert list(found) == [
        "schedule", "makespan", "mean_flow", "mean_wait", "lower_bound", "gap", "optimal", "planning_seconds",
    ]  # fmt: skip
    assert found["schedule"] == [
        {"pipeline": "p", "task": "a", "node": "n1", "start": 0.0, "end": 2.0},
        {"pipeline": "p", "task": "b", "node": "n1", "start": 2.0, "end": 3.0},
    ]
    assert (found["makespan"], found["mean_flow"], found["mean_wait"]) == (3.0, 3.0, 0.0)
    assert found["lower_bound"] == {"makespan": pytest.approx(3.0), "mean_flow": pytest.approx(3.0)}
    assert found["optimal"] is True


def test_without_json_a_person_reads_it(tmp_path: Path) -> None:
    code, out, _ = run(tmp_path, random_problem(1, pipelines=30, nodes=3), "--strategy", "heft", "--offline")
    assert code == 0
    for part in (
        "heft, one plan for all",
        "makespan",
        "mean_flow",
        "mean_wait",
        "more tasks; --json prints all",
    ):
        assert part in out


def test_without_options_it_decides_as_the_services_are_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    raw = random_problem(1, pipelines=30, nodes=3)
    schedules = {}
    monkeypatch.setenv("NODEWISE_STRATEGY", "greedy")
    for policy in ("fifo", "shortest"):
        monkeypatch.setenv("NODEWISE_POLICY", policy)
        schedules[policy] = json.loads(run(tmp_path, raw, "--json")[1])["schedule"]
        named = json.loads(run(tmp_path, raw, "--json", "--policy", policy, "--strategy", "greedy")[1])
        assert named["schedule"] == schedules[policy]
    assert schedules["fifo"] != schedules["shortest"]


def test_a_preset_names_policy_and_strategy(tmp_path: Path) -> None:
    raw = random_problem(1, pipelines=30, nodes=3)
    preset = json.loads(run(tmp_path, raw, "--json", "--strategy", "fifo_round_robin")[1])
    both = json.loads(run(tmp_path, raw, "--json", "--policy", "fifo", "--strategy", "round_robin")[1])
    assert preset["schedule"] == both["schedule"]
    _, shown, _ = run(tmp_path, raw, "--strategy", "fifo_round_robin")
    assert "fifo, round_robin, as things happen" in shown


@pytest.mark.parametrize("objective", ["makespan", "mean_flow", "balanced"])
def test_a_planner_takes_objective_budget_and_seed(tmp_path: Path, objective: str) -> None:
    options = (
        "--offline",
        "--strategy",
        "portfolio",
        "--objective",
        objective,
        "--budget",
        "0.1",
        "--seed",
        "3",
    )
    code, out, _ = run(tmp_path, CHAIN, *options, "--json")
    assert (code, json.loads(out)["makespan"]) == (0, 3.0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--policy", "nope"), "no policy named 'nope'; known: balanced"),
        (("--strategy", "nope"), "no strategy or preset named 'nope'; known: balanced"),
        (("--objective", "nope"), "no objective named 'nope'; known: makespan, mean_flow, balanced"),
        (("--budget", "-1"), "--budget must be a number of seconds"),
        (("--budget", "nan"), "--budget must be a number of seconds"),
    ],
)
def test_a_bad_option_ends_with_2_and_one_line(
    tmp_path: Path, options: tuple[str, ...], message: str
) -> None:
    code, out, err = run(tmp_path, CHAIN, *options)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert message in err


def test_a_bad_problem_ends_with_2_and_one_line(tmp_path: Path) -> None:
    code, out, err = run(tmp_path, CHAIN | {"nodes": []}, "--json")
    assert (code, out) == (2, "")
    assert err == "nodewise simulate: nodes: needs at least one\n"


def test_a_bad_setting_ends_with_2(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NODEWISE_TICK_SECONDS", "soon")
    code, _, err = run(tmp_path, CHAIN)
    assert (code, err.count("\n")) == (2, 1)


def test_a_task_that_fits_nowhere_ends_with_2(tmp_path: Path) -> None:
    raw = a_problem([a_node()], a_pipeline(a_task("a", {"n1": 1}, millicores=9000)))
    code, _, err = run(tmp_path, raw)
    assert (code, err) == (2, "nodewise simulate: no node can run p/a\n")


def test_nothing_to_do_is_done_at_once(tmp_path: Path) -> None:
    for options in ((), ("--offline", "--strategy", "heft")):
        code, out, _ = run(tmp_path, a_problem([a_node()]), "--json", *options)
        assert (code, json.loads(out)["makespan"]) == (0, 0.0)


def test_the_page_says_what_was_done_without_planning(tmp_path: Path) -> None:
    _, shown, _ = run(tmp_path, CHAIN, "--budget", "0")
    assert "budget of 0 s: nothing was planned: 2 of 2 tasks were placed when it was spent" in shown
    assert "budget" not in run(tmp_path, CHAIN)[1]
