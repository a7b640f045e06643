"""Rules that an IR can break, each with the place that the refusal names."""

from collections.abc import Callable
from typing import Any

import pytest

from nodewise.core.errors import InvalidPipeline, UnsupportedFeature
from nodewise.core.ir import Values, read_program
from nodewise.core.ir.launch import Locations, launch
from nodewise.core.ir.tree import Constant
from nodewise.core.model.component import ContainerWork, Text
from nodewise.core.model.resources import Resources
from tests.support.dynamic_runs import FakeRun
from tests.support.kfp_pipelines import chain, compiled_by_kfp
from tests.support.pipelines import compiled, hints
from tests.support.programs import born, job_of, leaf_of, spec_of, step_of

Edit = Callable[[dict[str, Any]], Any]


@pytest.fixture
def ir() -> dict[str, Any]:
    return compiled_by_kfp(chain)[0]


def tasks(ir: dict[str, Any]) -> dict[str, Any]:
    return ir["root"]["dag"]["tasks"]  # type: ignore[no-any-return]


def container(ir: dict[str, Any], task: str = "fit") -> dict[str, Any]:
    return ir["deploymentSpec"]["executors"][f"exec-{task}"]["container"]  # type: ignore[no-any-return]


def parameter(ir: dict[str, Any], name: str = "rows") -> dict[str, Any]:
    return tasks(ir)["fit"]["inputs"]["parameters"][name]  # type: ignore[no-any-return]


