"""Whatever is sent, reading ends with a program or a typed refusal, and a program that was read runs to an end."""

import copy
import json
import time
from collections.abc import Callable
from functools import cache
from typing import Any

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from nodewise.core.errors import InvalidParameters, InvalidPipeline
from nodewise.core.ir import Program, read_program
from nodewise.core.lifecycle import FINAL_RUN_STATES
from tests.support.dynamic_runs import FakeRun, compiled_documents
from tests.support.examples import examples
from tests.support.kfp_pipelines import compiled_by_kfp, f_strings, retries, with_hints
from tests.support.programs import born
from tests.unit.core_ir.corpus.every import CASES
from tests.unit.core_ir.corpus.handwritten import chained, dag, document, leaf, task

SEEDS = (
    "exit-handler-with-all",
    "loop-over-objects-of-an-output",
    "if-elif-else",
    "containers",
    "imported-parameter",
    "sub-pipeline-tried-again",
    "loop-over-artifacts",
    "resources-and-variables",
    "text-of-anything",
    f_strings,
    retries,
    with_hints,
)
LIMIT = 300


@cache
def seed(which: str | Callable[[], Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    if not isinstance(which, str):
        return compiled_by_kfp(which)
    return compiled_documents(next(case.pipeline for case in CASES if case.name == which))


WORDS = (
    "{{$.inputs.parameters['x']}}", "{{$", "{{$}}", "2.1.0", "system.Model", "NUMBER_INTEGER", "STRING", "5s", "add",
    "comp-inner", "comp-for-loop-2", "root", "inputs.parameter_values['n'] > 1", "!(true)", "a && b", "((((", "[1, 2, 3]",
    '[{"a": 1}]', '{"Concat": ["a", {"IfPresent": {"InputName": "extra", "Then": []}}]}', "parseJson(string_value)[\"a\"]",
    "ALL_UPSTREAM_TASKS_COMPLETED", "prepare",
)  # fmt: skip
JUNK = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats()
    | st.text(max_size=12)
    | st.sampled_from(WORDS),
    lambda children: (
        st.lists(children, max_size=3) | st.dictionaries(st.text(max_size=8), children, max_size=3)
    ),
    max_leaves=6,
)


def places(value: Any) -> list[tuple[Any, Any]]:
    """Every (container, key) of a document."""
    found, pending = [], [value]
    while pending:
        container = pending.pop()
        keys = list(container) if isinstance(container, dict) else list(range(len(container)))
        found.extend((container, key) for key in keys)
        pending.extend(container[key] for key in keys if isinstance(container[key], dict | list))
    return found


def mutate(document: Any, data: st.DataObject) -> None:
    """One change: dropped, renamed, duplicated under another name, swapped with another place, retyped, repeated, added."""
    spots = places(document)
    if not spots:
        return
    container, key = spots[data.draw(st.integers(0, len(spots) - 1))]
    kind = data.draw(st.integers(0, 5))
    if kind == 0:
        del container[key]
    elif kind == 1:
        container[key] = data.draw(JUNK)
    elif kind == 2:
        other, other_key = spots[data.draw(st.integers(0, len(spots) - 1))]
        container[key] = copy.deepcopy(other[other_key])
    elif kind == 3 and isinstance(container, dict):
        container[data.draw(st.sampled_from(WORDS) | st.text(max_size=5))] = container.pop(key)
    elif kind == 4 and isinstance(container, dict):
        container[f"{key}-2"] = copy.deepcopy(container[key])
    else:
        grow(container, data)


def grow(container: Any, data: st.DataObject) -> None:
    if isinstance(container, dict):
        name = data.draw(st.text(max_size=8) | st.sampled_from(sorted(map(str, container))))
        container[name] = data.draw(JUNK)
    else:
        container.extend(copy.deepcopy(container[:50]))


@settings(max_examples=examples(400), deadline=None)
@given(data=st.data())
def test_a_mutated_pipeline_is_refused_or_runs_to_an_end(data: st.DataObject) -> None:
    ir, platforms = copy.deepcopy(seed(data.draw(st.sampled_from(SEEDS))))
    for _ in range(data.draw(st.integers(1, 4))):
        mutate(platforms if data.draw(st.integers(0, 9)) == 9 else ir, data)
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
    given: dict[str, Any] = {"n": 2, "uri": "s3://x", "rows": 1, "text": "x"}
    parameters = {name: value for name, value in given.items() if name in program.parameters}
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
        "the run would have more than 300 tasks and iterations",
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
