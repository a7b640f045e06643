from dataclasses import replace
from itertools import count

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nodewise.core.errors import Unplannable
from nodewise.core.model.ids import NodeName
from nodewise.core.model.problem import (
    Assignment,
    Dependency,
    Objective,
    Planner,
    Problem,
    ProblemPipeline,
    TaskId,
)
from nodewise.planning import PLANNERS
from nodewise.planning.portfolio import QUICK_MEMBERS, THOROUGH_MEMBERS, Portfolio
from nodewise.planning.score import Score, score, value
from tests.support.examples import examples
from tests.support.planning import context, faults, node, pipelines_of, problems, spans, table, task
from tests.support.schedule_checker import assert_valid

QUICK = Portfolio(placements=600, vain_steps=40)
ALL: list[Planner] = [p for p in PLANNERS.values() if p.name not in {"portfolio", "exact"}] + [QUICK]

HEFT_PAPER = table(
    {
        "1": (14, 16, 9),
        "2": (13, 19, 18),
        "3": (11, 13, 19),
        "4": (13, 8, 17),
        "5": (12, 13, 10),
        "6": (13, 16, 9),
        "7": (7, 15, 11),
        "8": (5, 11, 14),
        "9": (18, 12, 20),
        "10": (21, 7, 16),
    },
    {
        ("1", "2"): 18,
        ("1", "3"): 12,
        ("1", "4"): 9,
        ("1", "5"): 11,
        ("1", "6"): 14,
        ("2", "8"): 19,
        ("2", "9"): 16,
        ("3", "7"): 23,
        ("4", "8"): 27,
        ("4", "9"): 23,
        ("5", "9"): 13,
        ("6", "8"): 15,
        ("7", "10"): 17,
        ("8", "10"): 11,
        ("9", "10"): 13,
    },
)

PEFT_PAPER = table(
    {
        "1": (22, 21, 36),
        "2": (22, 18, 18),
        "3": (32, 27, 43),
        "4": (7, 10, 4),
        "5": (29, 27, 35),
        "6": (26, 17, 24),
        "7": (14, 25, 30),
        "8": (29, 23, 36),
        "9": (15, 21, 8),
        "10": (13, 16, 33),
    },
    {
        ("1", "2"): 17,
        ("1", "3"): 31,
        ("1", "4"): 29,
        ("1", "5"): 13,
        ("1", "6"): 7,
        ("2", "8"): 3,
        ("2", "9"): 30,
        ("3", "7"): 16,
        ("4", "8"): 11,
        ("4", "9"): 7,
        ("5", "9"): 57,
        ("6", "8"): 5,
        ("7", "10"): 9,
        ("8", "10"): 42,
        ("9", "10"): 7,
    },
)


def makespan(name: str, problem: Problem) -> float:
    return score(problem, PLANNERS[name].plan(problem, context(Objective.MAKESPAN))).makespan


def test_heft_and_cpop_find_the_makespans_of_their_paper() -> None:
    assert makespan("heft", HEFT_PAPER) == pytest.approx(80)
    assert makespan("cpop", HEFT_PAPER) == pytest.approx(86)


def test_peft_and_heft_find_the_makespans_of_the_paper_on_peft() -> None:
    assert makespan("peft", PEFT_PAPER) == pytest.approx(122)
    assert makespan("heft", PEFT_PAPER) == pytest.approx(133)


def test_portfolio_finds_better_plans_than_the_papers() -> None:
    assert makespan("portfolio", HEFT_PAPER) <= 73
    assert makespan("portfolio", PEFT_PAPER) < 122


def test_min_min_starts_the_shortest_and_max_min_the_longest() -> None:
    problem = Problem(nodes=(node("a"),), pipelines=pipelines_of([{"a": 3}], [{"a": 1}], [{"a": 2}]))
    shortest = PLANNERS["min_min"].plan(problem, context()).assignments
    longest = PLANNERS["max_min"].plan(problem, context()).assignments
    assert [a.start for _, a in sorted(shortest.items())] == [3, 0, 1]
    assert [a.start for _, a in sorted(longest.items())] == [0, 5, 3]


def test_sufferage_gives_a_node_to_the_task_that_needs_it_most() -> None:
    problem = Problem(
        nodes=(node("a"), node("b")), pipelines=pipelines_of([{"a": 2, "b": 3}], [{"a": 3, "b": 30}])
    )
    plan = PLANNERS["sufferage"].plan(problem, context()).assignments
    assert [a.node for _, a in sorted(plan.items())] == ["b", "a"]


def test_fastest_node_keeps_all_together_and_own_fastest_node_does_not() -> None:
    problem = Problem(
        nodes=(node("a"), node("b")), pipelines=pipelines_of([{"a": 1, "b": 2}, {"a": 9, "b": 2}])
    )
    assert {a.node for a in PLANNERS["fastest_node"].plan(problem, context()).assignments.values()} == {"b"}
    assert spans(PLANNERS["own_fastest_node"].plan(problem, context())) == {
        "t0": ("a", 0, 1),
        "t1": ("b", 1, 3),
    }


