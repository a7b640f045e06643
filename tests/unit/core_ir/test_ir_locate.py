"""From the path of a task to its place in the pipeline, and to the tasks that it waits for."""

import time
from collections.abc import Iterable

import pytest

from nodewise.core.ir import Program, advance, read_program
from nodewise.core.ir.locate import Made, leaf_at, locate, upstream_characters, upstream_of
from nodewise.core.ir.tree import Dag
from nodewise.core.model.ids import TaskPath
from tests.support.dynamic_runs import FakeRun, compiled_documents
from tests.support.pipelines import compiled
from tests.support.programs import leaf_of, step_of
from tests.unit.core_ir.corpus.components import functions
from tests.unit.core_ir.corpus.every import CASES
from tests.unit.core_ir.corpus.handwritten import chained, dag, document, leaf, task


def in_levels() -> Program:
    """first, then a loop of sub-pipelines that have a loop in them, then another sub-pipeline, then last."""
    components = {
        "leaf": leaf(),
        "inner": dag(
            {"a": task("leaf"), "b": task("leaf", items=[1, 2], after=["a"]), "c": task("leaf", after=["b"])}
        ),
        "outer": dag({"inner": task("inner"), "end": task("leaf", after=["inner"])}),
    }
    tasks = {
        "first": task("leaf"),
        "loop": task("outer", items=["x", "y"], after=["first"]),
        "other": task("inner", after=["loop"]),
        "last": task("leaf", after=["other"]),
        "beside": task("leaf", after=["first", "last"]),
    }  # fmt: skip
    return read_program(document(tasks, components))


def waits_for(program: Program, path: str, made: Iterable[str]) -> list[str]:
    there = Made(TaskPath(one) for one in made)
    found = list(upstream_of(program, TaskPath(path), there))
    assert upstream_characters(program, TaskPath(path), there) == sum(map(len, found))
    return found


@pytest.mark.parametrize(
    ("path", "step", "prefix"),
    [
        ("first", "first", ""),
        ("loop[0].inner.a", "a", "loop[0].inner."),
        ("loop[12].inner~2.b[1]", "b", "loop[12].inner~2."),
        ("loop[1]~3.inner~2.c", "c", "loop[1]~3.inner~2."),
        ("other~10.b[0]", "b", "other~10."),
    ],
)
def test_a_task_is_found_in_the_dag_that_it_belongs_to(path: str, step: str, prefix: str) -> None:
    program = in_levels()
    place = locate(program, TaskPath(path))
    assert place is not None
    assert (place.step.name, place.prefix) == (step, prefix)
    assert place.step in place.dag.steps
    found = leaf_at(program, TaskPath(path))
    assert found is leaf_of(program, "first"), "all steps share one component"


@pytest.mark.parametrize(
    "path",
    ["", ".", "none", "first.a", "loop[0].none", "loop[0].inner.none", "loop[0]..a", "first ", "first[0]x", "first~", "~2"],
)  # fmt: skip
def test_what_is_no_task_of_the_pipeline_is_nowhere(path: str) -> None:
    assert locate(in_levels(), TaskPath(path)) is None
    assert leaf_at(in_levels(), TaskPath(path)) is None


@pytest.mark.parametrize("path", ["loop", "loop[0]", "loop[0].inner", "loop[0].inner~2"])
def test_a_group_has_a_place_and_is_no_leaf(path: str) -> None:
    place = locate(in_levels(), TaskPath(path))
    assert place is not None
    assert isinstance(place.step.component, Dag)
    assert leaf_at(in_levels(), TaskPath(path)) is None


def test_the_tasks_of_a_step_are_those_of_all_its_iterations_and_tries() -> None:
    paths = (
        "loop[0].inner.a",
        "loop[0].inner.b[0]",
        "loop[0].inner.b[1]",
        "loop[0].inner~2.a",
        "loop[1].inner.a",
        "last",
    )
    made = Made(map(TaskPath, paths))
    assert made.below("loop") == paths[:5]
    assert made.below("loop[0].inner") == paths[:4]
    assert made.below("loop[0].inner.b") == ("loop[0].inner.b[0]", "loop[0].inner.b[1]")
    assert made.below("loop[0].inner~2.a") == ("loop[0].inner~2.a",)
    assert made.below("last") == ("last",)
    for nothing in ("loop[0]", "loop[0].inner~2", "loop[0].inner.b[0]", "none", ""):
        assert made.below(nothing) == ()


