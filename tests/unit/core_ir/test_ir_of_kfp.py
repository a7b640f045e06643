"""What KFP's own compiler writes: read where it is supported, refused with its place where it is not."""

import ast
from datetime import timedelta
from typing import Any

import pytest

from nodewise.core.errors import UnsupportedFeature
from nodewise.core.ir import Program, read_program
from nodewise.core.ir.needs import needs, needs_before
from nodewise.core.ir.outline import leaves_of
from nodewise.core.ir.tree import (
    Constant,
    Dag,
    FinalStatus,
    FromInput,
    FromStep,
    Leaf,
    ParameterBinding,
    ParameterLoop,
    ParameterSource,
    Step,
)
from nodewise.core.model.artifact import Values
from nodewise.core.model.component import ContainerWork, ImportWork, PythonWork, Text, ValueKind
from nodewise.core.model.resources import Resources
from nodewise.core.model.task import TaskKind, TaskSpec
from tests.support import kfp_pipelines as kfp_made
from tests.support.kfp_pipelines import REFUSED, SUPPORTED, compiled_by_kfp
from tests.support.programs import leaf_of, python_of, shown, spec_of, step_of


def read(make: Any) -> Program:
    return read_program(*compiled_by_kfp(make))


def only(program: Program) -> TaskSpec:
    (step,) = program.root.steps
    return spec_of(program, step.name)


def sources(step: Step) -> dict[str, ParameterSource]:
    assert all(binding.selector is None for binding in step.parameters.values())
    return {name: binding.source for name, binding in step.parameters.items()}


def test_there_are_enough_of_them() -> None:
    assert len(SUPPORTED) >= 28


def test_equal_copies_that_kfp_makes_of_a_component_are_called_as_the_first() -> None:
    program = read(kfp_made.container_copies)
    called = {
        step.name: step.component.component for step in program.root.steps if isinstance(step.component, Leaf)
    }
    assert called == {"shell": "comp-shell", "shell-2": "comp-shell", "shell-2-2": "comp-shell-2-2"}
    assert [spec_of(program, name).task_class for name in ("shell", "shell-2")] == ["other/comp-shell"] * 2


@pytest.mark.parametrize("make", SUPPORTED, ids=lambda make: make.__name__)
def test_a_supported_pipeline_is_read_with_the_source_of_every_task(make: Any) -> None:
    leaves = list(leaves_of(read(make)))
    assert leaves
    for leaf in leaves:
        if isinstance(leaf.work, PythonWork):
            module = ast.parse(leaf.work.source)
            functions = [node.name for node in module.body if isinstance(node, ast.FunctionDef)]
            assert functions == [leaf.work.function]


@pytest.mark.parametrize(("make", "path"), REFUSED.items(), ids=lambda item: getattr(item, "__name__", ""))
def test_what_is_not_supported_is_refused_with_its_place(make: Any, path: str) -> None:
    with pytest.raises(UnsupportedFeature) as refusal:
        read(make)
    assert refusal.value.path == path
    assert refusal.value.feature
    assert refusal.value.advice


def test_a_chain_comes_in_order_with_its_sources() -> None:
    program = read(kfp_made.chain)
    assert [step.name for step in program.root.steps] == ["prepare", "fit", "score"]
    prepare, fit, score = program.root.steps
    assert sources(prepare) == {"rows": FromInput(name="rows"), "name": FromInput(name="name")}
    assert sources(fit) == {"rows": FromStep(step="prepare", output="Output")}
    assert fit.artifacts == {"data": FromStep(step="prepare", output="train")}
    assert score.upstream == ("fit",)
    assert spec_of(program, "score").upstream == ("fit",)
    given = fit.component.signature
    assert given.output_artifacts["model"].schema_title == "system.Model"
    assert given.output_parameters["Output"].kind is ValueKind.NUMBER_DOUBLE


def test_fan_out_and_fan_in_depend_on_what_they_take() -> None:
    program = read(kfp_made.fan)
    assert spec_of(program, "fit-2").upstream == ("prepare",)
    assert spec_of(program, "best").upstream == ("fit", "fit-2", "fit-3")


def test_a_repeated_function_keeps_its_name_and_class() -> None:
    fit = spec_of(read(kfp_made.fan), "fit-3")
    assert (fit.component, fit.task_class) == ("fit", "other/fit")


def test_after_is_a_dependency_without_data() -> None:
    program = read(kfp_made.dependencies)
    assert spec_of(program, "noop-3").upstream == ("noop", "noop-2")
    assert not step_of(program, "noop-3").parameters


def test_retries_keep_their_back_off() -> None:
    retry = only(read(kfp_made.retries)).retry
    assert (retry.max_retries, retry.backoff, retry.factor) == (3, timedelta(seconds=5), 1.5)
    assert retry.max_backoff == timedelta(seconds=60)


def test_requests_are_booked_and_limits_where_there_is_no_request() -> None:
    program = read(kfp_made.resources)
    assert spec_of(program, "noop").resources == Resources(millicores=500, memory_mib=512)
    assert needs(leaf_of(program, "noop"), Values(), path="noop").memory_limit_mib == 4096
    assert spec_of(program, "noop-2").resources == Resources(millicores=2000, memory_mib=954)


