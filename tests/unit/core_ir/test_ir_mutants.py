"""Whatever is sent, reading ends with a program or a typed refusal, and a program that was read runs to an end."""

import json
import time
from random import Random
from typing import Any

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from nodewise.core.errors import InvalidParameters, InvalidPipeline
from nodewise.core.ir import Program, read_program
from nodewise.core.ir.tally import HOW_TO_SHRINK
from nodewise.core.lifecycle import FINAL_RUN_STATES
from tests.support.dynamic_runs import FakeRun
from tests.support.examples import examples
from tests.support.mutants import GIVEN, SEEDS, mutate, seed
from tests.support.programs import born
from tests.unit.core_ir.corpus.handwritten import chained, dag, document, leaf, task

LIMIT = 300


@settings(max_examples=examples(400), deadline=None)
@given(rng=st.randoms(use_true_random=True))
def test_a_mutated_pipeline_is_refused_or_runs_to_an_end(rng: Random) -> None:
    ir, platforms = seed(rng.choice(SEEDS))
    for _ in range(rng.choice([1, 1, 2, 3])):
        event(mutate(platforms if rng.random() < 0.1 else ir, rng))
    result = read_or_refused(ir, platforms)
    if isinstance(result, Program):
        event("read")
        is_consistent(result)
        runs_to_an_end(result)
    else:
        assert result.path
        assert len(str(result)) < 3000


def read_or_refused(ir: Any, platforms: Any) -> Program | InvalidPipeline:
    try:
        return read_program(ir, platforms, max_instances=LIMIT)
    except InvalidPipeline as refusal:
        return refusal


def is_consistent(program: Program) -> None:
    seen: set[str] = set()
    for path, birth in born(program).items():
        assert birth.spec.path == path
        assert set(birth.spec.upstream) <= seen
        seen.add(path)


def runs_to_an_end(program: Program) -> None:
    parameters = {name: value for name, value in GIVEN.items() if name in program.parameters}
    try:
        run = FakeRun(program=program, parameters=parameters)
        end = run.run(most_events=LIMIT * 4)
    except InvalidParameters:
        return
    assert end.outcome in FINAL_RUN_STATES
    assert len(run.rows) <= LIMIT


def test_pipelines_that_double_at_every_level_are_refused() -> None:
    components = {"comp-0": dag({"a": task("leaf"), "b": task("leaf")})}
    for level in range(1, 39):
        components[f"comp-{level}"] = dag({"a": task(f"comp-{level - 1}"), "b": task(f"comp-{level - 1}")})
    started = time.process_time()
    with pytest.raises(InvalidPipeline, match="comes to more than"):
        read_program(document({"x": task("comp-38")}, {**components, "leaf": leaf()}))
    assert time.process_time() - started < 5


def test_pipelines_nested_without_end_are_refused() -> None:
    components = {f"comp-{n}": dag({"a": task(f"comp-{n + 1}")}) for n in range(500)}
    components["comp-500"] = leaf()
    with pytest.raises(InvalidPipeline, match="nested more than"):
        read_program(document({"x": task("comp-0")}, components))


def test_a_pipeline_in_itself_is_refused() -> None:
    components = {"a": dag({"x": task("b")}), "b": dag({"y": task("a")})}
    with pytest.raises(InvalidPipeline, match="contains itself: a in b in a"):
        read_program(document({"x": task("a")}, components))


def test_a_loop_over_too_many_constants_is_refused() -> None:
    loop = task("leaf", items=list(range(400)))
    with pytest.raises(InvalidPipeline, match="more than 300"):
        read_program(document({"x": loop}, {"leaf": leaf()}), max_instances=LIMIT)


def test_a_list_of_too_many_items_fails_its_loop_only() -> None:
    program = read_program(chained(), max_instances=LIMIT)
    run = FakeRun(program=program, functions={"f": lambda: list(range(LIMIT + 1))})
    end = run.run()
    assert end.outcome == "FAILED"
    assert "301 items" in end.reason
    assert run.states == {"make": "SUCCEEDED"}


def test_loops_in_loops_that_grow_too_large_stop_the_run() -> None:
    inner = dag({"deep": task("leaf", loop_over="items")}, inputs={"items": "LIST", "item": "STRING"})
    inner_loop = task("inner", loop_over="items")
    inner["dag"]["tasks"]["deep"]["inputs"] = {"parameters": {"items": {"componentInputParameter": "items"}}}
    ir = chained(inner_loop, inner)
    program = read_program(ir, max_instances=LIMIT)
    run = FakeRun(program=program, functions={"f": lambda: list(range(100))})
    end = run.run()
    assert (end.outcome, end.reason) == (
        "FAILED",
        f"the run would have more than 300 tasks and iterations: {HOW_TO_SHRINK}",
    )


@pytest.mark.parametrize(
    "raw", ["[" * 50_000, "[1", "{}", "3", '"x"', "", "1" * 10_000, json.dumps([[[1]]])[:-1]]
)
def test_items_that_are_no_list_are_refused(raw: str) -> None:
    ir = document({"x": task("leaf", items=[])}, {"leaf": leaf()})
    ir["root"]["dag"]["tasks"]["x"]["parameterIterator"]["items"]["raw"] = raw
    with pytest.raises(InvalidPipeline) as refused:
        read_program(ir)
    assert refused.value.path == "root.dag.tasks.x.parameterIterator.items.raw"


def test_a_program_shows_itself_shortly() -> None:
    components: dict[str, Any] = {"comp-0": dag({"a": task("leaf")}), "leaf": leaf()}
    for level in range(1, 12):
        components[f"comp-{level}"] = dag({"a": task(f"comp-{level - 1}"), "b": task(f"comp-{level - 1}")})
    program = read_program(document({"x": task("comp-11")}, components))
    assert len(repr(program)) < 2000
