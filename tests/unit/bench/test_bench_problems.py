"""The generators of the benchmarks: seeded, and what they say they are."""

import json
from graphlib import TopologicalSorter
from pathlib import Path
from random import Random
from statistics import mean
from typing import Any

import pytest

from bench.placement import peers
from bench.placement.adversary import Attack, anneal, mutate, start
from bench.placement.beliefs import mean_distance, misjudged, sigma_of
from bench.placement.contest import peers as peer_tallies
from bench.placement.large import large_problem
from bench.placement.random_dags import random_dag
from bench.placement.streams import main as print_stream
from bench.placement.streams import stream
from bench.placement.workflows import workflow_problem
from nodewise.core.model.problem import Assignment, Problem, Schedule, TaskId
from nodewise.planning.heft import heft
from nodewise.planning.instance import index
from nodewise.simulator.problem_file import parse_scenario, read_scenario

WORKFLOW: dict[str, Any] = {
    "recipe": "tiny",
    "asked": 3,
    "tasks": [
        {"type": "split", "seconds": 2.0},
        {"type": "work", "seconds": 0.0},
        {"type": "work", "seconds": 4.0},
    ],
    "edges": [[0, 1, 10.0], [0, 2, 30.0]],
}


def sizes(problem: Problem) -> list[int]:
    return [len(pipeline.tasks) for pipeline in problem.pipelines]


def test_equal_seeds_give_equal_streams_and_others_do_not() -> None:
    assert stream(5, 1, gap=2.0) == stream(5, 1, gap=2.0)
    assert stream(5, 1) != stream(5, 2)


def test_streams_have_three_to_six_tasks_a_pipeline_on_ten_unrelated_nodes() -> None:
    problem = stream(40, 3)
    assert set(sizes(problem)) <= {3, 4, 5, 6}
    assert len(problem.nodes) == 10
    fastest = {min(task.seconds, key=task.seconds.__getitem__) for p in problem.pipelines for task in p.tasks}
    assert len(fastest) > 3


def test_streams_at_once_differ_from_those_over_time_only_in_their_submissions() -> None:
    over_time = stream(6, 4, gap=3.0)
    submitted = [pipeline.submitted_at for pipeline in over_time.pipelines]
    assert submitted == sorted(submitted)
    assert submitted[-1] > 0
    assert {pipeline.submitted_at for pipeline in stream(6, 4).pipelines} == {0.0}