CONSTANT = {"runtimeValue": {"constant": 3}}
FIT = "root.dag.tasks.fit"
RULES: list[tuple[str, Edit, str]] = [
    ("unknown field", lambda ir: ir.update(extra=1), "extra"),
    ("deep unknown field", lambda ir: tasks(ir)["fit"].update(nope=1), f"{FIT}.nope"),
    ("unknown field of an executor", lambda ir: container(ir).update(nope=1), "deploymentSpec.executors.exec-fit.container.nope"),
    ("twice in two spellings", lambda ir: ir.update(schema_version="2.1.0"), "schema_version"),
    ("object for a list", lambda ir: tasks(ir)["fit"].update(dependentTasks={}), f"{FIT}.dependentTasks"),
    ("number for text", lambda ir: tasks(ir)["fit"].update(dependentTasks=[1]), f"{FIT}.dependentTasks[0]"),
    ("list for an object", lambda ir: ir.update(root=[]), "root"),
    ("null in a map", lambda ir: tasks(ir).update(fit=None), "root.dag.tasks.fit"),
    ("text for a flag", lambda ir: tasks(ir)["fit"].update(cachingOptions={"enableCache": "yes"}), f"{FIT}.cachingOptions.enableCache"),
    ("unknown type", lambda ir: ir["root"]["inputDefinitions"]["parameters"]["rows"].update(parameterType="X"), "root.inputDefinitions.parameters.rows.parameterType"),
    ("no type", lambda ir: ir["root"]["inputDefinitions"]["parameters"]["rows"].pop("parameterType"), "root.inputDefinitions.parameters.rows.parameterType"),
    ("another version", lambda ir: ir.update(schemaVersion="2.0.0"), "schemaVersion"),
    ("no version", lambda ir: ir.pop("schemaVersion"), "schemaVersion"),
    ("no name", lambda ir: ir.update(pipelineInfo={}), "pipelineInfo.name"),
    ("no tasks", lambda ir: ir["root"].update(dag={}), "root.dag.tasks"),
    ("no root", lambda ir: ir.pop("root"), "root.dag.tasks"),
    ("unknown component", lambda ir: tasks(ir)["fit"]["componentRef"].update(name="x"), f"{FIT}.componentRef.name"),
    ("unknown executor", lambda ir: ir["deploymentSpec"]["executors"].pop("exec-fit"), "components.comp-fit.executorLabel"),
    ("executor without a container", lambda ir: ir["deploymentSpec"]["executors"].update({"exec-fit": {}}), "deploymentSpec.executors.exec-fit"),
    ("unknown dependency", lambda ir: tasks(ir)["fit"].update(dependentTasks=["prepare", "x"]), f"{FIT}.dependentTasks[1]"),
    ("unknown producer", lambda ir: parameter(ir)["taskOutputParameter"].update(producerTask="x"), f"{FIT}.inputs.parameters.rows.taskOutputParameter.producerTask"),
    ("unknown output", lambda ir: parameter(ir)["taskOutputParameter"].update(outputParameterKey="x"), f"{FIT}.inputs.parameters.rows.taskOutputParameter.outputParameterKey"),
    ("unknown output artifact", lambda ir: tasks(ir)["fit"]["inputs"]["artifacts"]["data"]["taskOutputArtifact"].update(outputArtifactKey="x"), f"{FIT}.inputs.artifacts.data.taskOutputArtifact.outputArtifactKey"),
    ("unknown run parameter", lambda ir: tasks(ir)["fit"]["inputs"]["parameters"].update(rows={"componentInputParameter": "x"}), f"{FIT}.inputs.parameters.rows.componentInputParameter"),
    ("unknown input artifact", lambda ir: tasks(ir)["fit"]["inputs"]["artifacts"].update(x={}), f"{FIT}.inputs.artifacts.x"),
    ("missing input", lambda ir: tasks(ir)["fit"]["inputs"].pop("parameters"), f"{FIT}.inputs.parameters.rows"),
    ("missing input artifact", lambda ir: tasks(ir)["fit"]["inputs"].pop("artifacts"), f"{FIT}.inputs.artifacts.data"),
    ("input without a source", lambda ir: tasks(ir)["fit"]["inputs"]["parameters"].update(rows={}), f"{FIT}.inputs.parameters.rows"),
    ("constant of another type", lambda ir: tasks(ir)["fit"]["inputs"]["parameters"].update(rows={"runtimeValue": {"constant": "3"}}), f"{FIT}.inputs.parameters.rows.runtimeValue.constant"),
    ("fraction for an integer", lambda ir: tasks(ir)["fit"]["inputs"]["parameters"].update(rows={"runtimeValue": {"constant": 3.5}}), f"{FIT}.inputs.parameters.rows.runtimeValue.constant"),
    ("source of another type", lambda ir: tasks(ir)["fit"]["inputs"]["parameters"].update(rows={"componentInputParameter": "name"}), f"{FIT}.inputs.parameters.rows.componentInputParameter"),
    ("artifact of another type", lambda ir: ir["components"]["comp-fit"]["inputDefinitions"]["artifacts"]["data"]["artifactType"].update(schemaTitle="system.Model"), f"{FIT}.inputs.artifacts.data.taskOutputArtifact"),
    ("default of another type", lambda ir: ir["root"]["inputDefinitions"]["parameters"]["rows"].update(defaultValue="x"), "root.inputDefinitions.parameters.rows.defaultValue"),
    ("reference to nothing", lambda ir: tasks(ir)["prepare"]["inputs"]["parameters"].update(name={"runtimeValue": {"constant": "{{$.inputs.parameters['x']}}"}}), "root.dag.tasks.prepare.inputs.parameters.name.runtimeValue.constant"),
    ("reference to itself", lambda ir: tasks(ir)["prepare"]["inputs"]["parameters"].update(name={"runtimeValue": {"constant": "{{$.inputs.parameters['name']}}"}}), "root.dag.tasks.prepare.inputs.parameters.name.runtimeValue.constant"),
    ("no function", lambda ir: container(ir).update(args=["--executor_input", "{{$}}"]), "deploymentSpec.executors.exec-fit.container.args"),
    ("a function that is none", lambda ir: container(ir).update(args=["--function_to_execute", "os.system"]), "deploymentSpec.executors.exec-fit.container.args"),
    ("a pip line with a loose quote", lambda ir: container(ir)["command"].insert(0, "pip install 'kfp"), "deploymentSpec.executors.exec-fit.container.command"),
    ("a monstrous pip line", lambda ir: container(ir)["command"].insert(0, "pip install " + "kfp " * 9000), "deploymentSpec.executors.exec-fit.container.command"),
    ("cpu that is none", lambda ir: container(ir).update(resources={"resourceCpuLimit": "many"}), "deploymentSpec.executors.exec-fit.container.resources.resourceCpuLimit"),
    ("memory that is none", lambda ir: container(ir).update(resources={"resourceMemoryRequest": "4Qi"}), "deploymentSpec.executors.exec-fit.container.resources.resourceMemoryRequest"),
    ("negative cpu", lambda ir: container(ir).update(resources={"cpuLimit": -1.0}), "deploymentSpec.executors.exec-fit.container.resources.resourceCpuLimit"),
    ("gpus that are none", lambda ir: container(ir).update(resources={"accelerator": {"type": "gpu", "resourceCount": "x"}}), "deploymentSpec.executors.exec-fit.container.resources.accelerator.resourceCount"),
    ("a variable without a name", lambda ir: container(ir).update(env=[{"value": "x"}]), "deploymentSpec.executors.exec-fit.container.env[0].name"),
    ("negative retries", lambda ir: tasks(ir)["fit"].update(retryPolicy={"maxRetryCount": -1}), f"{FIT}.retryPolicy.maxRetryCount"),
    ("retries beyond any number", lambda ir: tasks(ir)["fit"].update(retryPolicy={"maxRetryCount": 10**12}), f"{FIT}.retryPolicy.maxRetryCount"),
    ("a huge factor", lambda ir: tasks(ir)["fit"].update(retryPolicy={"maxRetryCount": 1, "backoffFactor": 1e300}), f"{FIT}.retryPolicy.backoffFactor"),
    ("a back-off of a century", lambda ir: tasks(ir)["fit"].update(retryPolicy={"backoffDuration": "3153600000s"}), f"{FIT}.retryPolicy.backoffDuration"),
    ("a task's name with a slash", lambda ir: tasks(ir).update({"../x": tasks(ir)["prepare"]}), "root.dag.tasks.../x"),
    ("an output's name with a slash", lambda ir: ir["components"]["comp-fit"]["outputDefinitions"]["parameters"].update({"../x": {"parameterType": "STRING"}}), "components.comp-fit.outputDefinitions.parameters.../x"),
    ("a final status for a number", lambda ir: tasks(ir)["fit"]["inputs"]["parameters"].update(rows={"taskFinalStatus": {"producerTask": "prepare"}}), f"{FIT}.inputs.parameters.rows.taskFinalStatus"),
    ("a number for a final status", lambda ir: ir["components"]["comp-fit"]["inputDefinitions"]["parameters"]["rows"].update(parameterType="TASK_FINAL_STATUS"), f"{FIT}.inputs.parameters.rows.taskOutputParameter"),
    ("a loop over no input", lambda ir: tasks(ir)["fit"].update(artifactIterator={"itemInput": "x"}), f"{FIT}.artifactIterator.items.inputArtifact"),
    ("an accelerator from nothing", lambda ir: container(ir).update(resources={"accelerator": {"resourceType": "{{$.inputs.parameters['x']}}"}}), "deploymentSpec.executors.exec-fit.container.resources"),
    ("one of nothing", lambda ir: ir["root"]["dag"].update(outputs={"parameters": {"x": {"valueFromOneof": {"parameterSelectors": []}}}}), "root.dag.outputs.parameters.x"),
    ("one of unknown tasks", lambda ir: ir["root"]["dag"].update(outputs={"artifacts": {"x": {"artifactSelectors": [{}, {}]}}}), "root.dag.outputs.artifacts.x"),
]  # fmt: skip