def test_eft_finishes_the_shorter_pipeline_first() -> None:
    problem = Problem(nodes=(node("a"),), pipelines=pipelines_of([{"a": 9}, {"a": 9}], [{"a": 1}, {"a": 2}]))
    assert score(problem, PLANNERS["eft"].plan(problem, context())) == Score(21, (3 + 21) / 2)


def test_a_task_fills_the_gap_before_a_later_one() -> None:
    waiting = task("b", {"m": 2}, {"a": 500.0})
    late = ProblemPipeline(name="x", tasks=(task("a", {"n": 4}), waiting))
    short = ProblemPipeline(name="y", tasks=(task("c", {"m": 3}),))
    problem = Problem(nodes=(node("m"), node("n")), pipelines=(late, short))
    assert spans(PLANNERS["heft"].plan(problem, context()))["c"] == ("m", 0, 3)


def test_fixed_tasks_hold_their_node_and_the_data_of_their_children() -> None:
    first = TaskId(pipeline="x", task="a")
    pipeline = ProblemPipeline(
        name="x", tasks=(task("a", {"m": 4}), task("b", {"m": 5, "n": 5}, {"a": 1000.0}))
    )
    running = Assignment(id=first, node=NodeName("m"), start=1, end=6)
    problem = Problem(nodes=(node("m"), node("n")), pipelines=(pipeline,), fixed={first: running}, now=2)
    assert spans(PLANNERS["heft"].plan(problem, context())) == {"a": ("m", 1, 6), "b": ("m", 6, 11)}


@pytest.mark.parametrize("planner", ALL, ids=lambda p: p.name)
def test_a_task_that_fits_nowhere_is_refused_by_name(planner: Planner) -> None:
    problem = Problem(nodes=(node("a"),), pipelines=pipelines_of([{"a": 1}, {"elsewhere": 1}]))
    with pytest.raises(Unplannable) as refusal:
        planner.plan(problem, context())
    assert refusal.value.tasks == ("p0/t1",)


@pytest.mark.parametrize("planner", ALL, ids=lambda p: p.name)
def test_nothing_to_plan_is_an_empty_plan(planner: Planner) -> None:
    assert not planner.plan(Problem(nodes=(), pipelines=()), context()).assignments


def test_a_circle_is_an_error_that_names_a_task() -> None:
    around = ProblemPipeline(name="x", tasks=(task("a", {"m": 1}, {"b": 0}), task("b", {"m": 1}, {"a": 0})))
    with pytest.raises(ValueError, match="circle: x/a"):
        PLANNERS["heft"].plan(Problem(nodes=(node("m"),), pipelines=(around,)), context())


def test_an_unknown_parent_is_an_error_that_names_it() -> None:
    lost = ProblemPipeline(name="x", tasks=(task("a", {"m": 1}, {"gone": 0}),))
    with pytest.raises(ValueError, match="x/a waits for unknown 'gone'"):
        PLANNERS["heft"].plan(Problem(nodes=(node("m"),), pipelines=(lost,)), context())
    assert lost.tasks[0].after == (Dependency(task="gone"),)


@given(problem=problems(), objective=st.sampled_from(Objective), seed=st.integers(0, 3))
@settings(max_examples=examples(120), deadline=None)
def test_every_planner_plans_validly_or_refuses(problem: Problem, objective: Objective, seed: int) -> None:
    refused = set()
    for planner in ALL:
        try:
            schedule = planner.plan(problem, context(objective, seed))
        except Unplannable as refusal:
            refused.add(refusal.tasks)
            continue
        refused.add(())
        assert not faults(problem, schedule), planner.name
        assert_valid(problem, schedule)
        assert planner.plan(problem, context(objective, seed)) == schedule
    assert len(refused) == 1


@given(problem=problems(), objective=st.sampled_from(Objective))
@settings(max_examples=examples(120), deadline=None)
def test_portfolio_is_never_worse_than_a_member(problem: Problem, objective: Objective) -> None:
    try:
        ours = score(problem, QUICK.plan(problem, context(objective)))
    except Unplannable:
        return
    members = [
        score(problem, PLANNERS[name].plan(problem, context(objective)))
        for name in (*QUICK_MEMBERS, *THOROUGH_MEMBERS)
    ]
    best = Score(min(m.makespan for m in members), min(m.mean_flow for m in members))
    for member in members:
        assert value(ours, objective, best=best) <= value(member, objective, best=best) + 1e-9


@given(problem=problems(max_pipelines=3), questions=st.integers(0, 40))
@settings(deadline=None)
def test_whenever_time_runs_out_there_is_a_valid_plan(problem: Problem, questions: int) -> None:
    for planner in ALL:
        asked = count()
        hurry = replace(context(), out_of_time=lambda asked=asked: next(asked) >= questions)  # type: ignore[misc]
        try:
            assert_valid(problem, planner.plan(problem, hurry))
        except Unplannable:
            return


def test_portfolio_without_any_time_gives_the_plan_of_its_first_member() -> None:
    hurry = replace(context(Objective.MAKESPAN), out_of_time=lambda: True)
    assert PLANNERS["portfolio"].plan(HEFT_PAPER, hurry) == PLANNERS["heft"].plan(HEFT_PAPER, hurry)
