import json
import time
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from nodewise.core.model.ids import NodeName
from nodewise.simulator.document import document
from nodewise.simulator.errors import InvalidProblem
from nodewise.simulator.problem_file import parse_scenario, read_scenario
from nodewise.simulator.simulation import Choice, simulate
from tests.support.scenarios import a_node, a_pipeline, a_problem, a_task, random_problem

ISSUE: dict[str, Any] = {
    "nodes": [
        {"name": "n1", "class": "gpu", "millicores": 8000, "memory_mib": 16384, "gpus": 1, "slots": 1},
        {"name": "n2", "class": "cpu", "millicores": 8000, "memory_mib": 16384, "gpus": 0, "slots": None},
    ],
    "links": {"default_mib_per_s": 100.0, "pairs": [["n2", "n1", 25.0]]},
    "pipelines": [
        {
            "name": "p1", "submitted_at": 0.0, "priority": 0, "deadline": None, "team": "default",
            "tasks": [
                {"name": "x", "class": "prepare", "millicores": 1000, "memory_mib": 512, "gpus": 0,
                 "seconds": {"n1": 1.0}, "estimate": None, "after": []},
                {"name": "a", "class": "train/cnn", "millicores": 1000, "memory_mib": 512, "gpus": 0,
                 "seconds": {"n1": 3.2, "n2": 9.9}, "estimate": {"n1": 3.0, "n2": 12.0},
                 "after": [{"task": "x", "mib": 12.0}]},
            ],
        }
    ],
}  # fmt: skip


def changed(path: str, value: Any) -> dict[str, Any]:
    """The issue's problem with one value changed; `...` removes the key."""
    problem = deepcopy(ISSUE)
    *way, last = [int(part) if part.isdigit() else part for part in path.split(".")]
    place: Any = problem
    for part in way:
        place = place[part]
    if value is ...:
        del place[last]
    else:
        place[last] = value
    return problem


def test_the_format_of_the_issue_is_read() -> None:
    scenario = parse_scenario(ISSUE)
    truth, believed = scenario.truth, scenario.believed
    task = truth.pipelines[0].tasks[1]
    assert task.seconds == {"n1": 3.2, "n2": 9.9}
    assert believed.pipelines[0].tasks[1].seconds == {"n1": 3.0, "n2": 12.0}
    assert believed.pipelines[0].tasks[0] is truth.pipelines[0].tasks[0]
    assert [(item.task, item.mib) for item in task.after] == [("x", 12.0)]
    assert truth.links.seconds(50.0, NodeName("n1"), NodeName("n2")) == 2.0
    assert [node.slots for node in truth.nodes] == [1, None]


def test_without_estimates_the_decision_sees_the_truth() -> None:
    scenario = parse_scenario(changed("pipelines.0.tasks.1.estimate", None))
    assert scenario.believed is scenario.truth


def test_one_number_as_estimate_holds_on_every_node() -> None:
    scenario = parse_scenario(changed("pipelines.0.tasks.1.estimate", 5))
    assert scenario.believed.pipelines[0].tasks[1].seconds == {"n1": 5.0, "n2": 5.0}


def test_what_may_be_left_out_has_a_default() -> None:
    task = {"name": "a", "millicores": 1, "memory_mib": 1, "seconds": {"n1": 1}}
    node = {"name": "n1", "millicores": 1, "memory_mib": 1}
    scenario = parse_scenario({"nodes": [node], "pipelines": [{"name": "p", "tasks": [task]}]})
    assert scenario.truth.pipelines[0].team == "default"
    assert scenario.truth.links.default_mib_per_s == 100.0


