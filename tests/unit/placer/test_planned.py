"""The strategies that carry out plans: the node of the plan, or the one that ends a task first."""

from collections.abc import Mapping, Sequence

from nodewise.core import plugins
from nodewise.core.estimates.learning import Prediction
from nodewise.core.model.decision import Decision, Deferral, Placement, ReasonCode
from nodewise.core.model.ids import NodeName
from nodewise.core.model.node import Node, NodeView
from nodewise.core.model.situation import Occupancy
from nodewise.core.model.task import Preferences, TaskFacts, TaskInput, WaitingTask
from nodewise.core.ports import Predict
from tests.support.builders import a_cluster, a_node, a_task, placement_context
from tests.unit.placer.test_costs import a_prediction, live

SECONDS = {"n1": 9.8, "n2": 2.0, "n3": 3.2}


def predicting(seconds: Mapping[str, float]) -> Predict:
    def predict(task: TaskFacts, node: Node, /) -> Prediction:
        return a_prediction(seconds[node.name], spread=1.5)

    return predict


def place(
    tasks: Sequence[WaitingTask],
    *nodes: NodeView,
    seconds: Mapping[str, float] = SECONDS,
    running: Sequence[Occupancy] = (),
) -> Sequence[Decision]:
    context = placement_context(predict=predicting(seconds), running=running)
    return plugins.strategy("portfolio").place(tasks, a_cluster(*nodes), context)


def node_of(decision: Decision) -> str:
    assert isinstance(decision, Placement), decision.reason
    return decision.node


def admitted_to(name: str, path: str = "task", **fields: object) -> WaitingTask:
    return a_task(path, allowed_nodes=(NodeName(name),), **fields)


def three() -> list[NodeView]:
    return [a_node("n1"), a_node("n2"), a_node("n3")]


def test_the_node_of_the_plan_is_taken_and_the_others_are_told() -> None:
    nodes = [a_node("n1"), a_node("n2", booked=2), a_node("n3")]
    [decision] = place(
        [admitted_to("n3")], *nodes, running=[live("x", ends=12, node="n2"), live("y", ends=99, node="n2")]
    )
    assert node_of(decision) == "n3"
    assert decision.reason.text.startswith(
        "the plan ends it first there: about 3.2 s (2.1-4.8 s); n1 about 9.8 s, n2 free in 12 s"
    )
    scores = {one.node: one.scores["finish_seconds"] for one in decision.candidates}
    assert scores == {"n1": 9.8, "n2": 14.0, "n3": 3.2}


def test_a_plan_that_gives_the_soonest_node_to_others_says_so() -> None:
    [decision] = place([admitted_to("n3")], *three())
    assert node_of(decision) == "n3"
    assert decision.reason.text.startswith(
        "the plan has it there, though n2 would end it sooner: about 3.2 s (2.1-4.8 s); n2 about 2.0 s, n1 about 9.8 s"
    )


def test_without_a_plan_the_node_that_ends_it_first_is_taken() -> None:
    [decision] = place([a_task()], *three())
    assert node_of(decision) == "n2"
    assert decision.reason.text.startswith("ends first there: about 2.0 s")


def test_without_a_plan_only_nodes_with_room_count_but_the_others_are_told() -> None:
    nodes = [a_node("n1"), a_node("n2", booked=2)]
    [decision] = place(
        [a_task()], *nodes, running=[live("x", ends=1, node="n2"), live("y", ends=1, node="n2")]
    )
    assert node_of(decision) == "n1"
    assert "n2 free in 1.0 s" in decision.reason.text


def test_a_node_whose_room_nobody_gives_back_is_told_as_such() -> None:
    [decision] = place([a_task()], a_node("n1"), a_node("n2", booked=2))
    assert "n2 without room" in decision.reason.text


def test_data_that_has_to_travel_counts_and_is_told() -> None:
    task = a_task(inputs=(TaskInput(node=NodeName("n3"), mib=500.0),))
    [decision] = place([task], *three())
    assert node_of(decision) == "n3"
    [elsewhere] = place([admitted_to("n2", inputs=task.inputs)], *three())
    assert "about 2.0 s (1.3-3.0 s) after 5.0 s for its data; n3 about 3.2 s, n1 about 15 s" in (
        elsewhere.reason.text
    )


def test_a_task_that_prefers_a_node_gets_it_without_a_plan() -> None:
    [decision] = place([a_task(preferences=Preferences(nodes=(NodeName("n1"),)))], *three())
    assert node_of(decision) == "n1"


def test_each_task_sees_the_bookings_of_those_before_it() -> None:
    decisions = place([a_task(name, cores=2) for name in "abc"], *three())
    assert [node_of(decision) for decision in decisions] == ["n2", "n3", "n1"]


def test_a_planned_node_that_filled_meanwhile_gives_the_task_back_and_says_why() -> None:
    [decision] = place([admitted_to("n3")], a_node("n1"), a_node("n3", booked=2))
    assert isinstance(decision, Deferral)
    assert decision.reason.code is ReasonCode.NO_ROOM
    assert (
        decision.reason.text
        == "n3, which it was admitted to, cannot take it any more: 0 of 2 cores free, needs 1"
    )


def test_a_planned_node_that_is_gone_gives_the_task_back_and_says_why() -> None:
    [decision] = place([admitted_to("n3")], a_node("n1"))
    assert decision.reason.code is ReasonCode.NO_ROOM
    assert decision.reason.text == "n3, which it was admitted to, is not in the cluster any more"


def test_two_planned_for_the_last_room_of_a_node_do_not_both_get_it() -> None:
    first, second = place([admitted_to("n1", "a", cores=2), admitted_to("n1", "b", cores=2)], a_node("n1"))
    assert isinstance(first, Placement)
    assert isinstance(second, Deferral)
    assert second.reason.code is ReasonCode.NO_ROOM


def test_of_more_nodes_than_are_told_the_one_that_ends_it_first_is_taken() -> None:
    names = [f"n{number:03}" for number in range(80)]
    seconds = {name: 100.0 - number for number, name in enumerate(names)}
    [decision] = place([a_task()], *(a_node(name) for name in names), seconds=seconds)
    assert node_of(decision) == "n079"
    told = [one for one in decision.candidates if one.scores]
    assert len(told) == 50
    assert "and 76 more" in decision.reason.text