def test_an_accelerator_is_needed_and_required() -> None:
    spec = spec_of(read(kfp_made.resources), "noop-3")
    assert spec.resources.gpus == 2
    assert spec.requirements.accelerator == "gpu"


def test_variables_come_along() -> None:
    program = read(kfp_made.environment)
    assert python_of(program, "noop").environment == {"MODE": "fast", "EMPTY": ""}


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
    program = read(kfp_made.optional_artifact)
    assert "start" not in step_of(program, "fit").artifacts
    assert step_of(program, "fit-2").artifacts["start"] == FromStep(step="prepare", output="train")


def test_an_f_string_stays_a_template_over_the_tasks_own_inputs() -> None:
    prepare = sources(step_of(read(kfp_made.f_strings), "prepare"))
    template = prepare["name"]
    assert isinstance(template, Constant)
    assert "pipelinechannel--who" in str(template.value)
    assert prepare["pipelinechannel--who"] == FromInput(name="who")


def test_hints_and_the_node_selector_are_read() -> None:
    spec = only(read(kfp_made.with_hints))
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
    first, second = read_program(ir, platforms), read_program(reversed_keys(ir), platforms)
    assert shown(first) == shown(second)


def test_a_branch_has_its_condition_and_a_loop_its_items() -> None:
    branch = step_of(read(kfp_made.condition), "condition-1")
    assert branch.condition is not None
    assert isinstance(branch.component, Dag)
    loop = step_of(read(kfp_made.loop), "for-loop-2")
    assert isinstance(loop.loop, ParameterLoop)
    assert loop.loop.items == ("a", "b")


@pytest.mark.parametrize(
    ("make", "name"), [(kfp_made.exit_handler, "noop"), (kfp_made.final_status, "after-all")]
)
def test_an_exit_task_runs_whatever_happened(make: Any, name: str) -> None:
    program = read(make)
    at_end = step_of(program, name)
    assert (at_end.always, at_end.finaliser, at_end.upstream) == (True, True, ("exit-handler-1",))
    within = step_of(program, "exit-handler-1").component
    assert isinstance(within, Dag)
    assert [step.name for step in within.steps] == ["bare"]


def test_an_exit_task_is_told_how_it_ended() -> None:
    status = step_of(read(kfp_made.final_status), "after-all").parameters["status"]
    assert status == ParameterBinding(source=FinalStatus(step="exit-handler-1"))


def test_who_ignores_a_failure_is_no_exit_task() -> None:
    last = step_of(read(kfp_made.ignored_failure), "noop-2")
    assert (last.always, last.finaliser, last.upstream) == (True, False, ("noop",))


def test_a_pipeline_in_a_pipeline_is_a_dag_of_its_own() -> None:
    inner = step_of(read(kfp_made.nested), "inner").component
    assert isinstance(inner, Dag)
    assert [step.name for step in inner.steps] == ["bare"]
    assert inner.output_parameters == {"Output": (FromStep(step="bare", output="Output"),)}


def test_a_container_has_its_words() -> None:
    work = leaf_of(read(kfp_made.container), "shell").work
    assert work == ContainerWork(
        image="alpine", command=(Text(text="echo"),), args=(Text(text="{{$.inputs.parameters['n']}}"),)
    )


def test_a_component_that_is_in_its_image_runs_there() -> None:
    work = leaf_of(read(kfp_made.containerised_python), "containerised").work
    assert isinstance(work, ContainerWork)
    assert work.image == "registry/x:1"
    assert Text(text="kfp.dsl.executor_main") in work.command
    assert Text(text="{{$}}") in work.args


def test_packages_are_those_that_nodes_do_not_have() -> None:
    assert python_of(read(kfp_made.packages), "needs-pandas").packages == ("pandas==2.1",)


def test_an_importer_names_what_is_there() -> None:
    work = leaf_of(read(kfp_made.importer), "importer").work
    assert work == ImportWork(output="artifact", schema_title="system.Dataset", uri="gs://b/x")


def test_an_amount_from_a_parameter_is_known_once_the_task_is_ready() -> None:
    leaf = leaf_of(read(kfp_made.cpu_parameter), "noop")
    assert needs_before(leaf) is None
    inputs = Values(parameters={"pipelinechannel--cpu": "1500m"})
    assert needs(leaf, inputs, path="noop").resources.millicores == 1500


def test_the_jobs_name_is_filled_in_later() -> None:
    text = step_of(read(kfp_made.job_name), "bare").parameters["text"]
    assert text == ParameterBinding(source=Constant(value="{{$.pipeline_job_name}}"))


def test_a_loop_collects_its_artifacts_into_a_list() -> None:
    program = read(kfp_made.artifact_list)
    many = step_of(program, "many")
    assert many.component.signature.input_artifacts["models"].is_list
    source = many.artifacts["models"]
    assert isinstance(source, FromStep)
    assert source.step == "for-loop-2"
    loop = step_of(program, "for-loop-2").loop
    assert isinstance(loop, ParameterLoop)
    assert loop.items == (1, 2)
