from collections.abc import Sequence
from random import Random

from nodewise.core.model.decision import Decision, Deferral, Placement, Reason, ReasonCode
from nodewise.core.model.ids import NodeName
from nodewise.core.model.node import Cluster
from nodewise.core.model.task import WaitingTask
from nodewise.core.ports import PlacementContext, Strategy
from nodewise.placer.mapping import MappingContext, map_tasks
from nodewise.placer.strategies.greedy import Greedy
from nodewise.placer.strategies.round_robin import RoundRobin
from tests.support.builders import NOON, a_cluster, a_node, a_task

PLACED = Reason(code=ReasonCode.PLACED, text="so")


class Stubborn:
    """Puts everything on one node, whatever that node says."""

    name = "stubborn"
    summary = ""

    def __init__(self, node: str = "n1") -> None:
        self.node = NodeName(node)

    def place(
        self, tasks: Sequence[WaitingTask], cluster: Cluster, context: PlacementContext
    ) -> Sequence[Decision]:
        return [Placement(ref=task.ref, node=self.node, reason=PLACED) for task in tasks]


class Fails(Stubborn):
    def place(
        self, tasks: Sequence[WaitingTask], cluster: Cluster, context: PlacementContext
    ) -> Sequence[Decision]:
        raise KeyError("gpu")


class Forgets(Stubborn):
    def place(
        self, tasks: Sequence[WaitingTask], cluster: Cluster, context: PlacementContext
    ) -> Sequence[Decision]:
        return super().place(tasks, cluster, context)[1:]


class Lazy(Stubborn):
    def place(
        self, tasks: Sequence[WaitingTask], cluster: Cluster, context: PlacementContext
    ) -> Sequence[Decision]:
        reason = Reason(code=ReasonCode.NO_ROOM, text="not today")
        return [Deferral(ref=task.ref, reason=reason) for task in tasks]


def decide(tasks: Sequence[WaitingTask], cluster: Cluster, **strategies: Strategy) -> list[Decision]:
    context = MappingContext(
        strategies={"greedy": Greedy(), "round_robin": RoundRobin(), **strategies}, now=NOON, rng=Random(0)
    )
    return list(map_tasks(tasks, cluster, context))


def test_each_task_is_placed_by_the_strategy_of_its_run_and_sees_the_bookings_before() -> None:
    tasks = [
        a_task("a", strategy="round_robin"),
        a_task("b", strategy="greedy"),
        a_task("c", strategy="round_robin"),
    ]
    decisions = decide(tasks, a_cluster(a_node("n1"), a_node("n2"), a_node("n3", cores=1)))
    assert [decision.node for decision in decisions if isinstance(decision, Placement)] == ["n1", "n2", "n3"]


def test_an_unknown_strategy_defers_only_its_own_tasks_and_names_the_known() -> None:
    unknown, fine = decide([a_task("a", strategy="psychic"), a_task("b")], a_cluster(a_node()))
    assert unknown.reason.code is ReasonCode.UNKNOWN_STRATEGY
    assert "known: greedy, round_robin" in unknown.reason.text
    assert isinstance(fine, Placement)


def test_a_strategy_that_fails_or_forgets_defers_its_own_tasks_and_says_so() -> None:
    tasks = [a_task("a", strategy="fails"), a_task("b", strategy="forgets"), a_task("c")]
    failed, forgot, fine = decide(tasks, a_cluster(a_node()), fails=Fails(), forgets=Forgets())
    assert (failed.reason.code, forgot.reason.code) == (ReasonCode.STRATEGY_RULE, ReasonCode.STRATEGY_RULE)
    assert "KeyError" in failed.reason.text
    assert "once, in order" in forgot.reason.text
    assert isinstance(fine, Placement)


class Tells(Stubborn):
    def place(
        self, tasks: Sequence[WaitingTask], cluster: Cluster, context: PlacementContext
    ) -> Sequence[Decision]:
        raise KeyError(tasks[-1].ref)


def test_a_strategy_that_fails_tells_nobody_of_the_tasks_of_others() -> None:
    mine, _ = decide(
        [a_task("mine", strategy="s"), a_task("theirs", run=2, strategy="s")], a_cluster(a_node()), s=Tells()
    )
    assert mine.reason.text == "strategy 's' failed: KeyError: a task"


def test_an_overbooking_answer_is_refused_from_the_first_task_that_does_not_fit() -> None:
    tasks = [a_task(name, strategy="stubborn") for name in "abc"]
    decisions = decide(tasks, a_cluster(a_node("n1", cores=2), a_node("n2")), stubborn=Stubborn())
    assert [type(decision) for decision in decisions] == [Placement, Placement, Deferral]
    assert "chose n1, which cannot take it: 0 of 2 cores free" in decisions[2].reason.text


def test_a_node_that_is_not_there_is_refused() -> None:
    [decision] = decide([a_task(strategy="s")], a_cluster(a_node("n1")), s=Stubborn("n9"))
    assert "does not have: n9" in decision.reason.text


def test_no_room_is_believed_only_where_there_is_none() -> None:
    task = a_task(strategy="lazy")
    [waits] = decide([task], a_cluster(a_node("n1")), lazy=Lazy())
    [full] = decide([task], a_cluster(a_node("n1", booked=2)), lazy=Lazy())
    assert waits.reason.code is ReasonCode.STRATEGY_RULE
    assert "n1 could take it: not today" in waits.reason.text
    assert full.reason.code is ReasonCode.NO_ROOM