def test_a_stream_is_printed_in_the_format_that_the_simulator_reads(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    print_stream(["3", "--gap", "2", "--error", "0.2", "--seed", "5"])
    written = tmp_path / "problem.json"
    written.write_text(capsys.readouterr().out)
    read = read_scenario(written)
    assert read.truth.pipelines == stream(3, 5, gap=2.0).pipelines
    assert read.believed == misjudged(read.truth, 0.2, 5).believed


@pytest.mark.parametrize("error", [0.2, 0.5])
def test_estimates_are_off_by_as_much_as_said(error: float) -> None:
    truth = stream(200, 0)
    believed = misjudged(truth, error, 0).believed
    ratios = [
        seen.seconds[node] / seconds
        for pipeline, guess in zip(truth.pipelines, believed.pipelines, strict=True)
        for task, seen in zip(pipeline.tasks, guess.tasks, strict=True)
        for node, seconds in task.seconds.items()
    ]
    assert mean(abs(ratio - 1) for ratio in ratios) == pytest.approx(error, rel=0.1)
    assert 0.45 < mean(ratio > 1 for ratio in ratios) < 0.55


def test_right_estimates_are_the_truth_itself() -> None:
    scenario = misjudged(stream(2, 0), 0.0, 0)
    assert scenario.believed is scenario.truth


def test_the_spread_of_errors_is_inverted_exactly() -> None:
    assert mean_distance(sigma_of(0.37)) == pytest.approx(0.37)


def test_workflows_keep_their_edges_and_have_the_ratio_asked_for() -> None:
    problem = workflow_problem(WORKFLOW, 4, ratio=0.5, seed=1)
    tasks = problem.pipelines[0].tasks
    assert [[edge.task for edge in task.after] for task in tasks] == [[], ["t0000"], ["t0000"]]
    transfer = mean(edge.mib for task in tasks for edge in task.after) / problem.links.default_mib_per_s
    assert transfer == pytest.approx(0.5 * mean(s for task in tasks for s in task.seconds.values()))
    assert all(seconds > 0 for task in tasks for seconds in task.seconds.values())


def test_a_workflow_is_the_same_in_both_ratios_but_for_its_links() -> None:
    slow, fast = (workflow_problem(WORKFLOW, 4, ratio=ratio, seed=1) for ratio in (1.0, 0.1))
    assert slow.pipelines == fast.pipelines
    assert fast.links.default_mib_per_s == pytest.approx(10 * slow.links.default_mib_per_s)


def test_a_workflow_without_data_has_links_all_the_same() -> None:
    assert workflow_problem(WORKFLOW | {"edges": []}, 2, ratio=1.0, seed=0).links.default_mib_per_s > 0


def test_large_problems_have_the_size_asked_for() -> None:
    problem = large_problem(123, 7)
    assert sum(sizes(problem)) == 123
    assert len(problem.nodes) == 7


def test_random_dags_have_the_size_that_is_proved() -> None:
    for seed in range(20):
        problem = random_dag(seed)
        assert 6 <= sizes(problem)[0] <= 14
        assert len(problem.nodes) in {3, 4}


def test_mutations_leave_a_problem_that_can_be_planned() -> None:
    rng = Random(0)
    problem = start(rng)
    for _ in range(300):
        problem = mutate(problem, rng)
        tasks = problem.pipelines[0].tasks
        TopologicalSorter({task.name: [edge.task for edge in task.after] for task in tasks}).prepare()


def test_an_attack_finds_what_is_there_to_find() -> None:
    """A worth that grows with the link rate is driven up."""
    attack = Attack(planner="heft", seed=0, steps=200)
    first = start(Random("adversary 0")).links.default_mib_per_s
    assert anneal(lambda problem: problem.links.default_mib_per_s / 1000, attack) > 2 * first / 1000


@pytest.fixture
def saga(monkeypatch: pytest.MonkeyPatch) -> None:
    """A peer of three schedulers: one is right, one loses a task, one gives up."""

    def answers(problems: dict[str, Problem], **_: object) -> dict[str, list[peers.PeerAnswer]]:
        found = {}
        for name, problem in problems.items():
            good = heft(index(problem)).schedule().assignments
            lost: dict[TaskId, Assignment] = dict(list(good.items())[1:])
            found[name] = [
                peers.PeerAnswer(scheduler="Good", seconds=1.0, schedule=Schedule(assignments=good)),
                peers.PeerAnswer(scheduler="Loses", seconds=1.0, schedule=Schedule(assignments=lost)),
                peers.PeerAnswer(scheduler="Slow", seconds=9.0, schedule=None, error="no answer in 9 s"),
            ]
        return found

    monkeypatch.setattr("bench.placement.contest.schedules", answers)


@pytest.mark.usefixtures("saga")
def test_a_peers_invalid_schedule_is_counted_and_left_out() -> None:
    tallies = peer_tallies({"one": random_dag(0), "two": random_dag(1)}, limit=1.0)
    assert set(tallies["SAGA Good"].results) == {"one", "two"}
    assert (tallies["SAGA Loses"].invalid, tallies["SAGA Loses"].results) == (2, {})
    assert (tallies["SAGA Slow"].silent, tallies["SAGA Slow"].results) == (2, {})
    assert "is not in the schedule" in tallies["SAGA Loses"].examples[0]


def test_peers_are_asked_in_the_fixed_format() -> None:
    problem = random_dag(0)
    assert parse_scenario(json.loads(json.dumps(peers._asked(problem)))).truth == problem


def test_missing_peers_are_said_to_be_missing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(peers, "PYTHON", tmp_path / "python")
    with pytest.raises(peers.NoPeers, match="make bench-placement"):
        peers.versions()
