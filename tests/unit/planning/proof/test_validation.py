from dataclasses import replace
from math import inf, nan

import pytest

from nodewise.core.model.ids import NodeName
from nodewise.core.model.problem import Assignment, Held, Links, Problem, ProblemNode, Schedule
from nodewise.core.model.resources import Resources
from tests.support.schedule_checker import TOLERANCE_S, assert_valid, violations
from tests.unit.planning.proof.problems import at, held, key, node, pipeline, schedule, task

PROBLEM = Problem(
    nodes=(node("n1", slots=1), node("n2", slots=None)),
    pipelines=(
        pipeline(
            task("a", {"n1": 2.0}),
            task("b", {"n1": 2.0, "n2": 3.0}, after=[("a", 10.0)], millicores=3000),
            task("c", {"n2": 3.0, "n3": 1.0}, after=[("a", 10.0)], memory_mib=5000, gpus=1, millicores=1000),
            task("done", {"n2": 1.0}),
        ),
        pipeline(task("d", {"n1": 1.0, "n2": 1.0}, millicores=4000), name="q", submitted_at=3.0),
    ),
    links=Links(default_mib_per_s=10.0),
    fixed={key("done"): at(key("done"), "n2", -1.0, 0.5)},
    now=0.0,
)
D = key("d", "q")
VALID = schedule(
    at(key("done"), "n2", -1.0, 0.5),
    at(key("a"), "n1", 0.0, 2.0),
    at(key("b"), "n2", 3.0, 6.0),
    at(key("c"), "n2", 3.0, 6.0),
    at(D, "n1", 3.0, 4.0),
)


def with_changed(*changed: Assignment, problem: Problem = PROBLEM) -> tuple[str, ...]:
    found = {**VALID.assignments, **{assignment.id: assignment for assignment in changed}}
    return violations(problem, Schedule(assignments=found))


def test_a_valid_schedule_has_no_violation() -> None:
    assert_valid(PROBLEM, VALID)


def test_the_support_check_fails_with_every_violation() -> None:
    with pytest.raises(AssertionError, match="p/a is not in the schedule"):
        assert_valid(PROBLEM, schedule())


@pytest.mark.parametrize("lost", sorted(VALID.assignments))
def test_a_lost_task_is_reported(lost: object) -> None:
    left = {id: where for id, where in VALID.assignments.items() if id != lost}
    found = violations(PROBLEM, Schedule(assignments=left))
    assert len(found) == 1
    assert "is not in the schedule" in found[0]


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        (at(key("ghost"), "n1", 8.0, 9.0), "p/ghost is in the schedule, but no task"),
        (at(key("a"), "n3", 0.0, 2.0), "p/a is on n3, which is no node"),
        (at(key("a"), "n2", 0.5, 2.5), "p/a is on n2, which cannot run it"),
        (at(D, "n1", 3.0, 4.5), "q/d takes 1.0 s on n1"),
        (at(D, "n1", 3.0, 3.5), "q/d takes 1.0 s on n1"),
        (at(D, "n1", 2.0, 3.0), "q/d starts at 2.0, before it was submitted (3.0)"),
        (at(key("b"), "n2", 2.9, 5.9), "p/b starts at 2.9, but what it needs of a is on n2 only at 3.0"),
        (at(key("b"), "n1", 1.0, 3.0), "p/b starts at 1.0, but what it needs of a is on n1 only at 2.0"),
        (at(D, "n2", 4.0, 5.0), "millicores of n2"),
        (at(D, "n1", nan, nan), "q/d has no finite start and end"),
        (at(D, "n1", 3.0, inf), "q/d has no finite start and end"),
        (at(key("b"), "n1", 2.5, 4.5), "at 3.0 the tasks take 2 slots of n1, which has 1"),
        (at(key("done"), "n2", -1.0, 0.4), "p/done is fixed on n2 from -1.0 to 0.5"),
        (at(key("done"), "n1", -1.0, 0.5), "but the schedule has it on n1"),
    ],
)
def test_each_planted_fault_is_found(changed: Assignment, said: str) -> None:
    assert any(said in violation for violation in with_changed(changed)), with_changed(changed)


def test_nothing_new_starts_before_now() -> None:
    found = violations(replace(PROBLEM, now=1.0), VALID)
    assert found == ("p/a starts at 0.0, before now (1.0)",)


def test_an_assignment_under_another_name_is_found() -> None:
    swapped = {**VALID.assignments, D: at(key("a"), "n1", 3.0, 4.0)}
    assert "q/d is kept as the assignment of p/a" in violations(PROBLEM, Schedule(assignments=swapped))


@pytest.mark.parametrize(
    ("room", "said"),
    [
        ({"memory_mib": 4999}, "p/c needs more than n2 has"),
        ({"gpus": 0}, "p/c needs more than n2 has"),
        ({"millicores": 3999}, "the tasks take 4000 millicores of n2, which has 3999"),
    ],
)
def test_too_little_room_is_found(room: dict[str, int], said: str) -> None:
    smaller = replace(PROBLEM, nodes=(node("n1"), node("n2", slots=None, **room)))
    assert any(said in violation for violation in violations(smaller, VALID))


