"""Pipelines of far too many tasks are refused before anything of them is read."""

from typing import Any

import pytest

from nodewise.core.errors import InvalidPipeline
from nodewise.core.ir import read_program
from nodewise.core.ir.tally import check_tally
from tests.support.pipelines import compiled
from tests.unit.core_ir.corpus.handwritten import dag, document, leaf, task

LIMIT = 10


def tasks(count: int, component: str = "leaf") -> dict[str, Any]:
    return {f"t{number:02}": task(component) for number in range(count)}


def refused(ir: dict[str, Any]) -> str:
    with pytest.raises(InvalidPipeline, match=f"more than {LIMIT} tasks") as refusal:
        check_tally(ir, LIMIT)
    return refusal.value.path


def test_they_are_refused_before_the_rest_is_looked_at() -> None:
    ir = compiled(tasks={f"t{number:05}": [] for number in range(20_000)})
    ir["deploymentSpec"] = {"no such field": float("nan")}
    with pytest.raises(InvalidPipeline, match="more than 2000 tasks") as refusal:
        read_program(ir, max_instances=2000)
    assert refusal.value.path == "root.dag.tasks.t02000"


def test_as_many_as_a_run_may_have_are_let_through() -> None:
    ir = document(tasks(LIMIT), {"leaf": leaf()})
    check_tally(ir, LIMIT)
    assert len(read_program(ir, max_instances=LIMIT).root.steps) == LIMIT


def test_tasks_of_sub_pipelines_count() -> None:
    ir = document({"x": task("inner")}, {"inner": dag(tasks(LIMIT)), "leaf": leaf()})
    assert refused(ir) == "components.inner.dag.tasks.t09"


def test_components_in_themselves_are_left_to_the_reader() -> None:
    ir = document(tasks(3, "inner"), {"inner": dag(tasks(3, "inner"))})
    check_tally(ir, LIMIT)
    with pytest.raises(InvalidPipeline, match="contains itself"):
        read_program(ir, max_instances=LIMIT)


@pytest.mark.parametrize("spelling", ["componentRef", "component_ref"])
def test_both_spellings_are_known(spelling: str) -> None:
    call = {spelling: {"name": "inner"}}
    assert refused(document({"x": call}, {"inner": dag(tasks(LIMIT)), "leaf": leaf()}))


def test_a_loop_that_runs_over_nothing_is_not_counted() -> None:
    ir = document({"x": task("inner", items=[])}, {"inner": dag(tasks(LIMIT)), "leaf": leaf()})
    ir["components"]["inner"]["inputDefinitions"] = {"parameters": {"item": {"parameterType": "STRING"}}}
    assert len(read_program(ir, max_instances=LIMIT).root.steps) == 1


def test_components_that_nothing_runs_are_not_counted() -> None:
    ir = document({"x": task("leaf")}, {"inner": dag(tasks(LIMIT)), "leaf": leaf()})
    assert read_program(ir, max_instances=LIMIT)


@pytest.mark.parametrize("value", [None, 1, "x", [], [{}], {"dag": 1}, {"dag": {"tasks": [1]}}, {1: 2}])
@pytest.mark.parametrize("field", ["root", "components"])
def test_what_is_no_pipeline_is_left_to_the_reader(field: str, value: object) -> None:
    ir = document({"x": task("leaf")}, {"leaf": leaf()}) | {field: value}
    check_tally(ir, LIMIT)
    with pytest.raises(InvalidPipeline):
        read_program(ir, max_instances=LIMIT)
