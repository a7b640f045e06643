"""Runs that are planned: who is admitted to which node, what the others are told, and what a failing planner holds up."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nodewise.core.errors import Unplannable
from nodewise.core.lifecycle import TaskState
from nodewise.core.model.decision import ReasonCode
from nodewise.core.model.ids import NodeName
from nodewise.core.model.node import Cluster, Node
from nodewise.core.model.problem import Planner, PlanningContext, Problem, Schedule
from nodewise.core.model.situation import Occupancy, OpenRun
from nodewise.core.model.task import TaskFacts, WaitingTask
from nodewise.core.plugins import planners, policies
from nodewise.core.ports import Predict
from nodewise.scheduler.cycle import AdmittedTask, LastPlan, Plan, Planning, Queued, Snapshot, plan
from tests.support.builders import NOON, a_cluster, a_node, a_task, policy_context, seconds
from tests.support.forecasts import exactly
from tests.support.open_runs import an_open_run, an_open_task, done_on, lives, waiting


class Broken:
    name = "broken"
    summary = ""

    def plan(self, problem: Problem, context: PlanningContext) -> Schedule:
        raise RuntimeError("lost the thread\x00")


PLANNERS: Mapping[str, Planner] = {name: planners()[name] for name in ("heft", "eft", "portfolio")}
PLANNING = Planning(planners=PLANNERS, placements=200)
TWO = a_cluster(a_node("n1", cores=1), a_node("n2", cores=1))


def believed(**rows: Mapping[str, float]) -> Predict:
    """Seconds by task class and node; what is not named takes 10 s."""

    def predicted(task: TaskFacts, node: Node) -> float:
        return rows.get(task.task_class, {}).get(node.name, 10.0)

    return exactly(predicted)


def decide(
    *runs: OpenRun,
    cluster: Cluster = TWO,
    others: Sequence[WaitingTask] = (),
    running: Sequence[Occupancy] = (),
    admitted: Sequence[AdmittedTask] = (),
    predict: Predict | None = None,
    planning: Planning | None = PLANNING,
    at: float = 0,
    max_admitted: int = 1000,
    ageing: timedelta = timedelta(hours=1),
    queue: Sequence[Queued] | None = None,
) -> Plan:
    ready = [task for run in runs for task in waiting(run)] + list(others)
    cluster = replace(cluster, taken_at=NOON + seconds(at))
    snapshot = Snapshot(
        queue=tuple(Queued(task=task) for task in ready) if queue is None else tuple(queue),
        cluster=cluster,
        admitted=tuple(admitted),
        runs=runs,
        running=tuple(running),
    )
    context = replace(
        policy_context(), now=NOON + seconds(at), cluster=cluster, predict=predict or believed()
    )
    return plan(snapshot, policies(), context, max_admitted=max_admitted, ageing=ageing, planning=planning)


def admissions(decided: Plan) -> dict[str, tuple[str, ...] | None]:
    return {admission.ref.path: admission.nodes for admission in decided.admitted}


def told(decided: Plan) -> dict[str, tuple[ReasonCode, str]]:
    return {ref.path: (reason.code, reason.text) for ref, reason in decided.reasons.items()}


def test_what_is_due_is_admitted_to_the_node_of_the_plan() -> None:
    run = an_open_run(an_open_task("a"), an_open_task("b"))
    decided = decide(run, predict=believed(a={"n1": 1, "n2": 9}, b={"n1": 9, "n2": 1}))
    assert admissions(decided) == {"a": ("n1",), "b": ("n2",)}
    assert decided.reasons == {}


def test_a_task_waits_for_a_busy_node_that_still_ends_it_sooner_than_a_free_one() -> None:
    run = an_open_run(an_open_task("a"))
    busy = a_cluster(a_node("n1", cores=1), a_node("n2", cores=1, booked=1))
    decided = decide(
        run,
        cluster=busy,
        running=[lives("r", "n2", ends=250)],
        predict=believed(a={"n1": 560, "n2": 240}),
    )
    assert decided.admitted == ()
    assert told(decided) == {
        "a": (
            ReasonCode.WAITS_FOR_NODE,
            "waits for n2 until about 12:04:10 UTC, to end about 12:08:10 UTC; "
            "n1 is free now but would end it about 12:09:20 UTC",
        )
    }


def test_moving_its_data_counts_for_the_free_node() -> None:
    """The parent's 30 GiB lie on n2."""
    task = an_open_task("a", "parent", state=TaskState.READY)
    run = an_open_run(task, done={"parent": done_on("n2", mib=30_000)})
    busy = a_cluster(a_node("n1", cores=1), a_node("n2", cores=1, booked=1))
    decided = decide(run, cluster=busy, running=[lives("r", "n2", ends=60)])
    assert "n1 is free now but would end it about 12:05:10 UTC" in told(decided)["a"][1]


