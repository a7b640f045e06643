"""What the reader refuses, and where; and behaviour that KFP's compiler gives no way to ask for."""

import copy
from collections.abc import Callable
from typing import Any

import pytest

from nodewise.core.errors import InvalidParameters, InvalidPipeline, UnsupportedFeature
from nodewise.core.ir import bind, read_program
from tests.support.dynamic_runs import FakeRun, compiled_documents
from tests.unit.core_ir.corpus.every import CASES
from tests.unit.core_ir.corpus.handwritten import chained, dag, document, leaf, task

TWO = document(
    {"a": task("leaf"), "b": task("leaf", after=["a"])}, {"leaf": leaf(gives="STRING", takes={"x": "STRING"})}
)
for name in ("a", "b"):
    TWO["root"]["dag"]["tasks"][name]["inputs"] = {"parameters": {"x": {"runtimeValue": {"constant": "v"}}}}


def tasks(ir: dict[str, Any]) -> Any:
    return ir["root"]["dag"]["tasks"]


def container(ir: dict[str, Any]) -> Any:
    return ir["deploymentSpec"]["executors"]["exec"]["container"]


def source(**kind: Any) -> Callable[[dict[str, Any]], None]:
    def change(ir: dict[str, Any]) -> None:
        tasks(ir)["b"]["inputs"]["parameters"]["x"] = kind

    return change


def set_in(where: Callable[[dict[str, Any]], Any], **fields: Any) -> Callable[[dict[str, Any]], None]:
    return lambda ir: where(ir).update(fields)


def b(ir: dict[str, Any]) -> Any:
    return tasks(ir)["b"]


B = "root.dag.tasks.b"
X = f"{B}.inputs.parameters.x"
INVALID = [
    (source(taskFinalStatus={"producerTask": "c"}), f"{X}.taskFinalStatus.producerTask"),
    (source(runtimeValue={}), f"{X}.runtimeValue.constant"),
    (source(runtimeValue={"constant": "{{$.outputs.output_file}}"}), f"{X}.runtimeValue.constant"),
    (source(runtimeValue={"constant": "{{$.nonsense}}"}), f"{X}.runtimeValue.constant"),
    (source(runtimeValue={"constant": "a"}, parameterExpressionSelector="("), f"{X}.parameterExpressionSelector"),
    (
        source(runtimeValue={"constant": "a"}, parameterExpressionSelector="inputs.parameter_values['x']"),
        f"{X}.parameterExpressionSelector",
    ),
    (set_in(b, triggerPolicy={"condition": "x == 1"}), f"{B}.triggerPolicy.condition"),
    (set_in(b, triggerPolicy={"condition": "inputs.parameter_values['y'] == 1"}), f"{B}.triggerPolicy.condition"),
    (set_in(b, retryPolicy={"backoffFactor": -2}), f"{B}.retryPolicy.backoffFactor"),
    (set_in(b, iteratorPolicy={"parallelismLimit": -1}), f"{B}.iteratorPolicy.parallelismLimit"),
    (set_in(b, parameterIterator={"items": {"raw": "[]"}}), f"{B}.parameterIterator.itemInput"),
    (
        set_in(b, parameterIterator={"itemInput": "i", "items": {"inputParameter": "none"}}),
        f"{B}.parameterIterator.items.inputParameter",
    ),
    (
        set_in(b, artifactIterator={"itemInput": "i", "items": {"inputArtifact": "none"}}),
        f"{B}.artifactIterator.items.inputArtifact",
    ),
    (set_in(tasks, **{"a b": task("leaf")}), "root.dag.tasks.a b"),
    (set_in(container, env=[{"name": "A=B"}]), "deploymentSpec.executors.exec.container.env[0].name"),
    (
        set_in(container, env=[{"name": "A", "value": "{{$.inputs.parameters['z']}}"}]),
        "deploymentSpec.executors.exec.container.env[0].value",
    ),
    (
        set_in(container, resources={"resourceCpuLimit": "{{$.inputs.parameters['z']}}"}),
        "deploymentSpec.executors.exec.container.resources",
    ),
    (
        set_in(container, command=["echo"], args=["{{$.outputs.artifacts['m'].uri}}"]),
        "deploymentSpec.executors.exec.container.args[0]",
    ),
    (
        set_in(container, command=['{"IfPresent": {"InputName": "none", "Then": "a"}}']),
        "deploymentSpec.executors.exec.container.command[0].IfPresent.InputName",
    ),
    (set_in(container, command=['{"Concat": [[]]}']), "deploymentSpec.executors.exec.container.command[0]"),
    (
        set_in(lambda ir: ir["root"]["dag"], outputs={"parameters": {"o": {"valueFromParameter": {"producerSubtask": "c"}}}}),
        "root.dag.outputs.parameters.o",
    ),
    (set_in(lambda ir: ir["root"], outputDefinitions={"parameters": {"o": {"parameterType": "LIST"}}}), "root.dag.outputs.parameters.o"),
]  # fmt: skip
UNSUPPORTED = [
    (
        lambda ir: ir["deploymentSpec"]["executors"].update(exec={"resolver": {}}),
        "deploymentSpec.executors.exec.resolver",
    ),
    (set_in(container, image="argostub/createpvc"), "deploymentSpec.executors.exec.container.image"),
    (
        set_in(container, command=["echo"], args=["{{$.json_escape[1]}}"]),
        "deploymentSpec.executors.exec.container.args[0]",
    ),
    (set_in(b, triggerPolicy={"condition": "size('a') == 1"}), f"{B}.triggerPolicy.condition"),
    (source(runtimeValue={"constant": "{{$.workspace_path}}/x"}), f"{X}.runtimeValue.constant"),
]


