"""Rules that an IR can break, each with the place that the refusal names."""

from collections.abc import Callable
from typing import Any

import pytest

from nodewise.core.errors import InvalidPipeline, UnsupportedFeature
from nodewise.core.ir import read_pipeline
from nodewise.core.model.resources import Resources
from tests.support.kfp_pipelines import chain, compiled_by_kfp
from tests.support.pipelines import compiled, hints

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
    ("unknown input", lambda ir: tasks(ir)["fit"]["inputs"]["parameters"].update(x=CONSTANT), f"{FIT}.inputs.parameters.x"),
    ("unknown input artifact", lambda ir: tasks(ir)["fit"]["inputs"]["artifacts"].update(x={}), f"{FIT}.inputs.artifacts.x"),
    ("missing input", lambda ir: tasks(ir)["fit"]["inputs"].pop("parameters"), f"{FIT}.inputs.parameters.rows"),
    ("missing input artifact", lambda ir: tasks(ir)["fit"]["inputs"].pop("artifacts"), f"{FIT}.inputs.artifacts.data"),
    ("input without a source", lambda ir: tasks(ir)["fit"]["inputs"]["parameters"].update(rows={}), f"{FIT}.inputs.parameters.rows"),
    ("constant of another type", lambda ir: tasks(ir)["fit"]["inputs"]["parameters"].update(rows={"runtimeValue": {"constant": "3"}}), f"{FIT}.inputs.parameters.rows.runtimeValue.constant"),
    ("fraction for an integer", lambda ir: tasks(ir)["fit"]["inputs"]["parameters"].update(rows={"runtimeValue": {"constant": 3.5}}), f"{FIT}.inputs.parameters.rows.runtimeValue.constant"),
    ("source of another type", lambda ir: tasks(ir)["fit"]["inputs"]["parameters"].update(rows={"componentInputParameter": "name"}), f"{FIT}.inputs.parameters.rows.componentInputParameter"),
    ("artifact of another type", lambda ir: ir["components"]["comp-fit"]["inputDefinitions"]["artifacts"]["data"]["artifactType"].update(schemaTitle="system.Model"), f"{FIT}.inputs.artifacts.data.taskOutputArtifact"),
    ("default of another type", lambda ir: ir["root"]["inputDefinitions"]["parameters"]["rows"].update(defaultValue="x"), "root.inputDefinitions.parameters.rows.defaultValue"),
    ("reference to nothing", lambda ir: tasks(ir)["prepare"]["inputs"]["parameters"].update(name={"runtimeValue": {"constant": "{{$.inputs.parameters['x']}}"}}), "root.dag.tasks.prepare.inputs.parameters.name"),
    ("reference to itself", lambda ir: tasks(ir)["prepare"]["inputs"]["parameters"].update(name={"runtimeValue": {"constant": "{{$.inputs.parameters['name']}}"}}), "root.dag.tasks.prepare.inputs.parameters.name"),
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
    ("a huge factor", lambda ir: tasks(ir)["fit"].update(retryPolicy={"maxRetryCount": 1, "backoffFactor": 1e300}), f"{FIT}.retryPolicy.backoffFactor"),
    ("a back-off of a century", lambda ir: tasks(ir)["fit"].update(retryPolicy={"backoffDuration": "3153600000s"}), f"{FIT}.retryPolicy.backoffDuration"),
    ("a task's name with a slash", lambda ir: tasks(ir).update({"../x": tasks(ir)["prepare"]}), "root.dag.tasks.../x"),
    ("an output's name with a slash", lambda ir: ir["components"]["comp-fit"]["outputDefinitions"]["parameters"].update({"../x": {"parameterType": "STRING"}}), "components.comp-fit.outputDefinitions.parameters.../x"),
]  # fmt: skip


@pytest.mark.parametrize(("edit", "path"), [rule[1:] for rule in RULES], ids=[rule[0] for rule in RULES])
def test_a_broken_rule_is_refused_with_its_place(ir: dict[str, Any], edit: Edit, path: str) -> None:
    edit(ir)
    with pytest.raises(InvalidPipeline) as refusal:
        read_pipeline(ir)
    assert refusal.value.path == path
    assert not isinstance(refusal.value, UnsupportedFeature)


