"""What an attempt is started with: every placeholder of KFP filled in, and the executor input that its library reads."""

import json
from dataclasses import replace
from functools import cache
from typing import Any

import pytest
from kfp import dsl

from nodewise.core.codec import decode, encode
from nodewise.core.errors import InvalidPipeline, UnresolvedInput
from nodewise.core.ir import Program, RunFacts, Values, read_program
from nodewise.core.ir.importing import imported
from nodewise.core.ir.launch import Launch, Locations, launch
from nodewise.core.ir.needs import needs
from nodewise.core.ir.specs import task_spec
from nodewise.core.ir.tree import Leaf, Step
from nodewise.core.model.artifact import ArtifactRef
from nodewise.core.model.component import ContainerWork, ImportWork, PythonWork, ResourceTexts
from nodewise.core.model.job import Job
from nodewise.core.model.resources import Resources
from tests.support import programs
from tests.support.dynamic_runs import FakeRun, compiled_documents
from tests.support.programs import job_of
from tests.unit.core_ir.corpus.components import functions
from tests.unit.core_ir.corpus.every import CASES
from tests.unit.core_ir.corpus.handwritten import document, leaf, task

FACTS = RunFacts(name="job", run_id="r-1", resource_name="res", root="store://", created="c", scheduled="s")
PLACES = Locations(
    inputs={"data": ("/in/data",)},
    output_parameters={"score": "/out/score", "Output": "/out/Output"},
    output_artifacts={"model": "/out/model"},
    output_file="/out/result.json",
)


@cache
def program(name: str) -> Program:
    return read_program(*compiled_documents(next(c.pipeline for c in CASES if c.name == name)))


def step_of(name: str, step: str) -> tuple[Step, Leaf]:
    return programs.step_of(program(name), step), programs.leaf_of(program(name), step)


def launched(leaf: Leaf, inputs: Values, *, path: str) -> Launch:
    """What a job of it is started with, after the way from the placer to the agent."""
    return launch(decode(Job, encode(job_of(leaf, inputs, path=path, facts=FACTS))), PLACES)


def seen(name: str, path: str, **parameters: Any) -> Values:
    run = FakeRun(program=program(name), functions=functions(), parameters=parameters)
    run.run()
    return run.seen[path]


def test_the_words_of_a_container() -> None:
    started = launched(step_of("containers", "shell")[1], seen("containers", "shell"), path="shell")
    assert started.command == ("sh", "-c", "train")
    assert started.args == (
        "--number", "1", "--data", "/in/data", "--from", "/in/data", "--model", "/out/model", "--score", "/out/score",
        "n=1,m=/out/model", "--plain",
    )  # fmt: skip
    assert started.image == "alpine:3"


def test_an_optional_input_that_is_there_is_among_the_words() -> None:
    given = seen("containers", "shell-2", extra="more")
    started = launched(step_of("containers", "shell-2")[1], given, path="shell-2")
    assert started.args[-2:] == ("--extra", "more")


def test_the_executor_input_is_what_kfp_reads() -> None:
    from kfp.dsl.executor import Executor  # noqa: PLC0415 (slow to import)

    def run(number: int, data: dsl.Input[dsl.Dataset], model: dsl.Output[dsl.Model]) -> None: ...

    given = seen("containers", "shell")
    started = launched(step_of("containers", "shell")[1], given, path="shell")
    executor = Executor(
        executor_input=json.loads(json.dumps(started.executor_input)), function_to_execute=run
    )
    assert executor.get_input_parameter_value("number") == 1
    assert executor.get_input_artifact("data").uri == "/in/data"
    assert executor.get_input_artifact("data").metadata == {"rows": 2}
    assert executor.get_output_artifact("model").uri == "/out/model"
    assert executor.get_output_parameter_path("score") == "/out/score"


def test_resources_and_variables_from_parameters() -> None:
    leaf_of = step_of("resources-and-variables", "add")[1]
    inputs = seen("resources-and-variables", "add", cpu="1500m")
    wanted = needs(leaf_of, inputs, path="add")
    assert wanted.resources == Resources(millicores=1500, memory_mib=2048, gpus=1)
    assert (wanted.accelerator, wanted.memory_limit_mib) == ("gpu", 2048)
    started = launched(leaf_of, inputs, path="add")
    assert started.environment == {"MODE": "x"}
    assert started.args == ()
    assert set(started.executor_input["inputs"]["parameterValues"]) == {"a", "b"}  # type: ignore[index,call-overload]