@pytest.mark.parametrize(("edit", "path"), [rule[1:] for rule in RULES], ids=[rule[0] for rule in RULES])
def test_a_broken_rule_is_refused_with_its_place(ir: dict[str, Any], edit: Edit, path: str) -> None:
    edit(ir)
    with pytest.raises(InvalidPipeline) as refusal:
        read_program(ir)
    assert refusal.value.path == path
    assert not isinstance(refusal.value, UnsupportedFeature)


def test_a_selector_beyond_what_kfp_writes_is_refused(ir: dict[str, Any]) -> None:
    parameter(ir).update(parameterExpressionSelector="x")
    with pytest.raises(UnsupportedFeature) as refusal:
        read_program(ir)
    assert refusal.value.path == f"{FIT}.inputs.parameters.rows.parameterExpressionSelector"


def test_an_input_that_only_placeholders_need_is_read_and_not_passed(ir: dict[str, Any]) -> None:
    tasks(ir)["fit"]["inputs"]["parameters"].update(x=CONSTANT)
    container(ir)["env"] = [{"name": "A", "value": "{{$.inputs.parameters['x']}}"}]
    program = read_program(ir)
    assert step_of(program, "fit").parameters["x"].source == Constant(value=3)
    started = launch(job_of(leaf_of(program, "fit"), Values(parameters={"x": 3, "rows": 1})), Locations())
    assert started.environment == {"A": "3"}
    assert started.executor_input["inputs"]["parameterValues"] == {"rows": 1}  # type: ignore[index,call-overload]


