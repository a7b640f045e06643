"""How sure a plan's times are."""

from dataclasses import replace
from datetime import datetime, timedelta
from math import exp, log
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
from nodewise.planning import outlook as outlook_module
from nodewise.planning.joint import JointContext, JointPlan, Memory, Stage, plan_jointly
from nodewise.planning.outlook import DRAWS, MOST_DRAWS, Outlook, Outlooks, outlook
from tests.support.builders import NOON, a_cluster, a_node, seconds
from tests.support.examples import examples
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


def looks(plan: JointPlan, *, at: float = 0) -> dict[str, Outlook]:
    found = outlook(plan, list(plan.tasks), Random(1), now=NOON + seconds(at))
    return {ref.path: look for ref, look in found.tasks.items()}


def together(plan: JointPlan) -> Outlook:
    found = outlook(plan, list(plan.tasks), Random(1), now=NOON).together
    assert found is not None
    return found


def after_noon(*moments: datetime) -> list[float]:
    return [(moment - NOON) / timedelta(seconds=1) for moment in moments]


def test_where_nothing_is_unsure_the_outlook_is_the_plan() -> None:
    run = an_open_run(an_open_task("a"), an_open_task("b", "a"))
    plan = planned(run, predict=about(1))
    for ref, task in plan.tasks.items():
        look = looks(plan)[ref.path]
        assert {look.start.low, look.start.high} == {task.start}
        assert {look.end.low, look.end.high} == {task.end}


def test_one_task_has_the_interval_that_is_believed_of_it() -> None:
    look = looks(planned(an_open_run(an_open_task("a")), predict=about(2)))["a"]
    assert after_noon(look.start.low, look.start.high) == [0, 0]
    assert after_noon(look.end.low, look.end.high) == pytest.approx([5, 20], rel=0.05)


def test_what_comes_later_is_less_sure() -> None:
    run = an_open_run(an_open_task("a"), an_open_task("b", "a"), an_open_task("c", "b"))
    found = looks(planned(run, predict=about(2)))
    widths = [found[path].end.high - found[path].end.low for path in "abc"]
    assert widths == sorted(widths)
    assert found["b"].start == found["a"].end


def test_the_end_of_a_chain_is_surer_than_the_sum_of_its_ranges() -> None:
    """Of log-normal times that add up the middle 80 % are known: drawn a million times, 17.2 to 37.6 s."""
    run = an_open_run(an_open_task("a"), an_open_task("b", "a"))
    whole = together(planned(run, predict=about(2)))
    assert after_noon(whole.end.low, whole.end.high) == pytest.approx(sums_of_two(), rel=0.05)


def sums_of_two() -> list[float]:
    rng, sd = Random(3), log(2) / 1.2816
    ordered = sorted(10 * (exp(rng.gauss(0, sd)) + exp(rng.gauss(0, sd))) for _ in range(20_000))
    return [ordered[2_000], ordered[18_000]]


def test_a_task_waits_for_room_in_every_draw() -> None:
    two = a_cluster(a_node("n1", cores=2))
    run = an_open_run(*(an_open_task(path) for path in "abc"))
    found = looks(planned(run, cluster=two, predict=about(2)))
    first, second, third = sorted(found.values(), key=lambda look: look.start.high)
    assert after_noon(first.start.high, second.start.high) == [0, 0]
    # The earlier of two ends is earlier than either: in one of ten cases only later than 12.8 s, and not than 20 s.
    assert after_noon(third.start.high)[0] == pytest.approx(12.8, rel=0.1)


def test_tasks_of_unequal_needs_wait_for_as_many_as_it_takes() -> None:
    """b needs what a and c hold together: it starts when the later of both has ended; what is unsure is nothing here."""
    four = a_cluster(a_node("n1", cores=4))
    run = an_open_run(
        an_open_task("a", cores=1),
        an_open_task("b", "z", cores=4),
        an_open_task("c", cores=2),
        an_open_task("z", cores=1),
    )
    plan = planned(run, cluster=four, predict=about(1))
    found = looks(plan)
    assert found["b"].start.low == found["b"].start.high == max(found[path].end.high for path in "acz")


def test_the_range_holds_the_plan_even_where_much_at_once_surely_takes_longer() -> None:
    """The last of 40 tasks at once ends after 10 s in all but one of a million million cases; the plan says 10 s."""
    wide = a_cluster(a_node("n1", cores=40))
    plan = planned(an_open_run(*(an_open_task(f"t{n}") for n in range(40))), cluster=wide, predict=about(2))
    end = together(plan).end
    assert end.low == max(task.end for task in plan.tasks.values())
    assert end.high > end.low + seconds(10)


def test_who_starts_after_the_last_that_is_asked_about_changes_nothing() -> None:
    run = an_open_run(an_open_task("a"), an_open_task("b", "a"), an_open_task("c", "b"))
    plan = planned(run, predict=about(2))
    a = next(ref for ref in plan.tasks if ref.path == "a")
    rest = replace(plan, tasks={ref: task for ref, task in plan.tasks.items() if ref == a})
    assert outlook(plan, [a], Random(1), now=NOON) == outlook(rest, [a], Random(1), now=NOON)


def test_about_nothing_nothing_is_told() -> None:
    assert outlook(planned(an_open_run(an_open_task("a")), predict=about(2)), [], Random(1), now=NOON) == (
        Outlooks(tasks={}, together=None)
    )


@pytest.mark.parametrize(("share", "rounds"), [(1, 1), (1.5, 2), (100, MOST_DRAWS // DRAWS)])
def test_it_is_drawn_more_often_where_that_still_moves_the_answer(
    monkeypatch: pytest.MonkeyPatch, share: float, rounds: int
) -> None:
    drawn: list[object] = []
    draw = outlook_module._Replay.draw
    monkeypatch.setattr(
        outlook_module._Replay, "draw", lambda replay: (drawn.append(replay), draw(replay))[1]
    )
    together(planned(an_open_run(an_open_task("a")), predict=about(share)))
    assert len(drawn) == rounds


def test_what_has_run_for_long_is_not_believed_to_end_in_the_past() -> None:
    run = an_open_run(an_open_task("a", state=TaskState.RUNNING), an_open_task("b", "a"))
    live = lives("a", "n1", run=1, ends=10)
    for at in (5, 15, 500):
        plan = planned(run, running=(live,), predict=about(2), at=at)
        look = looks(plan, at=at)["b"]
        assert after_noon(look.start.low)[0] >= at


@given(situated=situations())
@settings(max_examples=examples(60), deadline=None)
def test_every_planned_task_has_an_outlook_in_order(situated: Situated) -> None:
    context = JointContext(now=NOON, planners=PLANNERS, predict=situated.predict, rng=Random(0))
    stage = Stage(planner="heft", runs=tuple(all_runs(situated)))
    plan = plan_jointly(situated.cluster, situated.runs, situated.running, [stage], context, memory=Memory())
    told = outlook(plan, list(plan.tasks), Random(1), now=NOON)
    found = told.tasks
    assert found.keys() == plan.tasks.keys()
    assert told == outlook(plan, list(plan.tasks), Random(1), now=NOON)
    for ref, look in found.items():
        assert NOON <= look.start.low <= plan.tasks[ref].start <= look.start.high
        assert look.end.low <= plan.tasks[ref].end <= look.end.high
    for run in situated.runs:
        for task in run.tasks:
            for path in task.spec.upstream:
                parent = TaskRef(run_id=run.id, path=path)
                if task.facts.ref in found and parent in found:
                    assert found[parent].end.low <= found[task.facts.ref].start.high
