"""The costs that are told beside every placement, whichever strategy made it."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from random import Random

import pytest

from nodewise.core import plugins
from nodewise.core.estimates.memory import effective_resources
from nodewise.core.feasibility import exclusion_of
from nodewise.core.model.decision import Candidate, Decision, Placement, Reason, ReasonCode
from nodewise.core.model.ids import NodeName
from nodewise.core.model.node import Cluster
from nodewise.core.model.task import TaskInput, WaitingTask
from nodewise.placer.candidates import with_costs
from nodewise.placer.costs import Prices
from nodewise.placer.mapping import MappingContext, map_tasks
from nodewise.placer.placement import MOST_TOLD, WorkingCluster
from tests.support.builders import NOON, a_cluster, a_node, a_task, placement_context
from tests.support.forecasts import exactly
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


def told_of_many(
    cluster: Cluster, node: str, *candidates: Candidate, strategy: str | None = None
) -> Placement:
    """Of a strategy that names these candidates, or of one that is installed."""
    context = placement_context(predict=ten_seconds)
    own: Sequence[Decision] = [placed(a_task(), node, *candidates)]
    if strategy is not None:
        own = plugins.strategy(strategy).place([a_task()], cluster, context)
    [decision] = with_costs([a_task()], own, cluster, context)
    assert isinstance(decision, Placement)
    assert [one.node for one in decision.candidates] == sorted(one.node for one in decision.candidates)
    assert len(decision.candidates) == MOST_TOLD
    assert len(decision.candidates) + sum(decision.more.values()) == len(cluster.nodes)
    return decision


def many(*, roomy: int, full: int = 0, small: int = 0) -> Cluster:
    """s000, ... are too small, t000, ... full, and u000, ... have room."""
    return a_cluster(
        *(a_node(f"u{number:03}", cores=2 + number) for number in range(roomy)),
        *(a_node(f"t{number:03}", booked=2) for number in range(full)),
        *(a_node(f"s{number:03}", cores=0.5) for number in range(small)),
    )


INSTALLED = ("greedy", "random", "round_robin", "custom", "portfolio")


@pytest.mark.parametrize("strategy", [None, *INSTALLED])
def test_of_many_nodes_the_chosen_one_and_others_are_priced_and_the_rest_counted(
    strategy: str | None,
) -> None:
    decision = told_of_many(many(roomy=80), "u079", strategy=strategy)
    assert decision.node in {one.node for one in decision.candidates}
    assert all(one.scores.keys() >= FIGURES for one in decision.candidates)
    assert decision.more == {None: 30}


@pytest.mark.parametrize("strategy", [None, *INSTALLED])
def test_those_with_room_are_told_before_the_full_and_these_before_the_small(strategy: str | None) -> None:
    decision = told_of_many(many(roomy=10, full=45, small=20), "u003", strategy=strategy)
    assert Counter(one.node[0] for one in decision.candidates) == {"u": 10, "t": 40}
    assert decision.more == {ReasonCode.CPU_BOOKED: 5, ReasonCode.CPU_TOO_SMALL: 20}


def test_who_scored_is_told_before_who_did_not() -> None:
    own = [Candidate(node=NodeName(f"u{number:03}"), scores={"charm": 1.0}) for number in range(60, 80)]
    told = {one.node for one in told_of_many(many(roomy=80), "u000", *own).candidates}
    assert told >= {"u000", *(one.node for one in own)}


def test_a_strategy_that_names_all_of_many_nodes_has_the_rest_counted() -> None:
    cluster = many(roomy=70)
    own = [Candidate(node=view.name, scores={"charm": 1.0}) for view in cluster.nodes]
    assert told_of_many(cluster, "u069", *own).more == {None: 20}


def test_a_strategy_that_miscounts_is_corrected() -> None:
    cluster = many(roomy=70)
    wrong = replace(placed(a_task()), more={ReasonCode.LABEL: 7})
    [decision] = with_costs([a_task()], [replace(wrong, node=NodeName("u001"))], cluster, placement_context())
    assert isinstance(decision, Placement)
    assert (len(decision.candidates), decision.more) == (MOST_TOLD, {None: 20})


@pytest.mark.parametrize("more", [{None: 0}, {"cpu_booked ": 1}, {ReasonCode.LABEL: -1}])
def test_a_count_that_is_none_is_refused(more: dict[ReasonCode | None, int]) -> None:
    with pytest.raises(ValueError, match="is no count by a reason"):
        replace(placed(a_task()), more=more)


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


def some_cluster(rng: Random, nodes: int) -> Cluster:
    return a_cluster(
        *(
            a_node(
                f"n{n:03}",
                cores=rng.choice((1, 2, 4)),
                booked=rng.choice((0, 0, 0.5, 1)),
                gpus=rng.choice((0, 1)),
            )
            for n in range(nodes)
        )
    )


def some_tasks(rng: Random, strategy: str) -> list[WaitingTask]:
    return [
        a_task(
            f"t{n}",
            cores=rng.choice((0.5, 0.5, 1)),
            gpus=rng.choice((0, 0, 0, 1)),
            task_class=rng.choice("uv"),
            strategy=strategy,
            allowed_nodes=rng.choice((None, None, (NodeName("n001"), NodeName("n002")))),
            inputs=rng.choice(((), (TaskInput(node=NodeName("n000"), mib=300.0),))),
        )
        for n in range(25)
    ]


@pytest.mark.parametrize("strategy", INSTALLED)
@pytest.mark.parametrize("seed", range(4))
def test_what_is_told_of_many_tasks_equals_what_is_told_of_each_anew(strategy: str, seed: int) -> None:
    rng = Random(seed)
    cluster, tasks = some_cluster(rng, rng.choice((5, 80))), some_tasks(rng, strategy)
    context = placement_context(
        predict=exactly(
            lambda task, node: len(node.name) + node.capacity.millicores / 1000 + ord(task.task_class)
        ),
        running=[live(f"x{n}", node=f"n{n:03}", ends=n) for n in range(5)],
    )
    decisions = with_costs(tasks, plugins.strategy(strategy).place(tasks, cluster, context), cluster, context)
    before: list[tuple[WaitingTask, Placement]] = []
    for task, decision in zip(tasks, decisions, strict=True):
        if not isinstance(decision, Placement):
            continue
        working, prices = WorkingCluster(cluster), Prices(context)
        for other, placement in before:
            prices.book(other, working.view(placement.node))
            working.book(placement.node, effective_resources(other.spec))
        for one in decision.candidates:
            assert one.exclusion == exclusion_of(task, working.view(one.node), cluster)
            if FIGURES & one.scores.keys():
                cost = prices.cost(task, working.view(one.node), one.exclusion)
                assert {name: one.scores[name] for name in FIGURES} == cost.scores()
        before.append((task, decision))
    assert len(before) > 5