def test_a_task_behind_others_of_its_node_says_how_many() -> None:
    run = an_open_run(an_open_task("a"), an_open_task("b"), an_open_task("c"))
    decided = decide(run, cluster=a_cluster(a_node("n1", cores=1)))
    assert len(decided.admitted) == 1
    assert sorted(told(decided).values()) == [
        (
            ReasonCode.PLANNED_LATER,
            "planned on n1 from about 12:00:10 UTC, after another task, to end about 12:00:20 UTC; "
            "no other node that can take it is free now",
        ),
        (
            ReasonCode.PLANNED_LATER,
            "planned on n1 from about 12:00:20 UTC, after 2 other tasks, to end about 12:00:30 UTC; "
            "no other node that can take it is free now",
        ),
    ]


def test_what_no_node_can_ever_take_is_told_so_and_holds_up_nobody() -> None:
    run = an_open_run(an_open_task("huge", cores=64), an_open_task("small"))
    decided = decide(run)
    assert list(admissions(decided)) == ["small"]
    code, text = told(decided)["huge"]
    assert code is ReasonCode.UNSATISFIABLE
    assert "needs 64 cores" in text
    assert "n1: has 1 cores" in text


def test_tasks_behind_the_horizon_are_told_so() -> None:
    run = an_open_run(*(an_open_task(f"t{i}") for i in range(4)))
    decided = decide(run, planning=replace(PLANNING, horizon=2))
    assert len(decided.admitted) == 2
    assert set(told(decided).values()) == {(ReasonCode.QUEUED, "planned later: 2 tasks before it")}


def test_room_that_is_lost_to_what_is_measured_makes_the_task_wait_at_its_node() -> None:
    """The plan knows bookings only."""
    run = an_open_run(an_open_task("a", memory=500))
    cluster = a_cluster(a_node("n1", memory=1000, available=300))
    decided = decide(run, cluster=cluster)
    code, text = told(decided)["a"]
    assert code is ReasonCode.WAITS_FOR_NODE
    assert text.startswith("its turn on n1 has come, but it has to wait there (300 MiB measured available")


def test_data_is_moved_ahead_of_the_start_where_placing_comes_first() -> None:
    """10 s of data come from n1, and n2 is busy for as long."""
    task = an_open_task("a", "parent", state=TaskState.READY)
    run = an_open_run(task, done={"parent": done_on("n1", mib=1000)})
    beliefs = believed(a={"n1": 900, "n2": 1})
    assert admissions(decide(run, predict=beliefs)) == {"a": ("n2",)}
    later = decide(run, predict=beliefs, planning=replace(PLANNING, moves_data_after_placement=False))
    assert later.admitted == ()
    assert "until about 12:00:10 UTC" in told(later)["a"][1]


def test_what_is_planned_is_expected_there_and_then() -> None:
    run = an_open_run(an_open_task("a"), an_open_task("b", "a"))
    decided = decide(run, cluster=a_cluster(a_node("n1", cores=1)))
    found = {ref.path: (at.node, at.start, at.end) for ref, at in decided.expected.items()}
    assert found == {
        "a": ("n1", NOON, NOON + seconds(10)),
        "b": ("n1", NOON + seconds(10), NOON + seconds(20)),
    }


def test_planned_and_other_tasks_share_the_room() -> None:
    """Whose run came first goes first; the other waits, and is planned again at the next look."""
    cluster = a_cluster(a_node("n1", cores=1))
    other = a_task("other", run=2, submitted=-5)
    run = an_open_run(an_open_task("a"))
    decided = decide(run, cluster=cluster, others=[other])
    assert admissions(decided) == {"other": None}
    code, text = told(decided)["a"]
    assert code is ReasonCode.WAITS_FOR_NODE
    assert "0 of 1 cores free, needs 1" in text


@pytest.mark.parametrize(("took", "admitted"), [(20, ["a"]), (21, [])])
def test_room_kept_for_a_task_without_a_plan_is_not_for_planned_ones_that_take_longer(
    took: float, admitted: list[str]
) -> None:
    decided = decide(
        an_open_run(an_open_task("a")),
        cluster=a_cluster(replace(a_node("n1", cores=4, booked=3), running_tasks=1)),
        others=[a_task("other", run=2, submitted=-5, cores=4)],
        running=[lives("r", "n1", cores=3, ends=20)],
        predict=believed(a={"n1": took}),
    )
    assert list(admissions(decided)) == admitted
    if not admitted:
        assert told(decided)["a"][0] is ReasonCode.KEPT_FREE