def test_a_name_that_begins_with_another_is_another_step() -> None:
    made = Made(map(TaskPath, ("fit", "fit-2", "fit-2.x")))
    assert made.below("fit") == ("fit",)
    assert made.below("fit-2") == ("fit-2", "fit-2.x")


def test_who_waits_for_a_group_waits_for_all_tasks_in_it() -> None:
    made = ["first", "loop[0].inner.a", "loop[0].end", "loop[1].inner.a", "other.a", "last", "beside"]
    program = in_levels()
    assert waits_for(program, "last", made) == ["other.a"]
    without_other = [path for path in made if not path.startswith("other")]
    assert waits_for(program, "last", without_other) == ["loop[0].inner.a", "loop[0].end", "loop[1].inner.a"]


def test_what_is_before_a_group_that_has_not_begun_stands_for_it() -> None:
    program = in_levels()
    assert waits_for(program, "last", ["first", "last", "beside"]) == ["first"]
    assert waits_for(program, "beside", ["first", "last", "beside"]) == ["first", "last"]
    assert waits_for(program, "last", []) == []


def test_within_a_group_only_its_own_steps_count() -> None:
    program = in_levels()
    made = ["first", "loop[0].inner.a", "loop[1].inner.a", "loop[1].inner.c", "loop[1].end"]
    assert waits_for(program, "loop[1].inner.c", made) == ["loop[1].inner.a"]
    assert waits_for(program, "loop[0].inner.a", made) == []
    assert waits_for(program, "loop[1].end", made) == ["loop[1].inner.a", "loop[1].inner.c"]


def test_every_try_waits_for_its_own_steps_and_who_follows_for_all_tries() -> None:
    program = in_levels()
    made = [
        "first",
        "loop[0].inner.a",
        "loop[0].inner.c",
        "loop[0].inner~2.a",
        "loop[0].inner~2.c",
        "loop[0].end",
    ]
    assert waits_for(program, "loop[0].inner~2.c", made) == ["loop[0].inner~2.a"]
    assert waits_for(program, "loop[0].inner.c", made) == ["loop[0].inner.a"]
    assert waits_for(program, "loop[0].end", made) == made[1:5]


def test_a_task_that_is_not_there_waits_for_nothing() -> None:
    assert waits_for(in_levels(), "none", ["first"]) == []


def test_a_loop_over_an_output_that_was_not_made_yet() -> None:
    ir = chained()
    ir["root"]["dag"]["tasks"]["after"] = task("leaf", after=["loop"])
    program = read_program(ir)
    assert waits_for(program, "after", ["make", "after"]) == ["make"]
    assert waits_for(program, "after", ["make", "loop[0]", "loop[1]", "after"]) == ["loop[0]", "loop[1]"]


@pytest.mark.parametrize("index", range(len(CASES)), ids=[f"{i}-{case.name}" for i, case in enumerate(CASES)])
def test_every_task_of_a_run_has_a_place_and_waits_for_tasks_of_the_run(index: int) -> None:
    """The interpreter's own words for what a task comes after, against what is found by its path alone."""
    case = CASES[index]
    program = read_program(*compiled_documents(case.pipeline))
    run = FakeRun(program=program, functions=functions(), parameters=case.parameters, failures=case.failures)
    run.run()
    made = Made(run.rows)
    for birth in advance(program, run.parameters, {}).new_tasks:
        assert leaf_at(program, birth.path) is birth.leaf
    for path in run.rows:
        place = locate(program, path)
        assert place is not None
        assert leaf_at(program, path) is place.step.component
        upstream = upstream_of(program, path, made)
        assert set(upstream) <= set(run.rows) - {path}
        for name in place.step.upstream:
            assert set(made.below(f"{place.prefix}{name}")) <= set(upstream)


def test_finding_what_many_tasks_wait_for_takes_linear_time() -> None:
    size = 4_000
    tasks = {f"t{number:04}": ([f"t{number - 1:04}"] if number else []) for number in range(size)}
    program = read_program(compiled(tasks=tasks))
    made = Made(map(TaskPath, tasks))
    started = time.process_time()
    assert all(list(upstream_of(program, TaskPath(path), made)) == before for path, before in tasks.items())
    assert (time.process_time() - started) / size < 0.0005


def test_steps_are_found_by_name() -> None:
    program = in_levels()
    assert {name: step.name for name, step in program.root.by_name.items()} == {
        name: name for name in ("first", "loop", "other", "last", "beside")
    }
    assert program.root.by_name["loop"] is step_of(program, "loop")