@pytest.mark.parametrize("seed", range(3))
def test_what_is_written_is_read_back(seed: int) -> None:
    raw = random_problem(seed, pipelines=5, nodes=3, spread=10.0) | {
        "failures": [["n001", 1, 2], ["n000", 3, None]]
    }
    scenario = parse_scenario(raw)
    assert parse_scenario(json.loads(json.dumps(document(scenario)))) == scenario


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("nodes", ..., "problem: key 'nodes' is missing"),
        ("nodes", [], "nodes: needs at least one"),
        ("nodes", {}, "nodes: must be a list, is an object"),
        ("nodes.1.name", "n1", "nodes[1].name: 'n1' is there twice"),
        ("nodes.0.memory_mib", ..., "nodes[0]: key 'memory_mib' is missing"),
        ("nodes.0.millicores", -1, "nodes[0].millicores: must be a number from 0 to 1e+12, is -1"),
        ("nodes.0.millicores", 1.5, "nodes[0].millicores: must be a whole number, is 1.5"),
        ("nodes.0.millicores", True, "nodes[0].millicores: must be a number from 0 to 1e+12, is true"),
        ("nodes.0.slots", 0, "nodes[0].slots: must be at least 1, or null"),
        ("failure", [], "problem: unknown key 'failure', is 'failures' meant?"),
        ("links.default_mib_per_s", 0, "links.default_mib_per_s: must be a number from 1e-06 to 1e+12, is 0"),
        ("links.pairs", [["n1", "n3", 1]], "links.pairs[0]: there is no node 'n3'"),
        ("links.pairs", [["n1", "n1", 1]], "links.pairs[0]: needs two different nodes"),
        ("links.pairs", [["n1", "n2", 1], ["n2", "n1", 1]], "links.pairs[1]: 'n1' and 'n2' are there twice"),
        ("pipelines", ..., "problem: key 'pipelines' is missing"),
        ("pipelines.0.submitted_at", -1.0, "pipelines[0].submitted_at: must be a number from 0 to 1e+09, is -1.0"),
        ("pipelines.0.deadline", "soon", "pipelines[0].deadline: must be a number from 0 to 1e+09, is 'soon'"),
        ("pipelines.0.tasks", [], "pipelines[0].tasks: needs at least one"),
        ("pipelines.0.tasks.1.name", "x", "pipelines[0].tasks[1].name: 'x' is there twice"),
        ("pipelines.0.tasks.1.name", "", "pipelines[0].tasks[1].name: must be a text that is not empty, is ''"),
        ("pipelines.0.tasks.1.seconds", ..., "pipelines[0].tasks[1]: key 'seconds' is missing"),
        ("pipelines.0.tasks.1.seconds", {}, "pipelines[0].tasks[1].seconds: needs at least one node"),
        ("pipelines.0.tasks.1.seconds", {"n9": 1}, "pipelines[0].tasks[1].seconds: there is no node 'n9'"),
        (
            "pipelines.0.tasks.1.seconds.n2", float("nan"),
            "pipelines[0].tasks[1].seconds.n2: must be a number from 0 to 1e+09, is nan",
        ),
        (
            "pipelines.0.tasks.1.seconds.n2", 10**400,
            "pipelines[0].tasks[1].seconds.n2: must be a number from 0 to 1e+09, is 100000000000000000000000",
        ),
        (
            "pipelines.0.tasks.1.estimate", {"n1": 1},
            "pipelines[0].tasks[1].estimate: must name the nodes that `seconds` names; 'n2' is in one only",
        ),
        ("pipelines.0.tasks.1.after.0.task", "y", "pipelines[0].tasks[1].after: its pipeline has no task 'y'"),
        ("pipelines.0.tasks.1.after.0.mib", None, "pipelines[0].tasks[1].after[0].mib: must be a number from 0 to 1e+12, is null"),
        (
            "pipelines.0.tasks.1.after", [{"task": "x"}, {"task": "x"}],
            "pipelines[0].tasks[1].after: names a task twice",
        ),
        ("pipelines.0.tasks.0.after", [{"task": "a"}], "pipelines[0].tasks: depend on each other in a circle: "),
        ("pipelines.0.tasks.0.after", [{"task": "x"}], "pipelines[0].tasks: depend on each other in a circle: x -> x"),
        ("links.pairs", [["n1", "n2", 1e-300]], "links.pairs[0]: must be a number from 1e-06 to 1e+12, is 1e-300"),
        ("pipelines.0.tasks.1.seconds.n2", 1e12, "pipelines[0].tasks[1].seconds.n2: must be a number from 0 to 1e+09"),
        ("pipelines.0.tasks.1.estimate", 1e12, "pipelines[0].tasks[1].estimate: must be a number from 0 to 1e+09"),
        ("pipelines.0.tasks.1.after.0.mib", 1e11, "pipelines[0].tasks[1].after[0].mib: takes 4e+09 s at 25 MiB/s"),
        ("failures", [["n1", 2, 1e10]], "failures[0]: must be a number from 0 to 1e+09"),
        ("nodes.0.name", "\ud800", "nodes[0].name: must be valid Unicode: '\\ud800' has a lone surrogate"),
        ("nodes.0.class", "\ud800", "nodes[0].class: must be valid Unicode"),
        ("pipelines.0.name", "\udfff", "pipelines[0].name: must be valid Unicode"),
        ("pipelines.0.team", "a\ud800", "pipelines[0].team: must be valid Unicode"),
        ("pipelines.0.tasks.0.name", "\ud800", "pipelines[0].tasks[0].name: must be valid Unicode"),
        ("pipelines.0.tasks.0.class", "\ud800", "pipelines[0].tasks[0].class: must be valid Unicode"),
        ("pipelines.0.tasks.1.after.0.task", "\ud800", "pipelines[0].tasks[1].after[0].task: must be valid Unicode"),
        ("failures", [["\ud800", 1, 2]], "failures[0]: must be valid Unicode"),
        ("failures", [["n1", 2, 1]], "failures[0]: must end after it starts"),
        ("failures", [["n1", 2]], "failures[0]: must be [node, from, until]"),
    ],
)  # fmt: skip
def test_an_error_names_the_place_and_the_rule(path: str, value: object, message: str) -> None:
    with pytest.raises(InvalidProblem) as caught:
        parse_scenario(changed(path, value))
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)


