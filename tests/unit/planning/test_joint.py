"""What a joint plan makes of a situation: one rule a test."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from random import Random

import pytest

from nodewise.core.estimates.learning import Prediction
from nodewise.core.lifecycle import TaskState
from nodewise.core.model.ids import TaskRef
from nodewise.core.model.node import Cluster, Node
from nodewise.core.model.resources import Resources
from nodewise.core.model.situation import Occupancy, OpenRun
from nodewise.core.model.task import Preferences, Requirements, TaskFacts
from nodewise.core.ports import Predict
from nodewise.planning import PLANNERS
from nodewise.planning.joint import JointContext, JointPlan, Memory, PlannedTask, Stage, plan_jointly
from tests.support.builders import NOON, a_cluster, a_node, seconds
from tests.support.forecasts import exactly
from tests.support.open_runs import an_open_run, an_open_task, done_on, lives
from tests.support.schedule_checker import assert_valid

ONE = a_cluster(replace(a_node("n1"), slots=1))
TWO = a_cluster(replace(a_node("n1"), slots=1), replace(a_node("n2"), slots=1))


def believed(**rows: Mapping[str, float] | float) -> Predict:
    """Seconds by task class, on every node or by node; what is not named takes 10 s."""

    def predicted(task: TaskFacts, node: Node) -> float:
        row = rows.get(task.task_class, 10.0)
        return row if isinstance(row, int | float) else row.get(node.name, 10.0)

    return exactly(predicted)


def joint(
    *runs: OpenRun,
    cluster: Cluster = ONE,
    running: Sequence[Occupancy] = (),
    predict: Predict | None = None,
    planner: str = "heft",
    apart: bool = False,
    at: float = 0,
    memory: Memory | None = None,
    horizon: int = 2000,
) -> JointPlan:
    context = JointContext(
        now=NOON + seconds(at),
        planners=PLANNERS,
        predict=predict or believed(),
        rng=Random(0),
        horizon=horizon,
        placements=500,
    )
    groups = [(run.id,) for run in runs] if apart else [tuple(run.id for run in runs)]
    stages = [Stage(planner=planner, runs=group) for group in groups]
    plan = plan_jointly(
        replace(cluster, taken_at=NOON + seconds(at)),
        runs,
        running,
        stages,
        context,
        memory=memory or Memory(),
    )
    assert_valid(plan.problem, plan.schedule)
    return plan


def spans(plan: JointPlan) -> dict[str, tuple[str, float, float]]:
    """By path: the node, and start and end in seconds after noon."""
    return {ref.path: (at.node, _after_noon(at)[0], _after_noon(at)[1]) for ref, at in plan.tasks.items()}


def _after_noon(at: PlannedTask) -> tuple[float, float]:
    return (at.start - NOON).total_seconds(), (at.end - NOON).total_seconds()


def test_a_chain_is_planned_to_its_end() -> None:
    run = an_open_run(an_open_task("a"), an_open_task("b", "a"))
    assert spans(joint(run)) == {"a": ("n1", 0, 10), "b": ("n1", 10, 20)}


def test_a_later_stage_takes_the_gaps_only() -> None:
    first = an_open_run(an_open_task("a", not_before=5), an_open_task("b", "a"))
    second = an_open_run(an_open_task("c", run=2), an_open_task("d", run=2))
    plan = joint(first, second, apart=True, predict=believed(c=4, d=6))
    assert spans(plan) == {
        "a": ("n1", 5, 15),
        "b": ("n1", 15, 25),
        "c": ("n1", 0, 4),
        "d": ("n1", 25, 31),
    }


def test_what_lives_holds_its_node_and_its_children() -> None:
    run = an_open_run(an_open_task("a", state=TaskState.RUNNING), an_open_task("b", "a"))
    plan = joint(run, cluster=TWO, running=[lives("a", "n1", run=1, ends=30)], at=10)
    assert spans(plan)["b"][1:] == (30, 40)
    assert "a" not in spans(plan)


def test_attempts_of_other_runs_hold_their_room() -> None:
    plan = joint(an_open_run(an_open_task("a")), running=[lives("x", "n1", run=9, ends=25)])
    assert spans(plan) == {"a": ("n1", 25, 35)}


def test_the_live_tasks_of_a_run_in_no_stage_hold_their_room() -> None:
    mine, other = (
        an_open_run(an_open_task("a")),
        an_open_run(an_open_task("x", run=2, state=TaskState.RUNNING)),
    )
    context = JointContext(now=NOON, planners=PLANNERS, predict=believed(), rng=Random(0))
    plan = plan_jointly(
        ONE,
        [mine, other],
        [lives("x", "n1", run=2, ends=25)],
        [Stage(planner="heft", runs=(mine.id,))],
        context,
        memory=Memory(),
    )
    assert spans(plan) == {"a": ("n1", 25, 35)}


def test_an_admitted_task_runs_where_it_was_admitted_from_now_on() -> None:
    run = an_open_run(an_open_task("a", state=TaskState.ADMITTED, allowed=["n1"]), an_open_task("b"))
    assert spans(joint(run)) == {"b": ("n1", 10, 20)}


def test_booked_room_that_nothing_explains_is_about_to_be_released() -> None:
    booked = replace(a_node("n1"), slots=1, running_tasks=1, booked=Resources(millicores=1000))
    plan = joint(an_open_run(an_open_task("a")), cluster=a_cluster(booked))
    assert spans(plan) == {"a": ("n1", 1, 11)}


def test_a_task_that_rests_does_not_start_before() -> None:
    assert spans(joint(an_open_run(an_open_task("a", not_before=7)))) == {"a": ("n1", 7, 17)}


def test_data_of_a_finished_task_travels_to_another_node() -> None:
    run = an_open_run(an_open_task("b", "a", state=TaskState.READY), done={"a": done_on("n1", mib=300)})
    plan = joint(run, cluster=TWO, predict=believed(b={"n1": 10, "n2": 2}))
    assert spans(plan) == {"b": ("n2", 3, 5)}
    assert [task.transfer_seconds for task in plan.tasks.values()] == [3]


def test_data_on_a_node_that_is_gone_is_still_read() -> None:
    run = an_open_run(an_open_task("b", "a", state=TaskState.READY), done={"a": done_on("gone", mib=300)})
    assert spans(joint(run)) == {"b": ("n1", 3, 13)}


def test_what_no_node_can_take_is_said_and_what_comes_after_it_left_out() -> None:
    run = an_open_run(an_open_task("a", cores=64), an_open_task("b", "a"), an_open_task("c"))
    plan = joint(run)
    assert spans(plan) == {"c": ("n1", 0, 10)}
    ((ref, sentence),) = plan.unplannable.items()
    assert ref.path == "a"
    assert sentence.startswith("no node can ever take it; it needs 64 cores")


def test_without_any_node_nothing_can_be_planned() -> None:
    plan = joint(an_open_run(an_open_task("a")), cluster=a_cluster())
    assert list(plan.unplannable.values()) == ["the cluster has no node that is ready"]


def test_hard_requirements_are_kept() -> None:
    wish = Requirements(nodes=("n2",))  # type: ignore[arg-type]
    plan = joint(
        an_open_run(an_open_task("a", requirements=wish)), cluster=TWO, predict=believed(a={"n2": 99})
    )
    assert spans(plan) == {"a": ("n2", 0, 99)}


@pytest.mark.parametrize(("elsewhere", "node"), [(7, "n2"), (6, "n1")])
def test_a_wish_is_worth_half_as_long_again_and_the_times_are_true(elsewhere: float, node: str) -> None:
    wish = Preferences(nodes=("n2",))  # type: ignore[arg-type]
    run = an_open_run(an_open_task("a", preferences=wish))
    plan = joint(run, cluster=TWO, predict=believed(a={"n1": elsewhere}))
    assert spans(plan) == {"a": (node, 0, 10 if node == "n2" else elsewhere)}


def test_memory_that_strangers_use_is_left_alone_where_there_is_other() -> None:
    crowded = replace(a_node("n1", available=50), slots=1)
    run = an_open_run(an_open_task("a", memory=100))
    assert spans(joint(run, cluster=a_cluster(crowded, a_node("n2"))))["a"][0] == "n2"
    assert spans(joint(run, cluster=a_cluster(crowded)))["a"][0] == "n1"


def test_the_horizon_is_filled_in_the_order_of_the_stages() -> None:
    first, second = (
        an_open_run(an_open_task("a"), an_open_task("b", "a")),
        an_open_run(an_open_task("c", run=2)),
    )
    plan = joint(first, second, apart=True, horizon=2)
    assert sorted(spans(plan)) == ["a", "b"]
    assert {ref.path for ref in plan.beyond} == {"c"}


def test_a_planner_that_is_not_there_is_an_error() -> None:
    with pytest.raises(KeyError, match="nobody"):
        joint(an_open_run(an_open_task("a")), planner="nobody")


PAIR = an_open_run(an_open_task("long"), an_open_task("short"), an_open_task("last", "short"))
BELIEFS = believed(long=30, short={"n1": 10, "n2": 10}, last=10)


def started(*tasks: tuple[str, str, float], run: OpenRun = PAIR) -> tuple[OpenRun, list[Occupancy]]:
    """The run with these tasks (path, node, believed end) live since noon."""
    live = {path: lives(path, node, run=1, ends=ends) for path, node, ends in tasks}
    states = [replace(t, state=TaskState.RUNNING) if t.path in live else t for t in run.tasks]
    return replace(run, tasks=tuple(states)), list(live.values())


def test_a_plan_that_goes_as_planned_is_kept_whatever_its_planner_would_say_now() -> None:
    first = joint(PAIR, cluster=TWO, predict=BELIEFS)
    running, live = started(("long", "n1", 30), ("short", "n2", 10))
    later = joint(
        running, cluster=TWO, predict=BELIEFS, running=live, at=5, memory=first.memory, planner="fastest_node"
    )
    assert spans(first)["last"] == spans(later)["last"] == ("n2", 10, 20)


def test_a_plan_that_comes_out_otherwise_is_made_anew() -> None:
    first = joint(PAIR, cluster=TWO, predict=BELIEFS)
    running, live = started(("long", "n1", 12), ("short", "n2", 60))
    beliefs = believed(long=12, short=60, last=10)
    later = joint(running, cluster=TWO, predict=beliefs, running=live, at=5, memory=first.memory)
    assert spans(later)["last"] == ("n1", 60, 70)


def test_a_node_that_is_lost_makes_a_new_plan() -> None:
    first = joint(PAIR, cluster=TWO, predict=BELIEFS, planner="portfolio")
    later = joint(PAIR, cluster=ONE, predict=BELIEFS, memory=first.memory, planner="portfolio")
    assert {node for node, _, _ in spans(later).values()} == {"n1"}


def test_an_arrival_is_planned_among_what_is_remembered() -> None:
    first = joint(PAIR, cluster=TWO, predict=BELIEFS, planner="portfolio")
    new = an_open_run(an_open_task("new", run=2))
    later = joint(PAIR, new, cluster=TWO, predict=BELIEFS, memory=first.memory, planner="portfolio")
    assert later.tasks.keys() == {*first.tasks, new.tasks[0].facts.ref}


def test_beliefs_are_asked_once_as_long_as_the_model_is_the_same() -> None:
    asked: list[TaskRef] = []
    base = believed()

    def predict(task: TaskFacts, node: Node, /) -> Prediction:
        asked.append(task.ref)
        return base(task, node)

    run = an_open_run(an_open_task("a"), an_open_task("b", "a"))
    first = joint(run, predict=predict)
    joint(run, predict=predict, memory=first.memory)
    assert len(asked) == 2