@pytest.mark.parametrize("what", ["millicores", "memory_mib", "gpus"])
def test_each_resource_is_shared(what: str) -> None:
    wide = [replace(task(name, {"n": 1.0}), resources=Resources(**{what: 1})) for name in ("a", "b")]
    room = {"millicores": 2, "memory_mib": 2, "gpus": 2}
    both = schedule(at(key("a"), "n", 0.0, 1.0), at(key("b"), "n", 0.5, 1.5))
    for amount, faults in ((2, 0), (1, 1)):
        here = node("n", slots=None, **(room | {what: amount}))
        assert len(violations(Problem(nodes=(here,), pipelines=(pipeline(*wide),)), both)) == faults


def test_a_slower_link_delays_a_child() -> None:
    slow = replace(PROBLEM, links=Links(pairs={(NodeName("n1"), NodeName("n2")): 5.0}))
    assert sum("only at 4.0" in violation for violation in violations(slow, VALID)) == 2


def overlapping(*, slots: int | None, of: str) -> tuple[str, ...]:
    """Two fixed tasks collide on a node with room for one; `new` runs at the same time, or after them."""
    here = node("n", slots=slots, millicores=1000)
    tasks = [task(name, {"n": 2.0}, millicores=1000) for name in ("x", "y", "new")]
    fixed = {key(name): at(key(name), "n", 0.0, 2.0) for name in ("x", "y")}
    start = 1.0 if of == "plan" else 2.0
    problem = Problem(nodes=(here,), pipelines=(pipeline(*tasks),), fixed=fixed)
    return violations(problem, schedule(*fixed.values(), at(key("new"), "n", start, start + 2.0)))


@pytest.mark.parametrize("slots", [1, None])
def test_what_fixed_tasks_overbook_is_not_the_plans_fault(slots: int | None) -> None:
    assert overlapping(slots=slots, of="fixed") == ()
    assert overlapping(slots=slots, of="plan")


def test_something_fixed_that_is_no_task_holds_its_slot() -> None:
    stray = at(key("old", "gone"), "n1", 3.0, 3.5)
    problem = replace(PROBLEM, fixed=dict(PROBLEM.fixed) | {stray.id: stray})
    assert any("slots of n1" in violation for violation in with_changed(stray, problem=problem))


@pytest.mark.parametrize(
    ("taken", "said"),
    [
        (held("n1", 3.5, 5.0), "slots of n1"),
        (held("n2", 5.0, 9.0, millicores=1), "millicores of n2"),
        (held("n2", 0.0, 3.5, memory_mib=3193), "MiB of n2"),
        (held("n2", 0.0, 3.5, gpus=1), "gpus of n2"),
    ],
)
def test_what_is_held_is_not_there_for_the_plan(taken: Held, said: str) -> None:
    (found,) = violations(replace(PROBLEM, held=(taken,)), VALID)
    assert said in found


def test_what_is_held_may_touch_the_plan_overbook_itself_and_be_on_a_node_that_is_gone() -> None:
    beside = (
        held("n1", 2.0, 3.0),
        held("n1", 2.0, 3.0),
        held("gone", 0.0, 9.0),
        held("n2", 4.0, 4.0, gpus=9),
    )
    assert violations(replace(PROBLEM, held=beside), VALID) == ()


def test_a_task_that_may_not_start_yet_does_not() -> None:
    a = replace(PROBLEM.pipelines[0].tasks[0], not_before=0.5)
    first = replace(PROBLEM.pipelines[0], tasks=(a, *PROBLEM.pipelines[0].tasks[1:]))
    rests = replace(PROBLEM, pipelines=(first, PROBLEM.pipelines[1]))
    assert violations(rests, VALID) == ("p/a starts at 0.0, which it may not before 0.5",)


def test_data_of_a_fixed_task_on_a_node_that_is_gone_still_travels() -> None:
    fixed = {key("a"): at(key("a"), "gone", 0.0, 1.0)}
    tasks = task("a", {"n": 1.0}), task("b", {"n": 1.0}, after=[("a", 200.0)])
    problem = Problem(nodes=(node("n"),), pipelines=(pipeline(*tasks),), fixed=fixed)
    assert violations(problem, schedule(*fixed.values(), at(key("b"), "n", 3.0, 4.0))) == ()
    assert violations(problem, schedule(*fixed.values(), at(key("b"), "n", 2.9, 3.9)))


def test_less_than_the_tolerance_is_forgiven_and_more_is_not() -> None:
    assert with_changed(at(key("b"), "n2", 3.0 - TOLERANCE_S / 2, 6.0)) == ()
    assert with_changed(at(key("b"), "n2", 3.0 - TOLERANCE_S * 2, 6.0 - TOLERANCE_S * 2))


@pytest.mark.parametrize(
    ("problem", "said"),
    [
        (replace(PROBLEM, pipelines=PROBLEM.pipelines * 2), "2 pipelines named p"),
        (replace(PROBLEM, nodes=PROBLEM.nodes * 2), "2 nodes named n1"),
        (replace(PROBLEM, pipelines=(pipeline(*[task("a", {"n1": 2.0})] * 2),)), "2 tasks named a"),
        (
            replace(PROBLEM, pipelines=(pipeline(task("a", {"n1": 2.0}, after=[("z", 0.0)])),)),
            "p/a waits for z, which is no task",
        ),
    ],
)
def test_a_problem_that_is_not_well_posed_is_reported(problem: Problem, said: str) -> None:
    assert any(said in violation for violation in violations(problem, VALID))


def test_nodes_without_tasks_and_no_tasks_at_all_are_fine() -> None:
    nodes: tuple[ProblemNode, ...] = (node("n1"),)
    assert violations(Problem(nodes=nodes, pipelines=()), schedule()) == ()