def test_an_amount_that_is_none_fails_its_task() -> None:
    inputs = seen("resources-and-variables", "add", cpu="many")
    with pytest.raises(UnresolvedInput) as failed:
        needs(step_of("resources-and-variables", "add")[1], inputs, path="add")
    assert failed.value.input_name == "resourceCpuLimit"


def test_the_settings_that_a_task_asks_for() -> None:
    started = launched(step_of("task-config", "configured")[1], Values(), path="configured")
    config = started.executor_input["inputs"]["parameterValues"]["config"]  # type: ignore[index,call-overload]
    assert config == {"env": [], "resources": {"limits": {}, "requests": {}}}


def test_the_settings_are_those_that_the_task_runs_with() -> None:
    leaf = step_of("task-config", "configured")[1]
    assert isinstance(leaf.work, PythonWork)
    texts = ResourceTexts(resource_cpu_limit="{{$.inputs.parameters['cpu']}}", resource_memory_request="1Gi")
    variables = {
        "RUN": "{{$.pipeline_job_uuid}}",
        "CPU": "{{$.inputs.parameters['cpu']}} cores",
        "MODE": "fast",
    }
    work = replace(leaf.work, resources=texts, environment=variables)
    started = launched(replace(leaf, work=work), Values(parameters={"cpu": "2"}), path="configured")
    assert started.environment == {"RUN": "r-1", "CPU": "2 cores", "MODE": "fast"}
    assert started.executor_input["inputs"]["parameterValues"]["config"] == {  # type: ignore[index,call-overload]
        "env": [{"name": name, "value": value} for name, value in started.environment.items()],
        "resources": {"limits": {"cpu": "2"}, "requests": {"memory": "1Gi"}},
    }


def test_packages_beyond_what_nodes_have() -> None:
    work = step_of("resources-and-variables", "with-packages")[1].work
    assert isinstance(work, PythonWork)
    assert work.packages == ("pandas==2.1", "six")
    assert work.pip_options == ("--index-url=https://index.example/simple", "--trusted-host=index.example")
    assert work.function == "with_packages"


@pytest.mark.parametrize(
    "uri", ["store://", "store://file/../admin.key", "store://file/" + "A" * 64, "store:x"]
)
def test_an_address_of_the_store_that_is_none_is_not_imported(uri: str) -> None:
    ir, platforms = compiled_documents(next(c.pipeline for c in CASES if c.name == "imported-constant"))
    [importer] = [one["importer"] for one in ir["deploymentSpec"]["executors"].values() if "importer" in one]
    importer["artifactUri"] = {"constant": uri}
    with pytest.raises(InvalidPipeline, match="64 hex digits"):
        read_program(ir, platforms)
    work = ImportWork(output="artifact", schema_title="system.Dataset", uri_input="uri")
    with pytest.raises(UnresolvedInput, match="no address of the artifact store"):
        imported(work, Values(parameters={"uri": uri}), path="importer")
    good = "store://tree/" + "0" * 64
    assert imported(work, Values(parameters={"uri": good}), path="importer") is not None


def test_what_an_importer_leaves() -> None:
    run = FakeRun(
        program=program("imported-parameter"), functions=functions(), parameters={"uri": "s3://other"}
    )
    run.run()
    assert run.rows["importer"].outputs.artifacts == {
        "artifact": ArtifactRef(
            name="artifact", uri="s3://other", schema_title="system.Dataset", metadata={"rows": 3, "by": "x"}
        )
    }
    work = step_of("imported-constant", "importer")[1].work
    assert isinstance(work, ImportWork)
    assert work.reimport
    with pytest.raises(InvalidPipeline):
        launched(step_of("imported-constant", "importer")[1], Values(), path="importer")
    assert (
        needs(step_of("imported-constant", "importer")[1], Values(), path="importer").resources == Resources()
    )


