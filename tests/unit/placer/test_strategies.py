from collections import Counter
from typing import Any

from nodewise.core.model.decision import Decision, Deferral, Placement, ReasonCode
from nodewise.core.model.ids import NodeName
from nodewise.core.model.node import Cluster
from nodewise.core.model.task import Preferences, Requirements, WaitingTask
from nodewise.core.ports import Strategy
from nodewise.placer.strategies.greedy import Greedy
from nodewise.placer.strategies.random import Random
from nodewise.placer.strategies.round_robin import RoundRobin
from tests.support.builders import a_cluster, a_node, a_task, placement_context

THREE = a_cluster(a_node("n1"), a_node("n2"), a_node("n3"))


def place(strategy: Strategy, tasks: list[WaitingTask], cluster: Cluster, **context: Any) -> list[Decision]:
    return list(strategy.place(tasks, cluster, placement_context(**context)))


def nodes(decisions: list[Decision]) -> list[str | None]:
    return [decision.node if isinstance(decision, Placement) else None for decision in decisions]


def some(count: int, **fields: Any) -> list[WaitingTask]:
    return [a_task(f"t{index}", **fields) for index in range(count)]


def test_round_robin_starts_with_the_first_name_and_goes_around() -> None:
    assert nodes(place(RoundRobin(), some(5, cores=0.5), THREE)) == ["n1", "n2", "n3", "n1", "n2"]


def test_round_robin_goes_on_after_the_previous_node() -> None:
    decisions = place(RoundRobin(), some(2), THREE, previous_node=NodeName("n2"))
    assert nodes(decisions) == ["n3", "n1"]
    assert "after n2" in decisions[0].reason.text


def test_round_robin_goes_on_after_a_node_that_has_left() -> None:
    cluster = a_cluster(a_node("n1"), a_node("n4"))
    assert nodes(place(RoundRobin(), some(1), cluster, previous_node=NodeName("n2"))) == ["n4"]


def test_round_robin_leaves_out_who_has_no_room() -> None:
    cluster = a_cluster(a_node("n1"), a_node("n2", booked=2), a_node("n3"))
    assert nodes(place(RoundRobin(), some(2), cluster, previous_node=NodeName("n1"))) == ["n3", "n1"]


def test_random_uses_every_node_and_follows_its_seed() -> None:
    drawn = Counter(nodes(place(Random(), some(1), THREE, seed=seed))[0] for seed in range(300))
    assert set(drawn) == {"n1", "n2", "n3"}
    assert min(drawn.values()) > 50
    assert place(Random(), some(3), THREE, seed=5) == place(Random(), some(3), THREE, seed=5)


def test_greedy_takes_the_least_booked_and_says_what_the_others_have() -> None:
    cluster = a_cluster(a_node("n1", booked=1), a_node("n2", booked=0.5), a_node("n3", booked=2))
    [decision] = place(Greedy(), some(1), cluster)
    assert nodes([decision]) == ["n2"]
    assert decision.reason.text.startswith("least loaded: 25 % of its cores booked; n1 50 %")
    assert [candidate.node for candidate in decision.candidates] == ["n1", "n2", "n3"]
    excluded = decision.candidates[2].exclusion
    assert excluded is not None
    assert excluded.code is ReasonCode.CPU_BOOKED


def test_greedy_sees_its_own_bookings() -> None:
    assert nodes(place(Greedy(), some(4), a_cluster(a_node("n1"), a_node("n2")))) == ["n1", "n2", "n1", "n2"]


def test_greedy_takes_more_cores_then_more_memory_then_the_lower_name_among_equals() -> None:
    by_cores = a_cluster(a_node("n1", cores=2), a_node("n2", cores=4))
    by_memory = a_cluster(a_node("n1", memory=500), a_node("n2", memory=900))
    by_name = a_cluster(a_node("n2"), a_node("n1"))
    assert [nodes(place(Greedy(), some(1), cluster)) for cluster in (by_cores, by_memory, by_name)] == [
        ["n2"],
        ["n2"],
        ["n1"],
    ]


def test_greedy_compares_measured_load_among_equally_booked_nodes() -> None:
    cluster = a_cluster(a_node("n1", cores=8, load=8), a_node("n2", load=0.2), a_node("n3", load=1))
    [decision] = place(Greedy(), some(1), cluster)
    assert nodes([decision]) == ["n2"]
    said = "least loaded: 0 % of its cores booked, among equals load per core 0.1; n1 1, n3 0.5"
    assert decision.reason.text.startswith(said)


