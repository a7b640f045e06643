"""How sure a plan's times are."""

from dataclasses import replace
from datetime import datetime, timedelta
from random import Random

import pytest
from hypothesis import given, settings

from nodewise.core.estimates.learning import Prediction
from nodewise.core.lifecycle import TaskState
from nodewise.core.model.ids import TaskRef
from nodewise.core.model.node import Cluster, Node
from nodewise.core.model.situation import Occupancy, OpenRun
from nodewise.core.model.task import TaskFacts
from nodewise.core.ports import Predict
from nodewise.planning import PLANNERS
from nodewise.planning.joint import JointContext, JointPlan, Memory, Stage, plan_jointly
from nodewise.planning.outlook import Outlook, outlook
from tests.support.builders import NOON, a_cluster, a_node, seconds
from tests.support.forecasts import a_prediction
from tests.support.open_runs import an_open_run, an_open_task, lives
from tests.support.situations import Situated, all_runs, situations

ONE = a_cluster(a_node("n1", cores=1))


def about(share: float) -> Predict:
    """10 s, and in 80 % of all cases between 10 / share and 10 * share."""

    def predict(task: TaskFacts, node: Node, /) -> Prediction:
        return replace(a_prediction(10, high=10 * share), low=10 / share)

    return predict


def planned(
    *runs: OpenRun,
    cluster: Cluster = ONE,
    running: tuple[Occupancy, ...] = (),
    predict: Predict,
    at: float = 0,
) -> JointPlan:
    context = JointContext(now=NOON + seconds(at), planners=PLANNERS, predict=predict, rng=Random(0))
    stage = Stage(planner="heft", runs=tuple(run.id for run in runs))
    return plan_jointly(cluster, runs, running, [stage], context, memory=Memory())


def looks(plan: JointPlan, *, at: float = 0, samples: int = 2000) -> dict[str, Outlook]:
    found = outlook(plan, Random(1), now=NOON + seconds(at), samples=samples)
    return {ref.path: look for ref, look in found.items()}


def after_noon(*moments: datetime) -> list[float]:
    return [(moment - NOON) / timedelta(seconds=1) for moment in moments]


def test_where_nothing_is_unsure_the_outlook_is_the_plan() -> None:
    run = an_open_run(an_open_task("a"), an_open_task("b", "a"))
    plan = planned(run, predict=about(1))
    for ref, task in plan.tasks.items():
        look = looks(plan)[ref.path]
        assert {look.start_low, look.start, look.start_high} == {task.start}
        assert {look.end_low, look.end, look.end_high} == {task.end}


def test_one_task_has_the_interval_that_is_believed_of_it() -> None:
    look = looks(planned(an_open_run(an_open_task("a")), predict=about(2)))["a"]
    assert after_noon(look.start_low, look.start_high) == [0, 0]
    assert after_noon(look.end_low, look.end, look.end_high) == pytest.approx([5, 10, 20], rel=0.1)


def test_what_comes_later_is_less_sure() -> None:
    run = an_open_run(an_open_task("a"), an_open_task("b", "a"), an_open_task("c", "b"))
    found = looks(planned(run, predict=about(2)))
    widths = [found[path].end_high - found[path].end_low for path in "abc"]
    assert widths == sorted(widths)
    assert found["b"].start == found["a"].end


def test_a_task_waits_for_room_in_every_sample() -> None:
    two = a_cluster(a_node("n1", cores=2))
    run = an_open_run(*(an_open_task(path) for path in "abc"))
    found = looks(planned(run, cluster=two, predict=about(2)))
    first, second, third = sorted(found.values(), key=lambda look: look.start)
    assert after_noon(first.start, second.start) == [0, 0]
    # The earlier of two ends is earlier than either.
    assert 6 < after_noon(third.start)[0] < 10


def test_what_has_run_for_long_is_not_believed_to_end_in_the_past() -> None:
    run = an_open_run(an_open_task("a", state=TaskState.RUNNING), an_open_task("b", "a"))
    live = lives("a", "n1", run=1, ends=10)
    for at in (5, 15, 500):
        plan = planned(run, running=(live,), predict=about(2), at=at)
        look = looks(plan, at=at)["b"]
        assert after_noon(look.start_low)[0] >= at


@given(situated=situations())
@settings(max_examples=60, deadline=None)
def test_every_planned_task_has_an_outlook_in_order(situated: Situated) -> None:
    context = JointContext(now=NOON, planners=PLANNERS, predict=situated.predict, rng=Random(0))
    stage = Stage(planner="heft", runs=tuple(all_runs(situated)))
    plan = plan_jointly(situated.cluster, situated.runs, situated.running, [stage], context, memory=Memory())
    found = outlook(plan, Random(1), now=NOON, samples=5)
    assert found.keys() == plan.tasks.keys()
    assert found == outlook(plan, Random(1), now=NOON, samples=5)
    for look in found.values():
        assert NOON <= look.start_low <= look.start <= look.start_high
        assert look.end_low <= look.end <= look.end_high
    for run in situated.runs:
        for task in run.tasks:
            for path in task.spec.upstream:
                parent = TaskRef(run_id=run.id, path=path)
                if task.facts.ref in found and parent in found:
                    assert found[parent].end_low <= found[task.facts.ref].start_high
