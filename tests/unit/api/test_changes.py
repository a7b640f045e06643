"""What would change it: every reason to wait has an answer, and the answer is true."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import takewhile
from typing import Any

import pytest

from nodewise.api.explaining.changes import ANSWERS, changes
from nodewise.api.explaining.waiting import Awaited, Change, ChangeKind, Expected, Rival, Waiting
from nodewise.core.estimates.learning import Basis, Prediction
from nodewise.core.feasibility import exclusion
from nodewise.core.lifecycle import TaskState
from nodewise.core.model.decision import ReasonCode
from nodewise.core.model.ids import NodeName, TaskPath, TaskRef
from nodewise.core.model.node import NodeView
from nodewise.core.model.resources import Resources
from nodewise.core.model.selection import CORDON
from nodewise.core.model.situation import Occupancy
from nodewise.core.model.task import DatasetFacts, Requirements
from tests.support.builders import NOON, a_cluster, a_node, a_spec, run_id, seconds

WAITING_CODES = tuple(takewhile(lambda code: code is not ReasonCode.OTHER_ENGINE, ReasonCode))
"""Those that the vocabulary lists as reasons to wait: its first part."""
ALSO = (
    ReasonCode.KEPT_FREE, ReasonCode.STRATEGY_RULE, ReasonCode.ADMITTED, ReasonCode.LOST_RACE,
    ReasonCode.LEASE_ENDED, ReasonCode.AGENT_FORGOT, ReasonCode.AGENT_ERROR,
)  # fmt: skip
"""Reasons of other parts that a waiting task may show, too."""


def waiting(code: ReasonCode, *nodes: NodeView, spec: Any = None, **fields: Any) -> Waiting:
    return Waiting(
        ref=TaskRef(run_id=run_id(1), path=TaskPath("fit")),
        spec=spec or a_spec("fit"),
        code=code,
        text="",
        cluster=a_cluster(*nodes),
        submitted_at=NOON - seconds(60),
        **fields,
    )


def runs(
    node: str, *, path: str = "old", cores: float = 1, memory: int = 100, lasts: float = 70
) -> Occupancy:
    """A task of run 7 that has run for a minute of `lasts` seconds."""
    return Occupancy(
        ref=TaskRef(run_id=run_id(7), path=TaskPath(path)),
        node=NodeName(node),
        resources=Resources(millicores=round(cores * 1000), memory_mib=memory),
        placed_at=NOON - seconds(60),
        started_at=NOON - seconds(60),
        prediction=Prediction(
            median_seconds=lasts, low=lasts / 2, high=lasts * 2, level=0.8, basis=Basis.LEARNED, samples=3
        ),
    )


def full(name: str, **fields: Any) -> NodeView:
    """A node of two cores that are all booked."""
    view = a_node(name, **fields)
    return replace(view, booked=Resources(millicores=view.node.capacity.millicores, memory_mib=200))


def texts(found: Sequence[Change], kind: ChangeKind | None = None) -> list[str]:
    return [change.text for change in found if kind in (None, change.kind)]


def test_the_reasons_to_wait_are_those_of_the_vocabulary() -> None:
    assert set(ANSWERS) == {*WAITING_CODES, *ALSO}


@pytest.mark.parametrize("code", [*WAITING_CODES, *ALSO, ReasonCode.FINISHED, None])
@pytest.mark.parametrize("nodes", [(), (a_node("n1"),), (full("n1"), a_node("n2", cores=0.5))])
def test_every_reason_has_an_answer_whatever_the_cluster(
    code: ReasonCode | None, nodes: tuple[NodeView, ...]
) -> None:
    found = changes(replace(waiting(ReasonCode.QUEUED, *nodes), code=code))
    assert found
    assert all(change.text for change in found)


def test_upstream_tasks_are_named_with_their_state_and_expected_end() -> None:
    upstream = (
        Awaited(
            path=TaskPath("load"),
            state=TaskState.RUNNING,
            node=NodeName("n3"),
            expected_end_at=NOON + seconds(250),
        ),
        Awaited(path=TaskPath("clean"), state=TaskState.READY),
    )
    found = changes(waiting(ReasonCode.UPSTREAM_NOT_FINISHED, upstream=upstream))
    assert texts(found) == [
        "when load, which is RUNNING on n3, has ended, about 12:04:10 UTC",
        "when clean, which waits itself, has ended",
    ]
    assert (found[0].node, found[0].at) == ("n3", NOON + seconds(250))


@pytest.mark.parametrize("state", [TaskState.FAILED, TaskState.SKIPPED, TaskState.CANCELED])
def test_an_upstream_task_that_will_never_succeed_is_not_waited_for(state: TaskState) -> None:
    upstream = (
        Awaited(path=TaskPath("load"), state=state),
        Awaited(path=TaskPath("clean"), state=TaskState.RUNNING),
    )
    found = changes(waiting(ReasonCode.UPSTREAM_NOT_FINISHED, upstream=upstream))
    assert texts(found) == [f"nothing: load is {state}; the recorder is about to decide on it"]


@pytest.mark.parametrize("code", [ReasonCode.LEASE_ENDED, ReasonCode.AGENT_FORGOT, ReasonCode.AGENT_ERROR])
def test_a_task_that_was_lost_is_told_when_it_is_considered_again_and_where_there_is_room(
    code: ReasonCode,
) -> None:
    first, second = changes(waiting(code, a_node("n1"), not_before=NOON + seconds(10)))
    assert first.text == "when it is considered again, at 12:00:10 UTC"
    assert second.text == "nothing has to: n1 has room for it now"


def test_room_comes_with_the_first_end_that_is_enough() -> None:
    nodes = (full("n1"), full("n2"))
    running = [runs("n1", lasts=100), runs("n2", path="soon", cores=0.5, lasts=61), runs("n2", lasts=70)]
    found = changes(waiting(ReasonCode.NO_ROOM, *nodes, running=running))
    assert texts(found, ChangeKind.TIME) == [
        "when soon of run 00000000 and old of run 00000000 on n2 have ended, about 12:00:10 UTC, it has room"
    ]


def test_a_running_task_that_outlives_its_interval_is_not_expected_in_the_past() -> None:
    found = changes(waiting(ReasonCode.NO_ROOM, full("n1"), running=[runs("n1", lasts=10)]))
    assert found[0].at is not None
    assert found[0].at > NOON


@pytest.mark.parametrize(
    ("view", "spec", "text"),
    [
        (a_node("n2", booked=1.5), a_spec(), "with 0.5 cores less (at most 0.5 cores): n2 could take it now"),
        (
            a_node("n2", available=60),
            a_spec(memory=100),
            "with 40 MiB less memory (at most 60 MiB): n2 could take it now",
        ),
        (
            replace(a_node("n2", memory=3000), booked=Resources(memory_mib=2000)),
            a_spec(memory=1, dataset=DatasetFacts(samples=2**20, features=128)),
            "with 1048 MiB less memory (at most 1000 MiB): n2 could take it now",
        ),
    ],
)
def test_how_much_less_would_do_is_what_the_node_lacks(view: NodeView, spec: Any, text: str) -> None:
    assert texts(changes(waiting(ReasonCode.NO_ROOM, view, spec=spec)), ChangeKind.TASK) == [text]


def test_less_is_not_offered_where_nothing_would_be_left() -> None:
    assert texts(changes(waiting(ReasonCode.NO_ROOM, full("n1"))), ChangeKind.TASK) == []


NEEDY = Requirements(labels={"zone": "eu", "tier": "1"}, architectures=("amd64",))


@pytest.mark.parametrize(
    ("view", "requirements", "expected"),
    [
        (
            a_node("n2", labels={"tier": "1"}),
            NEEDY,
            [
                "label zone=eu on n2: n2 could take it now",
                "with no need of label zone=eu: n2 could take it now",
            ],
        ),
        (full("n2"), Requirements(nodes=(NodeName("n9"),)), ["with n2 among its nodes: n2 could take it when it has room"]),
        (
            a_node("n2", architecture="arm64"),
            Requirements(architectures=("amd64",)),
            ["with architecture arm64 allowed: n2 could take it now"],
        ),
        (
            a_node("n2", worker_type="edge"),
            Requirements(worker_types=("gpu",), accelerator="a100"),
            ["with worker type edge allowed and no need of accelerator a100: n2 could take it now"],
        ),
    ],
)  # fmt: skip
def test_what_never_fits_is_told_what_it_would_have_to_give_up(
    view: NodeView, requirements: Requirements, expected: list[str]
) -> None:
    spec = a_spec(requirements=requirements)
    assert exclusion(spec, view, a_cluster(view)) is not None
    found = changes(waiting(ReasonCode.UNSATISFIABLE, view, spec=spec))
    assert texts(found)[1:] == expected
    assert texts(found)[0].startswith("another node, with 1 cores, 100 MiB")


def test_what_is_too_large_for_every_node_is_told_how_large_it_may_be() -> None:
    spec = a_spec(cores=8, memory=4000)
    found = changes(waiting(ReasonCode.UNSATISFIABLE, a_node("n1"), a_node("n2", memory=5000), spec=spec))
    assert texts(found, ChangeKind.TASK) == [
        "with 6 cores less (at most 2 cores): n2 could take it now",
        "with 6 cores less (at most 2 cores) and 3000 MiB less memory (at most 1000 MiB): n1 could take it now",
    ]


def test_a_node_that_is_only_cordoned_is_named_if_it_could_take_the_task() -> None:
    cordoned = a_node("n1", cores=4, taints=(CORDON,))
    asked = waiting(ReasonCode.NO_ROOM, cordoned, a_node("n2", cores=1), spec=a_spec("fit", cores=2))
    assert [(one.kind, one.node) for one in changes(asked)][:1] == [(ChangeKind.NODE, "n1")]
    larger = waiting(ReasonCode.NO_ROOM, cordoned, a_node("n2", cores=1), spec=a_spec("fit", cores=8))
    assert not any("uncordoned" in one.text for one in changes(larger))


def test_a_node_that_came_since_is_seen() -> None:
    found = changes(waiting(ReasonCode.UNSATISFIABLE, a_node("n1")))
    assert texts(found) == ["nothing has to: n1 has room for it now"]


def test_a_cluster_without_nodes_needs_one() -> None:
    assert texts(changes(waiting(ReasonCode.NO_NODES))) == ["a node that joins with 1 cores, 100 MiB"]


def a_rival(priority: int, ago: float, tasks: int = 1) -> Rival:
    return Rival(priority=priority, submitted_at=NOON - seconds(ago), tasks=tasks)


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        ("priority", ["submitted with a priority above 5, it would come before 4 tasks that wait"]),
        ("balanced", ["submitted with a priority above 5, it would come before 3 tasks that wait"]),
        ("fifo", []),
    ],
)
def test_a_higher_priority_is_offered_where_it_helps(policy: str, expected: list[str]) -> None:
    rivals = [a_rival(5, 1, tasks=2), a_rival(2, 1), a_rival(0, 90), a_rival(0, 30), a_rival(-1, 99)]
    found = changes(waiting(ReasonCode.QUEUED, a_node("n1"), policy=policy, rivals=rivals))
    assert texts(found, ChangeKind.ORDER) == expected


def test_who_sees_one_team_only_is_not_told_the_priorities_of_others() -> None:
    asked = waiting(
        ReasonCode.QUEUED, a_node("n1"), policy="priority", rivals=[a_rival(777, 1)], all_teams=False
    )
    assert texts(changes(asked), ChangeKind.ORDER) == [
        "submitted with a higher priority, it would come before 1 task that waits"
    ]


@pytest.mark.parametrize("code", [ReasonCode.WAITS_FOR_NODE, ReasonCode.PLANNED_LATER])
def test_a_planned_task_tells_its_time_whose_end_it_waits_for_and_where_it_need_not(code: ReasonCode) -> None:
    expected = Expected(node=NodeName("n1"), start_at=NOON + seconds(9), end_at=NOON + seconds(20))
    nodes = (full("n1"), a_node("n2"))
    found = changes(waiting(code, *nodes, expected=expected, running=[runs("n1")]))
    assert texts(found) == [
        "when its time in the plan comes: on n1 from about 12:00:09 UTC",
        "when old of run 00000000 on n1 ends, about 12:00:10 UTC, it has room",
        "allowed on n2 only, which has room for it now, it need not wait, but may end later",
    ]


def test_a_retry_tells_when() -> None:
    found = changes(waiting(ReasonCode.RETRY_BACKOFF, a_node("n1"), not_before=NOON + seconds(30)))
    assert texts(found) == ["when its time to be tried again comes, at 12:00:30 UTC"]
    late = changes(waiting(ReasonCode.RETRY_BACKOFF, a_node("n1"), not_before=NOON - seconds(1)))
    assert (late[0].at, texts(late)) == (
        None,
        ["when its time to be tried again comes, in the next look of the scheduler"],
    )


def test_a_strategy_that_will_not_is_told_apart_from_a_cluster_that_cannot() -> None:
    found = changes(waiting(ReasonCode.STRATEGY_RULE, a_node("n1")))
    assert texts(found, ChangeKind.PLUGIN) == ["submitted with another strategy: n1 has room for it now"]
    assert texts(changes(waiting(ReasonCode.STRATEGY_RULE, full("n1"))), ChangeKind.PLUGIN) == []


@pytest.mark.parametrize(
    ("code", "named"), [(ReasonCode.UNKNOWN_POLICY, "mine"), (ReasonCode.UNKNOWN_STRATEGY, "ours")]
)
def test_a_missing_plugin_is_named(code: ReasonCode, named: str) -> None:
    (change,) = changes(waiting(code, a_node("n1"), policy="mine", strategy="ours"))
    assert (change.kind, named in change.text) == (ChangeKind.PLUGIN, True)