def test_greedy_says_what_decided_among_equals() -> None:
    by_size = place(Greedy(), some(1), a_cluster(a_node("n1", cores=2), a_node("n2", cores=4)))
    by_name = place(Greedy(), some(1), a_cluster(a_node("n1"), a_node("n2")))
    assert "booked, the largest among equals; n1 0 %" in by_size[0].reason.text
    assert "booked, first by name among equals; n2 0 %" in by_name[0].reason.text


def test_greedy_summary_names_its_order() -> None:
    words = ("booked share", "measured load", "cores, then", "memory")
    places = [Greedy.summary.index(word) for word in words]
    assert places == sorted(places)


def test_a_decision_without_a_choice_says_why_the_others_are_out() -> None:
    full = a_cluster(
        a_node("n1", booked=1), a_node("n2", booked=2), a_node("n3", cores=0.5), a_node("n4", booked=2)
    )
    small = a_cluster(a_node("n1"), a_node("n3", cores=0.5), a_node("n4", worker_type="gpu"))
    task = some(1, requirements=Requirements(worker_types=("med-cpu",)))
    for strategy in (Greedy(), Random(), RoundRobin()):
        now, ever, alone = (
            place(strategy, task, of)[0].reason.text for of in (full, small, a_cluster(a_node("n1")))
        )
        assert now.startswith("the only node with room now (n2, n4 full; n3 too small); ")
        assert ever.startswith("the only node that can ever take it (n3 too small; n4 not allowed); ")
        assert alone.startswith("the only node; ")
    assert "n3 too small); 50 % of its cores booked" in place(Greedy(), task, full)[0].reason.text


def test_greedy_does_not_take_an_unknown_load_for_a_low_one() -> None:
    cluster = a_cluster(a_node("n1", cores=4, load=3), a_node("n2", cores=2))
    assert nodes(place(Greedy(), some(1), cluster)) == ["n1"]


def test_a_decision_says_which_metrics_it_had_to_ignore() -> None:
    fresh, old = {"available": 900, "load": 1}, {"available": 900, "load": 1, "age": 61}
    known = a_cluster(a_node("n1", **fresh), a_node("n2", **fresh))
    stale = a_cluster(a_node("n1", **fresh), a_node("n2", **old))
    for strategy in (Greedy(), Random(), RoundRobin()):
        assert "metrics" not in place(strategy, some(1), known)[0].reason.text
        said = place(strategy, some(1), stale)[0].reason.text
        assert said.endswith("(metrics of n2 unknown or older than 60 s)")


def test_a_wish_is_followed_where_a_node_that_fulfils_it_can_take_the_task() -> None:
    wish = Preferences(labels={"zone": "b"})
    cluster = a_cluster(a_node("n1"), a_node("n2", labels={"zone": "b"}))
    for strategy in (Greedy(), Random(), RoundRobin()):
        decisions = place(strategy, some(3, preferences=wish), cluster)
        assert nodes(decisions) == ["n2", "n2", "n1"]
        assert decisions[0].reason.text.startswith("preferred by the task; ")
        assert not decisions[2].reason.text.startswith("preferred")


def test_the_node_that_fulfils_most_wishes_comes_first() -> None:
    wish = Preferences(nodes=(NodeName("n1"), NodeName("n2")), accelerator="gpu")
    cluster = a_cluster(a_node("n1"), a_node("n2", accelerator="gpu"), a_node("n3", accelerator="gpu"))
    assert nodes(place(RoundRobin(), some(1, preferences=wish), cluster)) == ["n2"]


def test_a_task_that_no_node_can_ever_take_is_told_what_each_lacks() -> None:
    task = a_task(cores=1, requirements=Requirements(worker_types=("high-cpu",)))
    [decision] = place(Greedy(), [task], a_cluster(a_node("n1"), a_node("n2", cores=0.5)))
    assert isinstance(decision, Deferral)
    assert decision.reason.code is ReasonCode.UNSATISFIABLE
    assert "needs 1 cores, 100 MiB, worker type high-cpu" in decision.reason.text
    assert "n1: worker type med-cpu" in decision.reason.text


def test_a_task_that_fits_later_waits_for_room() -> None:
    cluster = a_cluster(a_node("n1", booked=2), a_node("n2", cores=0.5))
    [decision] = place(Greedy(), [a_task()], cluster)
    assert decision.reason.code is ReasonCode.NO_ROOM


def test_measured_memory_that_is_fresh_keeps_a_task_away() -> None:
    cluster = a_cluster(a_node("n1", available=50), a_node("n2", available=50, age=61))
    assert nodes(place(Greedy(), [a_task(memory=100)], cluster)) == ["n2"]