@pytest.mark.parametrize(
    ("edit", "path"),
    [
        (lambda ir: tasks(ir)["fit"]["inputs"]["parameters"].update(rows={"taskFinalStatus": {"producerTask": "prepare"}}), f"{FIT}.inputs.parameters.rows.taskFinalStatus"),
        (lambda ir: parameter(ir).update(parameterExpressionSelector="x"), f"{FIT}.inputs.parameters.rows.parameterExpressionSelector"),
        (lambda ir: tasks(ir)["fit"].update(artifactIterator={"itemInput": "x"}), f"{FIT}.artifactIterator"),
        (lambda ir: container(ir).update(env=[{"name": "A", "value": "{{$.pipeline_job_name}}"}]), "deploymentSpec.executors.exec-fit.container.env[0].value"),
        (lambda ir: container(ir).update(resources={"accelerator": {"resourceType": "{{$.inputs.parameters['x']}}"}}), "deploymentSpec.executors.exec-fit.container.resources.accelerator.type"),
        (lambda ir: ir["components"]["comp-fit"]["inputDefinitions"]["parameters"]["rows"].update(parameterType="TASK_FINAL_STATUS"), "components.comp-fit.inputDefinitions.parameters.rows.parameterType"),
        (lambda ir: ir["components"]["comp-fit"]["inputDefinitions"]["artifacts"]["data"].update(isArtifactList=True), "components.comp-fit.inputDefinitions.artifacts.data.isArtifactList"),
        (lambda ir: ir["root"]["dag"].update(outputs={"parameters": {"x": {"valueFromOneof": {"parameterSelectors": []}}}}), "root.dag.outputs.parameters.x.valueFromOneof"),
        (lambda ir: ir["root"]["dag"].update(outputs={"artifacts": {"x": {"artifactSelectors": [{}, {}]}}}), "root.dag.outputs.artifacts.x.artifactSelectors"),
        (lambda ir: container(ir).update(command=["python3", "-m", "kfp.dsl.executor_main"]), "deploymentSpec.executors.exec-fit.container.command"),
    ],
)  # fmt: skip
def test_an_unsupported_feature_is_refused_with_its_place(ir: dict[str, Any], edit: Edit, path: str) -> None:
    edit(ir)
    with pytest.raises(UnsupportedFeature) as refusal:
        read_pipeline(ir)
    assert refusal.value.path == path


def test_a_cycle_is_shown() -> None:
    ir = compiled(tasks={"a": ["c"], "b": ["a"], "c": ["b"], "d": ["a"], "e": []})
    with pytest.raises(InvalidPipeline, match="a needs c needs b needs a"):
        read_pipeline(ir)


def test_a_task_cannot_need_itself() -> None:
    with pytest.raises(InvalidPipeline, match="a needs a"):
        read_pipeline(compiled(tasks={"a": ["a"]}))


def test_too_many_tasks_are_refused() -> None:
    ir = compiled(tasks={f"t{number}": [] for number in range(4)})
    assert len(read_pipeline(ir, max_tasks=4).tasks) == 4
    with pytest.raises(InvalidPipeline, match="at most 3"):
        read_pipeline(ir, max_tasks=3)


def test_a_long_chain_is_read_in_order() -> None:
    chain = {f"t{number:04}": ([f"t{number - 1:04}"] if number else []) for number in range(2000)}
    assert list(read_pipeline(compiled(tasks=chain)).tasks) == sorted(chain)


def test_snake_case_is_read_too(ir: dict[str, Any]) -> None:
    ir["schema_version"] = ir.pop("schemaVersion")
    ir["deployment_spec"] = ir.pop("deploymentSpec")
    assert len(read_pipeline(ir).tasks) == 3


def test_deprecated_amounts_are_read_where_there_is_no_text(ir: dict[str, Any]) -> None:
    container(ir)["resources"] = {
        "cpuRequest": 0.1,
        "memoryRequest": 1.0,
        "accelerator": {"type": "tpu", "count": "2"},
    }
    read = read_pipeline(ir).tasks
    spec = next(task.spec for path, task in read.items() if path == "fit")
    assert spec.resources == Resources(millicores=100, memory_mib=954, gpus=2)
    assert spec.requirements.accelerator == "tpu"


def test_a_whole_double_is_an_integer(ir: dict[str, Any]) -> None:
    tasks(ir)["fit"]["inputs"]["parameters"]["rows"] = {"runtimeValue": {"constant": 3.0}}
    fit = next(task for path, task in read_pipeline(ir).tasks.items() if path == "fit")
    assert repr(fit.parameter_sources["rows"]) == "FromConstant(value=3)"


def test_a_shared_executor_gives_its_hints_to_each_task() -> None:
    ir = compiled(tasks={"a": [], "b": []})
    ir["root"]["dag"]["tasks"]["b"]["componentRef"]["name"] = "comp-a"
    read = read_pipeline(ir, hints(a={"kind": "training"}))
    assert {task.spec.kind for task in read.tasks.values()} == {"training"}