def test_a_variable_may_say_which_run_it_is(ir: dict[str, Any]) -> None:
    container(ir)["env"] = [{"name": "A", "value": "{{$.pipeline_job_name}}"}]
    job = job_of(leaf_of(read_program(ir), "fit"), Values(parameters={"rows": 1}))
    assert launch(job, Locations()).environment == {"A": "job"}


def test_a_list_of_artifacts_takes_a_single_one(ir: dict[str, Any]) -> None:
    ir["components"]["comp-fit"]["inputDefinitions"]["artifacts"]["data"].update(isArtifactList=True)
    run = FakeRun(program=read_program(ir))
    assert run.run().outcome == "SUCCEEDED"
    assert [artifact.name for artifact in run.seen["fit"].artifacts["data"]] == ["train"]


def test_a_program_of_its_own_is_read_word_by_word(ir: dict[str, Any]) -> None:
    words = ["python3", "-m", "kfp.dsl.executor_main"]
    container(ir).update(command=words)
    work = leaf_of(read_program(ir), "fit").work
    assert isinstance(work, ContainerWork)
    assert [argument.text for argument in work.command if isinstance(argument, Text)] == words
    assert work.image == "python:3.11"


def test_a_cycle_is_shown() -> None:
    ir = compiled(tasks={"a": ["c"], "b": ["a"], "c": ["b"], "d": ["a"], "e": []})
    with pytest.raises(InvalidPipeline, match="a needs c needs b needs a"):
        read_program(ir)


def test_a_task_cannot_need_itself() -> None:
    with pytest.raises(InvalidPipeline, match="a needs a") as refusal:
        read_program(compiled(tasks={"a": ["a"]}))
    assert refusal.value.path == "root.dag.tasks"


def test_too_many_tasks_are_refused() -> None:
    ir = compiled(tasks={f"t{number}": [] for number in range(4)})
    assert len(read_program(ir, max_instances=4).root.steps) == 4
    with pytest.raises(InvalidPipeline, match="more than 3 tasks") as refusal:
        read_program(ir, max_instances=3)
    assert refusal.value.path.startswith("root.dag.tasks")


def test_a_long_chain_is_read_in_order() -> None:
    chain = {f"t{number:04}": ([f"t{number - 1:04}"] if number else []) for number in range(2000)}
    assert [step.name for step in read_program(compiled(tasks=chain)).root.steps] == sorted(chain)


def test_snake_case_is_read_too(ir: dict[str, Any]) -> None:
    ir["schema_version"] = ir.pop("schemaVersion")
    ir["deployment_spec"] = ir.pop("deploymentSpec")
    assert len(read_program(ir).root.steps) == 3


def test_deprecated_amounts_are_read_where_there_is_no_text(ir: dict[str, Any]) -> None:
    container(ir)["resources"] = {
        "cpuRequest": 0.1,
        "memoryRequest": 1.0,
        "accelerator": {"type": "tpu", "count": "2"},
    }
    spec = spec_of(read_program(ir), "fit")
    assert spec.resources == Resources(millicores=100, memory_mib=954, gpus=2)
    assert spec.requirements.accelerator == "tpu"


def test_a_whole_double_is_an_integer(ir: dict[str, Any]) -> None:
    tasks(ir)["fit"]["inputs"]["parameters"]["rows"] = {"runtimeValue": {"constant": 3.0}}
    assert repr(step_of(read_program(ir), "fit").parameters["rows"].source) == "Constant(value=3)"


def test_a_shared_executor_gives_its_hints_to_each_task() -> None:
    ir = compiled(tasks={"a": [], "b": []})
    ir["root"]["dag"]["tasks"]["b"]["componentRef"]["name"] = "comp-a"
    read = read_program(ir, hints(a={"kind": "training"}))
    assert {task.spec.kind for task in born(read).values()} == {"training"}
    assert leaf_of(read, "a") is leaf_of(read, "b")
