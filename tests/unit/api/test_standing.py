"""Whether a stored reason still holds, as of the moment that the nodes are shown of."""

from dataclasses import replace
from typing import Any

import pytest

from nodewise.api.explaining.changes import changes
from nodewise.api.explaining.standing import Standing, standing
from nodewise.api.explaining.waiting import Awaited, Expected, Waiting
from nodewise.core.feasibility import exclusion
from nodewise.core.lifecycle import TaskState
from nodewise.core.model.decision import ReasonCode
from nodewise.core.model.ids import NodeName, TaskPath, TaskRef
from nodewise.core.model.node import NodeView
from nodewise.core.model.resources import Resources
from tests.support.builders import NOON, a_cluster, a_node, a_spec, run_id, seconds

ROOM = (ReasonCode.NO_NODES, ReasonCode.NO_ROOM, ReasonCode.UNSATISFIABLE)


def waiting(code: ReasonCode | None, *nodes: NodeView, text: str = "as it was", **fields: Any) -> Waiting:
    return Waiting(
        ref=TaskRef(run_id=run_id(1), path=TaskPath("fit")),
        spec=fields.pop("spec", None) or a_spec("fit"),
        code=code,
        text=text,
        cluster=a_cluster(*nodes),
        submitted_at=NOON - seconds(60),
        **fields,
    )


def full(name: str) -> NodeView:
    return replace(a_node(name), booked=Resources(millicores=2000, memory_mib=200))


@pytest.mark.parametrize("code", ROOM)
def test_where_a_node_has_room_by_now_the_reason_is_said_to_be_overtaken(code: ReasonCode) -> None:
    found = standing(waiting(code, full("n1"), a_node("n2")))
    assert (found.code, found.text, found.as_of) == (code, "as it was", None)
    assert found.overtaken == "n2 has room for it now, which the next look of the scheduler will see"


@pytest.mark.parametrize("code", ROOM)
@pytest.mark.parametrize(
    ("nodes", "now"),
    [
        ((), ReasonCode.NO_NODES),
        ((full("n1"),), ReasonCode.NO_ROOM),
        ((a_node("n1", cores=0.5),), ReasonCode.UNSATISFIABLE),
    ],
)
def test_where_none_has_it_is_told_again_from_the_nodes_that_are_shown(
    code: ReasonCode, nodes: tuple[NodeView, ...], now: ReasonCode
) -> None:
    asked = waiting(code, *nodes)
    found = standing(asked)
    assert (found.code, found.as_of, found.overtaken) == (now, NOON, None)
    for view in nodes:
        excluded = exclusion(asked.spec, view, asked.cluster)
        assert excluded is not None
        assert excluded.text in found.text


def test_inputs_that_are_waited_for_are_those_that_are_still_missing() -> None:
    load = Awaited(path=TaskPath("load"), state=TaskState.RUNNING)
    code = ReasonCode.UPSTREAM_NOT_FINISHED
    told = standing(waiting(code, text="waits for load, clean", upstream=(load,)))
    assert told == Standing(code=code, text="waits for load", as_of=NOON)
    assert "its inputs are there now" in (standing(waiting(code)).overtaken or "")


@pytest.mark.parametrize("code", [ReasonCode.WAITS_FOR_NODE, ReasonCode.PLANNED_LATER])
def test_a_sentence_of_a_plan_that_has_moved_since_gives_way_to_the_plan(code: ReasonCode) -> None:
    expected = Expected(node=NodeName("n1"), start_at=NOON + seconds(10), end_at=NOON + seconds(40))
    current = "planned on n1 from about 12:00:10 UTC, after 3 other tasks; n2 is free now"
    assert standing(waiting(code, text=current, expected=expected)).text == current
    for older in (current.replace("12:00:10", "12:00:05"), current.replace("n1", "n3")):
        told = standing(waiting(code, text=older, expected=expected))
        assert told.text == "planned on n1 from about 12:00:10 UTC, to end about 12:00:40 UTC"


def test_a_rest_that_is_over_is_overtaken() -> None:
    code = ReasonCode.RETRY_BACKOFF
    assert standing(waiting(code, not_before=NOON + seconds(1))).overtaken is None
    assert "that time has come" in (standing(waiting(code, not_before=NOON)).overtaken or "")


@pytest.mark.parametrize("code", [*sorted(set(ReasonCode) - {*ROOM, ReasonCode.UPSTREAM_NOT_FINISHED}), None])
def test_what_cannot_be_told_from_here_is_told_as_older(code: ReasonCode | None) -> None:
    found = standing(waiting(code, a_node("n1"), not_before=NOON + seconds(1)))
    assert found == Standing(code=code, text="as it was")


@pytest.mark.parametrize("code", [ReasonCode.NO_ROOM, ReasonCode.QUEUED, ReasonCode.UPSTREAM_NOT_FINISHED])
def test_in_a_run_that_is_being_canceled_nothing_else_counts(code: ReasonCode) -> None:
    asked = waiting(code, a_node("n1"), canceling=True)
    assert standing(asked) == Standing(
        code=ReasonCode.RUN_CANCELED, text="its run is being canceled", as_of=NOON
    )
    assert [change.text for change in changes(asked)] == ["nothing: the recorder is about to cancel it"]
