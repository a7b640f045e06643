from collections.abc import Mapping
from dataclasses import replace
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nodewise.core.estimates.memory import effective_resources
from nodewise.core.model.ids import NodeName
from nodewise.core.model.node import Cluster, Node
from nodewise.core.model.resources import Resources
from nodewise.core.model.task import Requirements, TaskFacts, WaitingTask
from nodewise.core.ports import PolicyContext
from nodewise.scheduler.policies.balanced import Balanced
from nodewise.scheduler.policies.deadline import Deadline
from nodewise.scheduler.policies.fair_share import FairShare, dominant_share
from nodewise.scheduler.policies.fifo import Fifo
from nodewise.scheduler.policies.priority import Priority
from nodewise.scheduler.policies.random import Random
from nodewise.scheduler.policies.shortest import Shortest
from tests.support.builders import NOON, a_cluster, a_node, a_task, paths, policy_context, seconds
from tests.support.forecasts import exactly


def test_fifo_takes_the_earliest_submission_first_then_the_earliest_ready_then_the_path() -> None:
    tasks = [
        a_task("late", submitted=2, ready=2),
        a_task("b", submitted=1, ready=5),
        a_task("a", submitted=1, ready=5),
        a_task("soon", submitted=1, ready=3),
    ]
    assert paths(Fifo().order(tasks, policy_context())) == ["soon", "a", "b", "late"]


def test_priority_takes_the_higher_first_then_the_earlier() -> None:
    tasks = [
        a_task("low", priority=-1),
        a_task("later", submitted=1, priority=5),
        a_task("first", priority=5),
    ]
    assert paths(Priority().order(tasks, policy_context())) == ["first", "later", "low"]


def test_shortest_takes_the_least_effort_first_and_unknown_last_in_order_of_arrival() -> None:
    tasks = [
        a_task("unknown2", submitted=2),
        a_task("long", effort_flops=1e9),
        a_task("unknown1", submitted=1),
        a_task("short", effort_flops=1e3, submitted=9),
    ]
    assert paths(Shortest().order(tasks, policy_context())) == ["short", "long", "unknown1", "unknown2"]


def test_random_reaches_every_order() -> None:
    tasks = [a_task(name) for name in "abc"]
    policy = Random()
    orders = {tuple(paths(policy.order(tasks, policy_context(seed)))) for seed in range(200)}
    assert orders == set(permutations("abc"))


def known(believed: Mapping[str, Mapping[str, float]], cluster: Cluster) -> PolicyContext:
    """A context that believes these seconds by task path (or class) and node."""

    def predicted(task: TaskFacts, node: Node) -> float:
        return believed[task.ref.path][node.name]

    return replace(policy_context(), cluster=cluster, predict=exactly(predicted))


TWO_NODES = a_cluster(a_node("n1", node_class="a"), a_node("n2", node_class="b", cores=4))


def test_shortest_compares_the_best_node_that_could_ever_take_each() -> None:
    tasks = [
        a_task("fast_on_n2", task_class="x"),
        a_task("steady", task_class="y", submitted=1),
        a_task("kept_off_n2", task_class="z", requirements=Requirements(nodes=(NodeName("n1"),))),
        a_task("nowhere", task_class="w", cores=99),
    ]
    believed = {
        "fast_on_n2": {"n1": 50.0, "n2": 5.0},
        "steady": {"n1": 9.0, "n2": 10.0},
        "kept_off_n2": {"n1": 20.0, "n2": 1.0},
        "nowhere": {"n1": 0.0, "n2": 0.0},
    }
    order = Shortest().order(tasks, known(believed, TWO_NODES))
    assert paths(order) == ["fast_on_n2", "steady", "kept_off_n2", "nowhere"]


def test_shortest_counts_nodes_that_are_full_now() -> None:
    cluster = a_cluster(a_node("n1", node_class="a"), a_node("n2", node_class="b", booked=2))
    tasks = [a_task("a", task_class="a"), a_task("b", task_class="b")]
    believed = {"a": {"n1": 9.0, "n2": 9.0}, "b": {"n1": 90.0, "n2": 1.0}}
    assert paths(Shortest().order(tasks, known(believed, cluster))) == ["b", "a"]