def test_what_takes_longer_than_there_are_dates_is_refused() -> None:
    tasks = [a_task(f"t{i}", {"n1": 1e9}) for i in range(101)]
    with pytest.raises(InvalidProblem, match=r"pipelines: take 1\.01e\+11 s one task after another"):
        parse_scenario(a_problem([a_node()], a_pipeline(*tasks)))


def test_the_longest_times_are_simulated() -> None:
    tasks = [
        a_task("t0", {"n1": 1e9}),
        *(a_task(f"t{i}", {"n1": 1e9}, after=[(f"t{i - 1}", 0)]) for i in range(1, 100)),
    ]
    scenario = parse_scenario(a_problem([a_node()], a_pipeline(*tasks, submitted_at=1e9)))
    outcome, _ = simulate(scenario, Choice(policy="balanced", strategy="portfolio"))
    assert max(done.end for done in outcome.assignments.values()) == 101e9


def test_pipelines_of_one_name_are_refused() -> None:
    pipeline = a_pipeline(a_task("a", {"n1": 1}))
    with pytest.raises(InvalidProblem, match=r"pipelines\[1\]\.name: 'p' is there twice"):
        parse_scenario(a_problem([a_node()], pipeline, pipeline))


def test_keys_of_others_are_nobodys_business() -> None:
    assert parse_scenario(ISSUE | {"made_by": "a generator", "seed": 7}) == parse_scenario(ISSUE)


@pytest.mark.parametrize(
    ("content", "rule"),
    [(b"{", "is not JSON"), (b"\xff", "is not JSON"), (b"[" * 200_000, "nested too deeply"), (b"[]", "must be an object, is a list")],
)  # fmt: skip
def test_a_file_that_is_no_problem_is_refused(tmp_path: Path, content: bytes, rule: str) -> None:
    path = tmp_path / "problem.json"
    path.write_bytes(content)
    with pytest.raises(InvalidProblem, match=rule):
        read_scenario(path)


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidProblem, match="No such file"):
        read_scenario(tmp_path / "absent.json")


def test_many_tasks_are_read_fast() -> None:
    raw = random_problem(1, pipelines=5000, nodes=10)
    start = time.perf_counter()
    parse_scenario(raw)
    assert time.perf_counter() - start < 10  # 22,500 tasks: about a second
