"""The costs that are told beside every placement, whichever strategy made it."""

from collections.abc import Mapping
from dataclasses import replace

from nodewise.core import plugins
from nodewise.core.model.decision import Candidate, Placement, Reason, ReasonCode
from nodewise.core.model.ids import NodeName
from nodewise.core.model.node import Cluster
from nodewise.core.model.task import WaitingTask
from nodewise.placer.candidates import MOST_TOLD, with_costs
from nodewise.placer.mapping import MappingContext, map_tasks
from tests.support.builders import NOON, a_cluster, a_node, a_task, placement_context
from tests.unit.placer.test_costs import live, ten_seconds

FIGURES = {"run_seconds", "run_low", "run_high", "transfer_seconds", "wait_seconds", "finish_seconds"}


def placed(task: WaitingTask, node: str = "n1", *candidates: Candidate) -> Placement:
    reason = Reason(code=ReasonCode.PLACED, text="so")
    return Placement(ref=task.ref, node=NodeName(node), reason=reason, candidates=candidates)


def told(task: WaitingTask, cluster: Cluster, *candidates: Candidate) -> Mapping[str, Candidate]:
    context = placement_context(predict=ten_seconds)
    [decision] = with_costs([task], [placed(task, "n1", *candidates)], cluster, context)
    return {one.node: one for one in decision.candidates}


def test_a_strategy_that_names_no_candidates_has_all_of_them_told() -> None:
    found = told(a_task(), a_cluster(a_node("n1"), a_node("n2"), a_node("n3", booked=2)))
    assert list(found) == ["n1", "n2", "n3"]
    assert all(one.scores.keys() == FIGURES for one in found.values())
    assert found["n1"].exclusion is None
    assert found["n3"].exclusion is not None


def test_a_strategys_own_scores_come_first() -> None:
    own = Candidate(node=NodeName("n1"), scores={"charm": 7.0})
    scores = told(a_task(), a_cluster(a_node("n1"), a_node("n2")), own)["n1"].scores
    assert next(iter(scores.items())) == ("charm", 7.0)
    assert scores.keys() == {"charm"} | FIGURES


def test_a_node_that_can_never_take_the_task_has_no_price() -> None:
    small = told(a_task(cores=2), a_cluster(a_node("n1"), a_node("n2", cores=1)))["n2"]
    assert small.exclusion is not None
    assert small.scores == {}


def test_a_node_that_was_not_admitted_to_has_its_price() -> None:
    task = a_task(allowed_nodes=(NodeName("n1"),))
    other = told(task, a_cluster(a_node("n1"), a_node("n2")))["n2"]
    assert other.exclusion is not None
    assert other.exclusion.code is ReasonCode.NOT_PLANNED
    assert other.scores["finish_seconds"] == 10.0


def test_costs_that_a_strategy_told_itself_are_left_as_they_are() -> None:
    own = Candidate(node=NodeName("n1"), scores={"finish_seconds": 1.0})
    assert told(a_task(), a_cluster(a_node("n1")), own)["n1"].scores == {"finish_seconds": 1.0}


def test_of_many_nodes_only_some_are_priced_the_chosen_one_among_them_and_the_rest_say_so() -> None:
    names = [f"n{number:03}" for number in range(80)]
    cluster = a_cluster(*(a_node(name) for name in names))
    task = a_task()
    [decision] = with_costs([task], [placed(task, "n079")], cluster, placement_context(predict=ten_seconds))
    scores = {one.node: one.scores for one in decision.candidates}
    assert sum(found.keys() == FIGURES for found in scores.values()) == MOST_TOLD
    assert scores[NodeName("n079")].keys() == FIGURES
    assert scores[NodeName("n078")] == {"costs": "told of 50 nodes only"}


def test_each_placement_sees_those_before_it() -> None:
    tasks = [a_task("a", cores=2), a_task("b", cores=1)]
    decisions = [placed(tasks[0], "n1"), placed(tasks[1], "n2")]
    cluster = a_cluster(a_node("n1"), a_node("n2"))
    _, second = with_costs(tasks, decisions, cluster, placement_context(predict=ten_seconds))
    scores = {one.node: one.scores["wait_seconds"] for one in second.candidates}
    assert scores == {"n1": 10.0, "n2": 0.0}


def test_the_next_strategy_knows_how_long_the_tasks_of_the_one_before_stay() -> None:
    tasks = [a_task("a", cores=2, strategy="greedy"), a_task("b", cores=1, strategy="random")]
    context = MappingContext(
        strategies=plugins.strategies(),
        now=NOON,
        rng=placement_context().rng,
        predict=ten_seconds,
        costs_told=True,
    )
    first, second = map_tasks(tasks, a_cluster(a_node("n1"), a_node("n2", cores=1)), context)
    assert isinstance(first, Placement)
    assert first.node == "n1"
    assert {one.node: one.scores["wait_seconds"] for one in second.candidates} == {"n1": 10.0, "n2": 0.0}


def test_telling_costs_changes_no_decision() -> None:
    tasks = [
        a_task(name, strategy=strategy)
        for name, strategy in zip("abcd", ["greedy", "custom"] * 2, strict=True)
    ]
    cluster = a_cluster(a_node("n1"), a_node("n2", booked=1), a_node("n3", cores=1, gpus=1))
    context = MappingContext(
        strategies=plugins.strategies(), now=NOON, rng=placement_context().rng, running=[live("x", ends=3)]
    )
    silent = map_tasks(tasks, cluster, context)
    aloud = map_tasks(tasks, cluster, replace(context, costs_told=True))
    assert [replace(one, candidates=()) for one in aloud] == [replace(one, candidates=()) for one in silent]
    assert aloud != silent
