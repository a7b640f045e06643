"""What KFP's own compiler writes: read where it is supported, refused with its place where it is not."""

import ast
from datetime import timedelta
from typing import Any

import pytest

from nodewise.core.errors import UnsupportedFeature
from nodewise.core.ir import read_pipeline
from nodewise.core.model.ids import TaskPath
from nodewise.core.model.pipeline import (
    FromConstant,
    FromRun,
    FromTask,
    ParameterType,
    Pipeline,
    PipelineTask,
)
from nodewise.core.model.resources import Resources
from nodewise.core.model.task import TaskKind
from tests.support import kfp_pipelines as kfp_made
from tests.support.kfp_pipelines import REFUSED, SUPPORTED, compiled_by_kfp


def read(make: Any) -> Pipeline:
    return read_pipeline(*compiled_by_kfp(make))


def only(pipeline: Pipeline) -> PipelineTask:
    (task,) = pipeline.tasks.values()
    return task


def test_there_are_enough_of_them() -> None:
    assert len(SUPPORTED) >= 15
    assert len(REFUSED) >= 15


@pytest.mark.parametrize("make", SUPPORTED, ids=lambda make: make.__name__)
def test_a_supported_pipeline_is_read_with_the_source_of_every_task(make: Any) -> None:
    pipeline = read(make)
    for task in pipeline.tasks.values():
        functions = [
            node.name for node in ast.parse(task.code.source).body if isinstance(node, ast.FunctionDef)
        ]
        assert functions == [task.code.function]


@pytest.mark.parametrize(("make", "path"), REFUSED.items(), ids=lambda item: getattr(item, "__name__", ""))
def test_what_is_not_supported_is_refused_with_its_place(make: Any, path: str) -> None:
    with pytest.raises(UnsupportedFeature) as refusal:
        read(make)
    assert refusal.value.path == path
    assert refusal.value.feature
    assert refusal.value.advice


def test_a_chain_comes_in_order_with_its_sources() -> None:
    pipeline = read(kfp_made.chain)
    assert list(pipeline.tasks) == ["prepare", "fit", "score"]
    prepare, fit, score = pipeline.tasks.values()
    assert prepare.parameter_sources == {"rows": FromRun(parameter="rows"), "name": FromRun(parameter="name")}
    assert fit.parameter_sources == {"rows": FromTask(task=TaskPath("prepare"), output="Output")}
    assert fit.artifact_sources == {"data": FromTask(task=TaskPath("prepare"), output="train")}
    assert score.spec.upstream == ("fit",)
    assert fit.output_artifacts["model"].schema_title == "system.Model"
    assert fit.output_parameters["Output"].type is ParameterType.NUMBER_DOUBLE


def test_fan_out_and_fan_in_depend_on_what_they_take() -> None:
    pipeline = read(kfp_made.fan)
    assert pipeline.tasks[TaskPath("fit-2")].spec.upstream == ("prepare",)
    assert pipeline.tasks[TaskPath("best")].spec.upstream == ("fit", "fit-2", "fit-3")


def test_a_repeated_function_keeps_its_name_and_class() -> None:
    fit = read(kfp_made.fan).tasks[TaskPath("fit-3")]
    assert (fit.spec.component, fit.spec.task_class) == ("fit", "other/fit")


def test_after_is_a_dependency_without_data() -> None:
    last = read(kfp_made.dependencies).tasks[TaskPath("noop-3")]
    assert last.spec.upstream == ("noop", "noop-2")
    assert not last.parameter_sources


def test_retries_keep_their_back_off() -> None:
    retry = only(read(kfp_made.retries)).spec.retry
    assert (retry.max_retries, retry.backoff, retry.factor) == (3, timedelta(seconds=5), 1.5)
    assert retry.max_backoff == timedelta(seconds=60)


def test_requests_are_booked_and_limits_where_there_is_no_request() -> None:
    tasks = read(kfp_made.resources).tasks
    assert tasks[TaskPath("noop")].spec.resources == Resources(millicores=500, memory_mib=512)
    assert tasks[TaskPath("noop")].memory_limit_mib == 4096
    assert tasks[TaskPath("noop-2")].spec.resources == Resources(millicores=2000, memory_mib=954)


def test_an_accelerator_is_needed_and_required() -> None:
    spec = read(kfp_made.resources).tasks[TaskPath("noop-3")].spec
    assert spec.resources.gpus == 2
    assert spec.requirements.accelerator == "gpu"


def test_variables_come_along() -> None:
    assert only(read(kfp_made.environment)).code.environment == {"MODE": "fast", "EMPTY": ""}


def test_defaults_have_their_types_back() -> None:
    parameters = read(kfp_made.defaults).parameters
    assert parameters["i"].default == 3
    assert isinstance(parameters["i"].default, int)
    assert isinstance(parameters["d"].default, float)
    assert parameters["l"].default == [1, 2.5]
    assert parameters["o"].default == {"n": {"k": [1]}}
    assert parameters["optional"].optional
    assert not parameters["optional"].has_default


def test_an_input_left_out_has_no_source() -> None:
    tasks = read(kfp_made.optional_artifact).tasks
    assert "start" not in tasks[TaskPath("fit")].artifact_sources
    assert tasks[TaskPath("fit-2")].artifact_sources["start"].output == "train"


def test_an_f_string_stays_a_template_over_the_tasks_own_inputs() -> None:
    prepare = read(kfp_made.f_strings).tasks[TaskPath("prepare")]
    source = prepare.parameter_sources["name"]
    assert isinstance(source, FromConstant)
    assert "pipelinechannel--who" in str(source.value)
    assert prepare.parameter_sources["pipelinechannel--who"] == FromRun(parameter="who")


def test_hints_and_the_node_selector_are_read() -> None:
    spec = only(read(kfp_made.with_hints)).spec
    assert (spec.kind, spec.task_class) == (TaskKind.TRAINING, "training/svm")
    assert spec.model is not None
    assert spec.model.parameters == {"C": 1.5}
    assert spec.requirements.nodes == ("n1",)
    assert spec.requirements.labels == {"disk": "ssd"}
    assert spec.timeout == timedelta(seconds=90)


def test_the_same_pipeline_reads_the_same_whatever_the_order_of_its_keys() -> None:
    def reversed_keys(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: reversed_keys(value[key]) for key in reversed(value)}
        return [reversed_keys(item) for item in value] if isinstance(value, list) else value

    ir, platforms = compiled_by_kfp(kfp_made.fan)
    first, second = read_pipeline(ir, platforms), read_pipeline(reversed_keys(ir), platforms)
    assert first == second
    assert list(first.tasks) == list(second.tasks)
