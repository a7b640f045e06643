"""What a run will come to, before it begins."""

import re

import pytest

from nodewise.core.ir import Program, read_program
from nodewise.core.ir.outline import leaves_of, outline
from tests.support.dynamic_runs import FakeRun, compiled_documents
from tests.unit.core_ir.corpus.components import functions
from tests.unit.core_ir.corpus.every import CASES
from tests.unit.core_ir.corpus.handwritten import chained, dag, document, leaf, task


def named(name: str) -> Program:
    return read_program(*compiled_documents(next(case.pipeline for case in CASES if case.name == name)))


def outlined(program: Program) -> dict[str, tuple[str, ...]]:
    return {one.path: one.upstream for one in outline(program)}


def test_tasks_come_in_an_order_in_which_they_could_run() -> None:
    assert list(outlined(named("diamond")).items()) == [
        ("add", ()),
        ("add-2", ("add",)),
        ("add-3", ("add",)),
        ("add-4", ("add-2", "add-3")),
    ]


def test_what_follows_a_sub_pipeline_waits_for_all_of_it_and_its_first_tasks_for_what_is_before() -> None:
    assert outlined(named("repeated-sub-pipeline")) == {
        "inner.add": (),
        "inner.add-2": ("inner.add",),
        "inner-2.add": ("inner.add", "inner.add-2"),
        "inner-2.add-2": ("inner-2.add",),
        "add": ("inner.add", "inner.add-2", "inner-2.add", "inner-2.add-2"),
    }


def test_a_loop_over_constants_is_written_out() -> None:
    tasks = {
        "first": task("leaf"),
        "loop": task("body", items=["x", "y"], after=["first"]),
        "last": task("leaf", after=["loop"]),
    }
    body = dag({"a": task("leaf"), "b": task("leaf", items=[1, 2], after=["a"])})
    assert outlined(read_program(document(tasks, {"leaf": leaf(), "body": body}))) == {
        "first": (),
        "loop[0].a": ("first",),
        "loop[0].b[0]": ("loop[0].a",),
        "loop[0].b[1]": ("loop[0].a",),
        "loop[1].a": ("first",),
        "loop[1].b[0]": ("loop[1].a",),
        "loop[1].b[1]": ("loop[1].a",),
        "last": ("loop[0].a", "loop[0].b[0]", "loop[0].b[1]", "loop[1].a", "loop[1].b[0]", "loop[1].b[1]"),
    }


def test_a_loop_over_nothing_and_an_empty_sub_pipeline_hand_on_what_is_before_them() -> None:
    tasks = {
        "first": task("leaf"),
        "loop": task("leaf", items=[], after=["first"]),
        "empty": task("empty", after=["loop"]),
        "last": task("leaf", after=["empty"]),
    }
    program = read_program(document(tasks, {"leaf": leaf(), "empty": dag({})}))
    assert outlined(program) == {"first": (), "last": ("first",)}


def test_a_loop_whose_items_are_not_known_counts_once() -> None:
    assert outlined(read_program(chained())) == {"make": (), "loop[0]": ("make",)}


def test_every_branch_is_taken() -> None:
    paths = outlined(named("if-elif-else"))
    branches = {path.split(".")[1] for path in paths if path.startswith("condition-branches-1.")}
    assert branches == {"condition-2", "condition-3", "condition-4", "condition-5"}


def test_an_exit_task_comes_after_all_that_it_follows() -> None:
    assert outlined(named("exit-handler-after-a-failure")) == {
        "exit-handler-1.fail": (),
        "exit-handler-1.echo": ("exit-handler-1.fail",),
        "report": ("exit-handler-1.fail", "exit-handler-1.echo"),
    }


def test_a_task_knows_its_step_and_component() -> None:
    (only,) = outline(named("exit-handler-without-status"))[-1:]
    assert (only.step.name, only.step.finaliser, only.leaf.name) == ("noop", True, "comp-noop")


def test_every_component_is_there_once_however_often_it_is_used() -> None:
    body = dag({"a": task("leaf"), "b": task("leaf", after=["a"])})
    tasks = {"x": task("body"), "y": task("body", items=[1, 2]), "z": task("leaf")}
    program = read_program(document(tasks, {"leaf": leaf(), "body": body}))
    assert [one.name for one in leaves_of(program)] == ["leaf"]
    assert len(outline(program)) == 7


def test_every_component_of_a_pipeline_in_a_pipeline_is_there() -> None:
    program = named("exit-handler-with-all")
    assert {id(one) for one in leaves_of(program)} == {id(one.leaf) for one in outline(program)}


def without_numbers(path: str) -> str:
    """The path up to iterations and tries."""
    return re.sub(r"~\d+", "", re.sub(r"\[\d+\]", "[n]", path))


@pytest.mark.parametrize("index", range(len(CASES)), ids=[f"{i}-{case.name}" for i, case in enumerate(CASES)])
def test_a_run_comes_to_nothing_that_was_not_outlined(index: int) -> None:
    case = CASES[index]
    program = read_program(*compiled_documents(case.pipeline))
    run = FakeRun(program=program, functions=functions(), parameters=case.parameters, failures=case.failures)
    run.run()
    expected = {without_numbers(one.path) for one in outline(program)}
    assert {without_numbers(path) for path in run.rows} <= expected


@pytest.mark.parametrize("index", range(len(CASES)), ids=[f"{i}-{case.name}" for i, case in enumerate(CASES)])
def test_nothing_is_outlined_before_what_it_waits_for_or_twice(index: int) -> None:
    seen: set[str] = set()
    tasks = outline(read_program(*compiled_documents(CASES[index].pipeline)))
    for one in tasks:
        assert set(one.upstream) <= seen
        assert len(set(one.upstream)) == len(one.upstream)
        seen.add(one.path)
    assert len(seen) == len(tasks)