def test_deadline_takes_the_least_time_to_spare_first() -> None:
    tasks = [
        a_task("none"),
        a_task("late_but_long", task_class="x", deadline=NOON + seconds(100)),
        a_task("soon_but_short", task_class="y", deadline=NOON + seconds(60)),
        a_task("missed", task_class="z", deadline=NOON - seconds(1)),
    ]
    believed = {
        "late_but_long": {"n1": 95.0, "n2": 95.0},
        "soon_but_short": {"n1": 10.0, "n2": 10.0},
        "missed": {"n1": 1.0, "n2": 1.0},
        "none": {"n1": 1.0, "n2": 1.0},
    }
    order = paths(Deadline().order(tasks, known(believed, TWO_NODES)))
    assert order == ["missed", "late_but_long", "soon_but_short", "none"]
    assert paths(Deadline().order(tasks, policy_context())) == [
        "missed",
        "soon_but_short",
        "late_but_long",
        "none",
    ]


def test_a_task_that_no_node_can_take_is_not_urgent_for_that() -> None:
    hopeless = a_task("hopeless", cores=99, deadline=NOON + seconds(50))
    urgent = a_task("urgent", deadline=NOON + seconds(20))
    believed = {"urgent": {"n1": 1.0, "n2": 1.0}}
    assert paths(Deadline().order([hopeless, urgent], known(believed, TWO_NODES))) == ["urgent", "hopeless"]


def test_balanced_finishes_the_run_with_the_least_work_left_within_a_priority() -> None:
    tasks = [
        a_task("large1", run=1, task_class="l"),
        a_task("large2", run=1, task_class="l"),
        a_task("small", run=2, submitted=5, task_class="s"),
        a_task("first", run=3, submitted=9, priority=1, task_class="h"),
    ]
    believed = {
        "large1": {"n1": 6.0, "n2": 6.0},
        "large2": {"n1": 6.0, "n2": 6.0},
        "small": {"n1": 10.0, "n2": 11.0},
        "first": {"n1": 99.0, "n2": 99.0},
    }
    order = Balanced().order(tasks, known(believed, TWO_NODES))
    assert paths(order) == ["first", "small", "large1", "large2"]


def team_context(
    cluster: Cluster,
    booked: Mapping[str, Resources] | None = None,
    shares: Mapping[str, float] | None = None,
) -> PolicyContext:
    return replace(policy_context(), cluster=cluster, booked=booked or {}, shares=shares or {})


def test_fair_share_gives_the_example_of_its_paper() -> None:
    """9 CPUs and 18 GB; A's tasks want 1 CPU and 4 GB, B's 3 CPUs and 1 GB: A gets three, B two (section 4.1)."""
    tasks = [a_task(f"a{i}", team="A", cores=1, memory=4000, submitted=i) for i in range(6)]
    tasks += [a_task(f"b{i}", team="B", cores=3, memory=1000, submitted=i) for i in range(6)]
    cluster = a_cluster(a_node(cores=9, memory=18000))
    order = paths(FairShare().order(tasks, team_context(cluster)))
    assert sorted(order[:5]) == ["a0", "a1", "a2", "b0", "b1"]


def test_fair_share_counts_what_a_team_holds_already() -> None:
    tasks = [a_task("a", team="A"), a_task("b", team="B", submitted=9)]
    booked = {"A": Resources(millicores=500)}
    order = FairShare().order(tasks, team_context(a_cluster(a_node(cores=4)), booked))
    assert paths(order) == ["b", "a"]


def test_fair_share_weighs_teams() -> None:
    tasks = [a_task(f"{team}{i}", team=team, submitted=i) for team in "AB" for i in range(9)]
    order = FairShare().order(tasks, team_context(a_cluster(a_node(cores=20)), shares={"A": 2.0}))
    first = [path[0] for path in paths(order)[:9]]
    assert (first.count("A"), first.count("B")) == (6, 3)


def test_fair_share_ignores_what_the_cluster_does_not_have() -> None:
    assert dominant_share(Resources(gpus=3, millicores=1), Resources(millicores=4)) == pytest.approx(0.25)


@given(
    st.lists(st.tuples(st.sampled_from("ABC"), st.sampled_from([1, 2, 4]), st.sampled_from([100, 900]))),
    st.integers(0, 20),
)
def test_fair_share_always_serves_the_team_with_the_smallest_share(
    shapes: list[tuple[str, int, int]], served: int
) -> None:
    """The simple algorithm: look at every team before every task."""
    tasks = [
        a_task(f"t{i}", team=team, cores=cores, memory=memory, submitted=i)
        for i, (team, cores, memory) in enumerate(shapes)
    ]
    cluster = a_cluster(a_node(cores=8, memory=2000))
    total = cluster.nodes[0].node.capacity
    used = dict.fromkeys("ABC", Resources())
    left: list[WaitingTask] = list(tasks)
    for ref in list(FairShare().order(tasks, team_context(cluster)))[:served]:
        least = min(left, key=lambda task: (dominant_share(used[task.team], total), task.submitted_at))
        assert ref == least.ref
        used[least.team] += effective_resources(least.spec)
        left.remove(least)