@pytest.mark.parametrize(
    ("change", "path"), INVALID, ids=[f"{i}-{path}" for i, (_, path) in enumerate(INVALID)]
)
def test_what_is_wrong_is_refused_with_its_place(change: Callable[[dict[str, Any]], None], path: str) -> None:
    ir = copy.deepcopy(TWO)
    change(ir)
    with pytest.raises(InvalidPipeline) as refused:
        read_program(ir)
    assert refused.value.path == path


@pytest.mark.parametrize(("change", "path"), UNSUPPORTED, ids=[path for _, path in UNSUPPORTED])
def test_what_does_not_run_here_is_refused_with_advice(
    change: Callable[[dict[str, Any]], None], path: str
) -> None:
    ir = copy.deepcopy(TWO)
    change(ir)
    with pytest.raises(UnsupportedFeature) as refused:
        read_program(ir)
    assert refused.value.path == path
    assert refused.value.advice


def test_types_that_can_never_fit_are_refused() -> None:
    ir = chained(None, leaf(takes={"items": "NUMBER_INTEGER", "item": "STRING"}))
    with pytest.raises(InvalidPipeline, match="gives LIST, but the input is NUMBER_INTEGER"):
        read_program(ir)


def test_anything_fits_text() -> None:
    ir = chained(task("body"), leaf(takes={"items": "STRING"}))
    run = FakeRun(program=read_program(ir), functions={"f": lambda **_: ["a", 1]})
    assert run.run().outcome == "SUCCEEDED"
    assert run.seen["loop"].parameters == {"items": '["a", 1]'}


def with_condition(ir: dict[str, Any], condition: str) -> dict[str, Any]:
    tasks(ir)["b"]["triggerPolicy"] = {"condition": condition}
    return ir


def test_a_condition_of_a_leaf_skips_it_and_what_follows() -> None:
    ir = with_condition(copy.deepcopy(TWO), "inputs.parameter_values['x'] == 'other'")
    tasks(ir)["c"] = task("none", after=["b"])
    ir["components"]["none"] = leaf()
    run = FakeRun(program=read_program(ir))
    assert run.run().outcome == "SUCCEEDED"
    assert run.states == {"a": "SUCCEEDED", "b": "SKIPPED", "c": "SKIPPED"}


def test_a_condition_that_cannot_be_decided_fails_its_task() -> None:
    ir = with_condition(copy.deepcopy(TWO), "int(inputs.parameter_values['x']) > 1")
    run = FakeRun(program=read_program(ir))
    end = run.run()
    assert end.outcome == "FAILED"
    assert "cannot be decided" in end.reason
    assert run.states == {"a": "SUCCEEDED", "b": "FAILED"}


def test_a_leaf_may_be_a_loop_itself() -> None:
    run = FakeRun(program=read_program(document({"x": task("leaf", items=["a", "b"])}, {"leaf": leaf()})))
    assert run.run().outcome == "SUCCEEDED"
    assert run.states == {"x[0]": "SUCCEEDED", "x[1]": "SUCCEEDED"}


def test_an_output_that_nobody_left_fails_who_needs_it() -> None:
    ir = chained()
    run = FakeRun(program=read_program(ir), functions={"f": lambda: None})
    end = run.run()
    assert end.outcome == "FAILED"
    assert run.groups["loop"] == "FAILED"
    assert "items" in end.reason


def test_an_output_of_another_type_fails_who_needs_it() -> None:
    run = FakeRun(program=read_program(chained()), functions={"f": lambda: {"a": 1}})
    end = run.run()
    assert (end.outcome, run.states) == ("FAILED", {"make": "SUCCEEDED"})
    assert "must be a list" in end.reason


def test_an_empty_sub_pipeline_succeeds() -> None:
    ir = document({"x": task("empty"), "y": task("leaf", after=["x"])}, {"empty": dag({}), "leaf": leaf()})
    run = FakeRun(program=read_program(ir))
    assert run.run().outcome == "SUCCEEDED"


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({}, "n.*is required"),
        ({"n": "x"}, "whole number"),
        ({"n": 1, "m": 1}, "unknown"),
        ({"n": float("nan")}, "finite"),
    ],
)
def test_parameters_of_a_run_are_checked(given: dict[str, Any], words: str) -> None:
    diamond = next(case for case in CASES if case.name == "diamond")
    with pytest.raises(InvalidParameters, match=words):
        bind(read_program(*compiled_documents(diamond.pipeline)), given)
