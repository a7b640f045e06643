"""Compiling: what KFP's compiler makes of ours, read back by KFP and by the control plane."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from kfp import components

from nodewise.core.errors import InvalidPipeline
from nodewise.core.ir import Program, Values, bind, read_program
from nodewise.core.ir.needs import needs
from nodewise.core.ir.tree import FromStep
from nodewise.core.model.resources import Resources as Amount
from nodewise.core.model.task import ModelFacts, TaskKind
from nodewise.sdk import CompiledPipeline, Resources, compile, load_submission, pipeline, task  # noqa: A004
from tests.support import kfp_pipelines
from tests.support.programs import born, leaf_of, python_of, shown, spec_of, step_of
from tests.support.sdk_pipelines import best, demo, optional, prepare


@pytest.fixture(scope="module")
def compiled() -> CompiledPipeline:
    return compile(demo)


@pytest.fixture(scope="module")
def read(compiled: CompiledPipeline) -> Program:
    return read_program(compiled.pipeline_spec, compiled.platform_spec)


def test_the_pipelines_own_options_arrive(compiled: CompiledPipeline, read: Program) -> None:
    assert compiled.name == read.name == "demo"
    assert compiled.pipeline_spec["pipelineInfo"]["description"] == "a demo"
    assert (read.priority, read.deadline_seconds, read.team) == (5, 6 * 3600, "vision")


def test_parameters_keep_their_types_and_defaults(read: Program) -> None:
    assert bind(read, {}) == {"rows": 10, "rates": [0.1, 0.2], "rate": 0.5}


def test_the_tasks_are_wired(read: Program) -> None:
    assert list(born(read)) == ["prepare", "fit", "fit-2", "best"]
    assert step_of(read, "fit").artifacts == {"data": FromStep(step="prepare", output="train")}
    assert step_of(read, "fit-2").artifacts["data"] == FromStep(step="prepare", output="test")
    assert spec_of(read, "best").upstream == ("fit", "fit-2", "prepare")


def test_a_tasks_options_arrive(read: Program) -> None:
    spec = spec_of(read, "fit")
    assert (spec.component, spec.kind, spec.task_class) == ("fit", TaskKind.TRAINING, "mine")
    assert spec.model == ModelFacts(type="random_forest", parameters={"trees": 10})
    assert spec.timeout == timedelta(minutes=90)
    assert spec.retry.max_retries == 2
    assert spec.resources == Amount(millicores=2000, memory_mib=1024, gpus=1)
    assert python_of(read, "fit").environment == {"MODE": "fast"}
    assert spec_of(read, "prepare").dataset is not None


def test_each_call_has_its_own_requirements_and_preferences(read: Program) -> None:
    first, second = spec_of(read, "fit"), spec_of(read, "fit-2")
    assert (first.preferences.accelerator, first.preferences.labels) == ("gpu", {"disk": "ssd"})
    assert first.requirements.nodes == ()
    assert second.requirements.nodes == ("n1", "n2")
    assert second.requirements.architectures == ("arm64",)
    assert second.requirements.worker_types == ("high-cpu", "med-cpu")
    assert second.requirements.labels == {"zone": "a"}
    assert second.preferences.accelerator is None


def test_resources_of_a_call_change_only_what_they_name(read: Program) -> None:
    assert spec_of(read, "fit-2").resources == Amount(millicores=2000, memory_mib=2048, gpus=1)
    assert needs(leaf_of(read, "fit-2"), Values(), path="fit-2").memory_limit_mib == 2048


def test_kfp_gets_the_timeout_too(compiled: CompiledPipeline) -> None:
    assert compiled.platform_spec is not None
    executors = compiled.platform_spec["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    assert executors["exec-fit"]["activeDeadlineSeconds"] == 5400


def test_the_body_travels_as_it_stands(read: Program) -> None:
    source = python_of(read, "prepare").source
    assert "# The comment travels too" in source
    assert "train: Output[Dataset]" in source
    assert "seed: int = 7" in source
    assert "nw." not in source


def test_compiling_twice_gives_the_same(compiled: CompiledPipeline) -> None:
    assert compile(demo) == compiled


def test_kfp_loads_what_was_written(compiled: CompiledPipeline, tmp_path: Path) -> None:
    file = compiled.write(tmp_path / "demo.yaml")
    assert len(list(yaml.safe_load_all(file.read_text()))) == 2
    loaded = components.load_component_from_file(str(file))
    assert set(loaded.component_spec.inputs) == {"rows", "rates", "rate"}
    assert "nodewise" in loaded.platform_spec.platforms


@pytest.mark.parametrize("name", ["demo.yaml", "demo.yml", "demo.json"])
def test_what_was_written_is_read_back(
    compiled: CompiledPipeline, read: Program, tmp_path: Path, name: str
) -> None:
    loaded = load_submission(str(compiled.write(tmp_path / name)))
    assert shown(read_program(loaded.pipeline_spec, loaded.platform_spec)) == shown(read)


@task
def plain(x: str) -> str:
    return x


def test_without_hints_there_is_no_platform_section(tmp_path: Path) -> None:
    @pipeline
    def my_plain_one(x: str):
        plain(x=x)

    compiled = compile(my_plain_one)
    assert compiled.platform_spec is None
    assert compiled.name == "my-plain-one"
    assert len(list(yaml.safe_load_all(compiled.write(tmp_path / "x.yaml").read_text()))) == 1
    assert "pipelineInfo" in load_submission(str(compiled.write(tmp_path / "x.json"))).pipeline_spec


def test_an_image_of_ones_own_is_kept_and_nothing_is_installed_into_it() -> None:
    @task(image="registry/mine:1")
    def in_my_image() -> int:
        return 1

    @pipeline
    def one():
        in_my_image()

    container = compile(one).pipeline_spec["deploymentSpec"]["executors"]["exec-in-my-image"]["container"]
    assert container["image"] == "registry/mine:1"
    assert not any("pip install" in part for part in container["command"])


def test_optional_inputs_may_stay_away() -> None:
    @pipeline
    def one(flag: bool):
        optional(flag=flag)
        optional(flag=True, model=None, text="x")

    compiled = compile(one)
    read = read_program(compiled.pipeline_spec, compiled.platform_spec)
    assert step_of(read, "optional").artifacts == {}
    assert set(step_of(read, "optional-2").parameters) == {"flag", "text"}


def test_a_handle_inside_a_list_is_its_output() -> None:
    @pipeline
    def one():
        best(scores=[best(scores=[1.0]), 2.0])

    compiled = compile(one)
    assert spec_of(read_program(compiled.pipeline_spec), "best-2").upstream == ("best",)


def test_a_gpu_less_call_keeps_the_rest() -> None:
    @pipeline
    def one():
        prepare(rows=1).with_resources(Resources(cpu="250m"))

    compiled = compile(one)
    spec = spec_of(read_program(compiled.pipeline_spec, compiled.platform_spec), "prepare")
    assert (spec.resources.millicores, spec.resources.memory_mib) == (250, 512)


@pytest.mark.parametrize(
    "make", [kfp_pipelines.chain, kfp_pipelines.with_hints, kfp_pipelines.component_alone]
)
def test_what_kfp_has_compiled_is_taken(make: Any) -> None:
    compiled = compile(make())
    assert born(read_program(compiled.pipeline_spec, compiled.platform_spec))


def test_a_compiled_pipeline_is_taken_as_it_is(compiled: CompiledPipeline) -> None:
    assert compile(compiled) is compiled


@pytest.mark.parametrize("thing", [3, None, "x", demo.function, best])
def test_anything_else_is_refused(thing: object) -> None:
    with pytest.raises(InvalidPipeline, match="is no pipeline"):
        compile(thing)
