"""What holds of every joint plan, whatever the situation."""

from collections.abc import Sequence
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nodewise.core.lifecycle import TaskState
from nodewise.core.model.ids import TaskRef
from nodewise.planning import PLANNERS
from nodewise.planning.joint import JointContext, JointPlan, Memory, Stage, plan_jointly
from tests.support.builders import NOON
from tests.support.examples import examples
from tests.support.schedule_checker import assert_valid
from tests.support.situations import Situated, all_runs, situations

CHEAP = ("heft", "eft", "min_min", "portfolio")


def joint(
    situated: Situated,
    stages: Sequence[Stage],
    *,
    memory: Memory | None = None,
    horizon: int = 2000,
    placements: int = 300,
) -> JointPlan:
    context = JointContext(
        now=NOON,
        planners=PLANNERS,
        predict=situated.predict,
        rng=Random(0),
        horizon=horizon,
        placements=placements,
    )
    return plan_jointly(
        situated.cluster, situated.runs, situated.running, stages, context, memory=memory or Memory()
    )


def together(situated: Situated, planner: str = "portfolio") -> list[Stage]:
    return [Stage(planner=planner, runs=tuple(all_runs(situated)))]


def one_by_one(situated: Situated, planner: str = "portfolio") -> list[Stage]:
    return [Stage(planner=planner, runs=(run,)) for run in all_runs(situated)]


@given(situated=situations(), planner=st.sampled_from(CHEAP), apart=st.booleans(), horizon=st.integers(0, 12))
@settings(max_examples=examples(150), deadline=None)
def test_every_plan_is_valid_and_leaves_nothing_out_unsaid(
    situated: Situated, planner: str, apart: bool, horizon: int
) -> None:
    stages = one_by_one(situated, planner) if apart else together(situated, planner)
    plan = joint(situated, stages, horizon=horizon)
    assert_valid(plan.problem, plan.schedule)
    assert len(plan.tasks) <= horizon
    assert all(NOON <= task.start <= task.end for task in plan.tasks.values())
    live = {one.ref for one in situated.running}
    for run in situated.runs:
        left_out: set[TaskRef] = set()
        for task in run.tasks:
            ref = task.facts.ref
            ups = {TaskRef(run_id=run.id, path=path) for path in task.spec.upstream}
            ways = [
                ref in plan.tasks,
                ref in plan.unplannable,
                ref in plan.beyond,
                not left_out.isdisjoint(ups),
            ]
            fixed = ref in live or (
                task.state is TaskState.ADMITTED and len(task.allowed_nodes or ()) == 1 and not any(ways)
            )
            assert fixed or sum(ways[:3]) == 1 or ways[3], ref
            if not fixed and ref not in plan.tasks:
                left_out.add(ref)


@given(situated=situations(), apart=st.booleans())
@settings(max_examples=examples(60), deadline=None)
def test_equal_situations_have_equal_plans(situated: Situated, apart: bool) -> None:
    stages = one_by_one(situated) if apart else together(situated)
    assert joint(situated, stages) == joint(situated, stages)


@given(situated=situations(admitted=False), data=st.data())
@settings(max_examples=examples(60), deadline=None)
def test_later_stages_never_delay_earlier_ones(situated: Situated, data: st.DataObject) -> None:
    stages = one_by_one(situated, data.draw(st.sampled_from(("heft", "eft", "min_min"))))
    first = stages[: data.draw(st.integers(0, len(stages)))]
    alone, among = joint(situated, first), joint(situated, stages)
    assert {ref: among.tasks[ref] for ref in alone.tasks} == alone.tasks


@pytest.mark.parametrize("planner", CHEAP)
@given(situated=situations(), apart=st.booleans())
@settings(max_examples=examples(50), deadline=None)
def test_where_nothing_happened_the_plan_stays(planner: str, situated: Situated, apart: bool) -> None:
    stages = one_by_one(situated, planner) if apart else together(situated, planner)
    first = joint(situated, stages)
    again = joint(situated, stages, memory=first.memory)
    assert again.tasks == first.tasks
    assert again.memory == first.memory


@given(situated=situations(), other=situations(), apart=st.booleans())
@settings(max_examples=examples(60), deadline=None)
def test_no_memory_of_whatever_makes_a_plan_invalid(situated: Situated, other: Situated, apart: bool) -> None:
    memory = joint(other, together(other)).memory
    stages = one_by_one(situated) if apart else together(situated)
    plan = joint(situated, stages, memory=memory)
    assert_valid(plan.problem, plan.schedule)
    assert plan.tasks.keys() == joint(situated, stages).tasks.keys()


@given(situated=situations(), questions=st.integers(0, 20))
@settings(max_examples=examples(40), deadline=None)
def test_whenever_time_runs_out_there_is_a_valid_plan(situated: Situated, questions: int) -> None:
    left = iter(range(questions))
    context = JointContext(
        now=NOON,
        planners=PLANNERS,
        predict=situated.predict,
        rng=Random(0),
        out_of_time=lambda: next(left, None) is None,
    )
    plan = plan_jointly(
        situated.cluster, situated.runs, situated.running, together(situated), context, memory=Memory()
    )
    assert_valid(plan.problem, plan.schedule)


@given(situated=situations(admitted=False))
@settings(max_examples=examples(60), deadline=None)
def test_a_foreign_planner_is_planned_around_like_our_own(situated: Situated) -> None:
    class Foreign:
        name = "foreign"
        summary = ""
        plan = PLANNERS["eft"].plan

    stages = one_by_one(situated, "foreign")
    context = JointContext(now=NOON, planners={"foreign": Foreign()}, predict=situated.predict, rng=Random(0))
    plan = plan_jointly(situated.cluster, situated.runs, situated.running, stages, context, memory=Memory())
    assert_valid(plan.problem, plan.schedule)
    assert plan.tasks == joint(situated, one_by_one(situated, "eft")).tasks