@pytest.mark.parametrize(("waited", "admitted"), [(3599, ["other"]), (3601, [])])
def test_room_is_kept_for_a_planned_task_that_has_waited_too_long(waited: float, admitted: list[str]) -> None:
    """Else tasks without a plan could take the room as it comes free, again and again."""
    decided = decide(
        an_open_run(an_open_task("a", cores=2), submitted=-waited),
        cluster=a_cluster(replace(a_node("n1", cores=2, booked=1), running_tasks=1)),
        others=[a_task("other", run=2)],
        running=[lives("r", "n1", ends=5)],
    )
    assert list(admissions(decided)) == admitted
    assert told(decided)["a"][0] is ReasonCode.WAITS_FOR_NODE
    if not admitted:
        assert told(decided)["other"][0] is ReasonCode.KEPT_FREE


def test_a_run_whose_policy_is_missing_is_not_planned() -> None:
    run = an_open_run(an_open_task("a"), policy="gone")
    other = an_open_run(an_open_task("b", run=2))
    decided = decide(run, other)
    assert list(admissions(decided)) == ["b"]
    assert told(decided)["a"][0] is ReasonCode.UNKNOWN_POLICY


def test_a_planner_that_is_missing_or_fails_holds_up_only_its_own_runs() -> None:
    runs = [
        an_open_run(an_open_task("good", run=1)),
        an_open_run(an_open_task("lost", run=2), strategy="broken"),
        an_open_run(an_open_task("gone", run=3), strategy="gone"),
    ]
    planning = replace(PLANNING, planners={**PLANNERS, "broken": Broken()})
    decided = decide(*runs, others=[a_task("other", run=4, submitted=1)], planning=planning)
    assert admissions(decided) == {"good": ("n1",), "other": None}
    assert told(decided)["lost"] == (
        ReasonCode.STRATEGY_RULE,
        "planner 'broken' failed: RuntimeError: lost the thread",
    )
    assert told(decided)["gone"][0] is ReasonCode.UNKNOWN_STRATEGY
    assert "known: broken, eft, heft, portfolio" in told(decided)["gone"][1]


class Telltale(Broken):
    """Names what it was shown."""

    def plan(self, problem: Problem, context: PlanningContext) -> Schedule:
        names = [f"{pipeline.name}/{task.name}" for pipeline in problem.pipelines for task in pipeline.tasks]
        raise Unplannable(names)


def test_a_planner_that_fails_tells_nobody_of_the_tasks_of_others() -> None:
    runs = [
        an_open_run(an_open_task("mine", run=1), strategy="broken"),
        an_open_run(an_open_task("theirs", run=2), strategy="broken"),
    ]
    decided = decide(*runs, planning=replace(PLANNING, planners={"broken": Telltale()}))
    said = told(decided)["mine"][1]
    assert said == "planner 'broken' failed: no node can run a task, a task"


def test_a_failing_planner_alone_stops_nothing() -> None:
    planning = replace(PLANNING, planners={"broken": Broken()})
    run = an_open_run(an_open_task("lost"), strategy="broken")
    decided = decide(run, others=[a_task("other", run=4)], planning=planning)
    assert list(admissions(decided)) == ["other"]
    assert told(decided)["lost"][0] is ReasonCode.STRATEGY_RULE


def test_tasks_in_back_off_are_planned_but_not_admitted() -> None:
    run = an_open_run(an_open_task("a", not_before=30), an_open_task("b", "a"))
    queue = [Queued(task=task, not_before=NOON + seconds(30)) for task in waiting(run)]
    decided = decide(run, queue=queue)
    assert decided.admitted == ()
    assert told(decided)["a"][0] is ReasonCode.RETRY_BACKOFF
    assert {ref.path: at.start for ref, at in decided.expected.items()}["a"] == NOON + seconds(30)


def test_no_more_are_admitted_than_allowed() -> None:
    run = an_open_run(an_open_task("a"), an_open_task("b"))
    decided = decide(run, max_admitted=1)
    assert len(decided.admitted) == 1
    assert {code for code, _ in told(decided).values()} == {ReasonCode.QUEUED}


def test_what_is_on_its_way_to_a_node_is_planned_around() -> None:
    going = an_open_task("going", state=TaskState.ADMITTED, allowed=["n1"])
    run = an_open_run(going, an_open_task("next"))
    admitted = [
        AdmittedTask(ref=going.facts.ref, spec=going.spec, allowed_nodes=(NodeName("n1"),)),
    ]
    decided = decide(run, cluster=a_cluster(a_node("n1", cores=1)), admitted=admitted)
    assert decided.admitted == ()
    assert "until about 12:00:10 UTC" in told(decided)["next"][1]