def started(*words: str, inputs: Values | None = None) -> Launch:
    ir = document({"x": task("leaf")}, {"leaf": leaf()})
    ir["components"]["leaf"]["inputDefinitions"] = {
        "parameters": {"n": {"parameterType": "LIST", "isOptional": True}},
        "artifacts": {"data": {"artifactType": {"schemaTitle": "system.Dataset"}, "isOptional": True}},
    }
    ir["components"]["leaf"]["outputDefinitions"] = {
        "artifacts": {"model": {"artifactType": {"schemaTitle": "system.Model"}}}
    }
    ir["deploymentSpec"]["executors"]["exec"]["container"] = {"image": "x", "args": list(words)}
    component = read_program(ir).root.steps[0].component
    assert isinstance(component, Leaf)
    assert isinstance(component.work, ContainerWork)
    return launched(component, inputs or Values(), path="loop[0].x")


@pytest.mark.parametrize(
    ("word", "wanted"),
    [
        ("{{$.pipeline_job_name}}", "job"),
        ("in {{$.pipeline_job_uuid}}!", "in r-1!"),
        ("{{$.pipeline_job_resource_name}}", "res"),
        ("{{$.pipeline_task_name}}", "x"),
        ("{{$.pipeline_task_uuid}}", "r-1/loop[0].x"),
        ("{{$.pipeline_root}}", "store://"),
        ("{{$.pipeline_job_create_time_utc}}", "c"),
        ("{{$.pipeline_job_schedule_time_utc}}", "s"),
        ("{{$.outputs.output_file}}", "/out/result.json"),
        ("{{$.outputs.output_metadata_uri}}", "/out/result.json"),
        ("{{$.inputs.parameters['n']}}", "[1, {}]"),
        ('{{$.inputs.parameters["n"]}}', "[1, {}]"),
        ("{{$.inputs.artifacts['data'].name}}", "d"),
        ("{{$.inputs.artifacts['data'].metadata['rows']}}", "7"),
        ("{{$.inputs.artifacts['data'].metadata}}", '{"rows": 7}'),
        ("{{$.outputs.artifacts['model'].name}}", "model"),
        ('{"Concat": ["a", 1, {"Concat": ["{{$.inputs.parameters[\'n\']}}"]}]}', "a1[1, {}]"),
        ('{"not": "a structure"}', '{"not": "a structure"}'),
        ("$(echo {{x}})", "$(echo {{x}})"),
    ],
)
def test_every_placeholder(word: str, wanted: str) -> None:
    data = ArtifactRef(name="d", uri="store://d", metadata={"rows": 7})
    inputs = Values(parameters={"n": [1, {}]}, artifacts={"data": (data,)})
    assert started(word, inputs=inputs).args == (wanted,)


def test_the_whole_executor_input_as_one_word() -> None:
    (word,) = started("{{$}}").args
    assert json.loads(word)["outputs"]["outputFile"] == "/out/result.json"


def test_a_value_is_not_expanded_again() -> None:
    inputs = Values(parameters={"n": ["{{$.pipeline_job_uuid}}"]})
    assert started("{{$.inputs.parameters['n']}}", inputs=inputs).args == ('["{{$.pipeline_job_uuid}}"]',)


def test_a_missing_input_outside_of_a_choice_fails_the_task() -> None:
    with pytest.raises(UnresolvedInput, match="not given"):
        started("{{$.inputs.parameters['n']}}")
    assert started('{"IfPresent": {"InputName": "n", "Then": "{{$.inputs.parameters[\'n\']}}"}}').args == ()


def test_a_task_as_the_scheduler_sees_it() -> None:
    step, component = step_of("resources-and-variables", "add")
    wanted = needs(component, seen("resources-and-variables", "add"), path="add")
    spec = task_spec(step, component, path="add", needs=wanted)  # type: ignore[arg-type]
    assert (spec.component, spec.task_class) == ("add", "other/add")
    assert spec.resources.gpus == 1
    assert spec.requirements.accelerator == "gpu"
    assert task_spec(step, component, path="add").resources.millicores == 1000  # type: ignore[arg-type]


def test_retries_of_a_task() -> None:
    step, component = step_of("retried", "add")
    spec = task_spec(step, component, path="add")  # type: ignore[arg-type]
    assert spec.retry.max_retries == 3
    assert [spec.retry.delay(n).total_seconds() for n in (1, 2, 9)] == [5.0, 7.5, 60.0]