def test_without_planning_the_tasks_are_taken_one_by_one() -> None:
    run = an_open_run(an_open_task("a"))
    assert admissions(decide(run, planning=None)) == {"a": None}


@pytest.mark.parametrize("policy", sorted(policies()))
def test_every_policy_can_be_planned_with(policy: str) -> None:
    runs = [an_open_run(an_open_task("t", run=n), submitted=-n, policy=policy) for n in range(1, 4)]
    decided = decide(*runs)
    assert len(decided.admitted) == 2
    assert len(decided.reasons) == 1


def test_other_policies_plan_run_after_run_around_those_before() -> None:
    """The later run is shorter, but first come is first served."""
    first = an_open_run(an_open_task("long", run=1), submitted=-2, policy="fifo")
    second = an_open_run(an_open_task("short", run=2), submitted=-1, policy="fifo")
    beliefs = believed(long={"n1": 100}, short={"n1": 1})
    cluster = a_cluster(a_node("n1", cores=1))
    assert list(admissions(decide(second, first, cluster=cluster, predict=beliefs))) == ["long"]


def looks(*times: float, second: OpenRun | None = None) -> list[LastPlan]:
    """Looks at one task that waits for a busy node; `second` is there from the second look on."""
    memory, found = LastPlan(), []
    beliefs = believed()
    cluster = a_cluster(a_node("n1", cores=1, booked=1))
    run = an_open_run(an_open_task("a"), strategy="eft")
    for number, at in enumerate(times):
        runs = [run] if second is None or not number else [run, second]
        planning = replace(PLANNING, memory=memory)
        memory = decide(
            *runs,
            cluster=cluster,
            running=[lives("r", "n1", ends=60)],
            predict=beliefs,
            planning=planning,
            at=at,
        ).memory
        found.append(memory)
    return found


def test_nothing_is_planned_again_while_nothing_happens_and_nothing_is_due() -> None:
    first, second = looks(0, 59)
    assert second.plan is first.plan


def test_it_is_planned_again_when_a_start_is_due() -> None:
    first, second = looks(0, 60)
    assert second.plan is not first.plan


def test_it_is_planned_again_when_something_arrives() -> None:
    arrived = an_open_run(an_open_task("b", run=2), strategy="eft")
    _, second = looks(0, 1, second=arrived)
    assert second.plan is not None
    assert len(second.plan.tasks) == 2


shapes = st.lists(
    st.tuples(
        st.integers(1, 5),
        st.sampled_from("abcd"),
        st.sampled_from((0.5, 1.0, 2.0, 9.0)),
        st.booleans(),
        st.integers(0, 5000),
    ),
    max_size=16,
    unique_by=lambda shape: shape[:2],
)


@given(shapes, st.lists(st.sampled_from((1.0, 2.0)), min_size=0, max_size=3), st.integers(0, 6))
def test_nobody_is_forgotten_and_no_node_overbooked(
    shapes: list[tuple[int, str, float, bool, int]], sizes: list[float], limit: int
) -> None:
    """Runs 4 and 5 are taken task by task, the others are planned."""
    cluster = a_cluster(*(a_node(f"n{i}", cores=cores) for i, cores in enumerate(sizes)))
    runs: list[OpenRun] = []
    for number in (1, 2, 3):
        tasks = [
            an_open_task(path, run=number, cores=cores, state=TaskState.READY if ready else TaskState.WAITING)
            for run, path, cores, ready, _ in shapes
            if run == number
        ]
        policy = ("balanced", "fifo", "shortest")[number - 1]
        if tasks:
            runs.append(an_open_run(*tasks, submitted=-1500 * number, policy=policy))
    others = [
        a_task(path, run=run, cores=cores, submitted=-waited)
        for run, path, cores, _, waited in shapes
        if run > 3
    ]
    decided = decide(*runs, others=others, cluster=cluster, max_admitted=limit)
    asked = {task.ref: task for task in [*others, *(task for run in runs for task in waiting(run))]}
    admitted = {admission.ref: admission.nodes for admission in decided.admitted}
    assert len(admitted) == len(decided.admitted) <= limit
    assert admitted.keys() | decided.reasons.keys() == asked.keys()
    assert not admitted.keys() & decided.reasons.keys()
    for view in cluster.nodes:
        pinned = [asked[ref].spec.resources for ref, nodes in admitted.items() if nodes == (view.name,)]
        assert sum(need.millicores for need in pinned) <= view.node.capacity.millicores
    total = sum(asked[ref].spec.resources.millicores for ref in admitted)
    assert total <= sum(view.node.capacity.millicores for view in cluster.nodes)
    again = decide(*runs, others=others, cluster=cluster, max_admitted=limit)
    assert (again.admitted, again.reasons) == (decided.admitted, decided.reasons)
