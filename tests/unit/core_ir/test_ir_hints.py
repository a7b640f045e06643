"""`platforms.nodewise`: read strictly, into what strategies look at."""

from datetime import timedelta
from typing import Any

import pytest

from nodewise.core.errors import InvalidPipeline, UnsupportedFeature
from nodewise.core.ir import read_program
from nodewise.core.model.task import (
    DataKind,
    DatasetFacts,
    ModelFacts,
    Preferences,
    Requirements,
    TaskKind,
    TaskSpec,
)
from tests.support.pipelines import compiled, hints
from tests.support.programs import spec_of

ONE = {"a": ()}


def spec_with(hint: dict[str, Any], **platforms: Any) -> TaskSpec:
    document = hints(a=hint)
    document["platforms"].update(platforms)
    return spec_of(read_program(compiled(tasks=ONE), document), "a")


def test_every_hint_of_an_executor_reaches_the_task() -> None:
    spec = spec_with(
        {
            "kind": "training",
            "taskClass": "mine",
            "timeoutSeconds": 1.5,
            "dataset": {
                "name": "digits", "kind": "images", "samples": 10.0, "features": 3, "classes": 2,
                "types": {"float64": 3.0}, "sizeBytes": 99, "normalised": False,
            },
            "model": {"type": "NN", "parameters": {"epochs": 3.0, "layers": [10.0, 5], "act": "relu", "bias": True, "x": None}},
            "requirements": {
                "nodes": ["n1"], "architectures": ["arm64"], "workerTypes": ["high-cpu"], "accelerator": "gpu",
                "labels": {"zone": "a"},
            },
            "preferences": {"nodes": ["n2"], "accelerator": "tpu", "labels": {"disk": "ssd"}},
        }
    )  # fmt: skip
    assert (spec.kind, spec.task_class, spec.timeout) == (TaskKind.TRAINING, "mine", timedelta(seconds=1.5))
    assert spec.dataset == DatasetFacts(
        name="digits", kind=DataKind.IMAGES, samples=10, features=3, classes=2, types={"float64": 3}, size_bytes=99,
        normalised=False,
    )  # fmt: skip
    assert spec.model == ModelFacts(
        type="nn", parameters={"epochs": 3, "layers": [10, 5], "act": "relu", "bias": True, "x": None}
    )
    assert spec.requirements == Requirements(
        nodes=("n1",), architectures=("arm64",), worker_types=("high-cpu",), accelerator="gpu", labels={"zone": "a"}
    )  # fmt: skip
    assert spec.preferences == Preferences(nodes=("n2",), accelerator="tpu", labels={"disk": "ssd"})  # type: ignore[arg-type]


def test_the_class_is_kind_and_model_or_kind_and_function() -> None:
    assert spec_with({"kind": "training", "model": {"type": "svm"}}).task_class == "training/svm"
    assert spec_with({"kind": "training"}).task_class == "training/a"
    assert spec_with({}).task_class == "other/a"


@pytest.mark.parametrize("place", ["config", "pipelineConfig"])
def test_a_pipelines_own_hints_are_read(place: str) -> None:
    section = {place: {"priority": 5, "deadlineSeconds": 60, "team": "x"}}
    for document in ({"nodewise": section}, {"platforms": {"nodewise": section}}):
        program = read_program(compiled(), document)
        assert (program.priority, program.deadline_seconds, program.team) == (5, 60.0, "x")


EXECUTOR = "platforms.nodewise.deploymentSpec.executors.exec-a"


@pytest.mark.parametrize(
    ("hint", "path"),
    [
        ({"nope": 1}, "nope"),
        ({"kind": "cooking"}, "kind"),
        ({"kind": 3}, "kind"),
        ({"taskClass": ""}, "taskClass"),
        ({"timeoutSeconds": 0}, "timeoutSeconds"),
        ({"timeoutSeconds": True}, "timeoutSeconds"),
        ({"dataset": []}, "dataset"),
        ({"dataset": {"rows": 1}}, "dataset.rows"),
        ({"dataset": {"samples": -1}}, "dataset.samples"),
        ({"dataset": {"samples": 1.5}}, "dataset.samples"),
        ({"dataset": {"types": {"int": "x"}}}, "dataset.types.int"),
        ({"dataset": {"normalised": "no"}}, "dataset.normalised"),
        ({"dataset": {"samples": 2**53, "features": 2**53}}, "dataset"),
        ({"model": {"parameters": {}}}, "model.type"),
        ({"model": {"type": "svm", "parameters": {"c": {}}}}, "model.parameters.c"),
        ({"model": {"type": "svm", "parameters": {"c": ["x"]}}}, "model.parameters.c"),
        ({"requirements": {"nodes": "n1"}}, "requirements.nodes"),
        ({"requirements": {"node": "n1"}}, "requirements.node"),
        ({"preferences": {"labels": {"a": 1}}}, "preferences.labels"),
    ],
)
def test_a_wrong_hint_is_refused_with_its_place(hint: dict[str, Any], path: str) -> None:
    with pytest.raises(InvalidPipeline) as refusal:
        spec_with(hint)
    assert refusal.value.path == f"{EXECUTOR}.{path}"


@pytest.mark.parametrize(
    ("section", "path"),
    [
        ({"config": {"priority": "high"}}, "config.priority"),
        ({"config": {"priority": 10**9}}, "config.priority"),
        ({"config": {"deadlineSeconds": -1}}, "config.deadlineSeconds"),
        ({"config": {"team": "x" * 65}}, "config.team"),
        ({"config": {"queue": "x"}}, "config.queue"),
        ({"config": {"priority": 1}, "pipelineConfig": {"priority": 2}}, "pipelineConfig"),
        ({"extra": 1}, "extra"),
        ({"deploymentSpec": {"executors": {"exec-zzz": {}}}}, "deploymentSpec.executors.exec-zzz"),
        ({"deploymentSpec": 3}, "deploymentSpec"),
    ],
)
def test_a_wrong_section_is_refused_with_its_place(section: dict[str, Any], path: str) -> None:
    with pytest.raises(InvalidPipeline) as refusal:
        read_program(compiled(), {"platforms": {"nodewise": section}})
    assert refusal.value.path == f"platforms.nodewise.{path}"


def kubernetes(**executor: Any) -> dict[str, Any]:
    return {"deploymentSpec": {"executors": {"exec-a": executor}}}


def test_our_requirements_come_before_those_of_kubernetes() -> None:
    selector = {"labels": {"kubernetes.io/hostname": "n1", "kubernetes.io/arch": "arm64", "disk": "hdd"}}
    spec = spec_with(
        {"requirements": {"nodes": ["n2"], "labels": {"disk": "ssd"}}, "timeoutSeconds": 5},
        kubernetes=kubernetes(nodeSelector=selector, activeDeadlineSeconds=9),
    )
    assert (spec.requirements.nodes, spec.requirements.architectures) == (("n2",), ("arm64",))
    assert spec.requirements.labels == {"disk": "ssd"}
    assert spec.timeout == timedelta(seconds=5)


def test_what_concerns_pods_only_is_ignored() -> None:
    assert spec_with({}, kubernetes=kubernetes(tolerations=[{}], imagePullPolicy="Always")).timeout is None


@pytest.mark.parametrize("feature", ["secretAsEnv", "pvcMount", "nodeAffinity", "somethingNew"])
def test_what_a_task_would_miss_is_refused(feature: str) -> None:
    with pytest.raises(UnsupportedFeature) as refusal:
        spec_with({}, kubernetes=kubernetes(**{feature: []}))
    assert refusal.value.path == f"platforms.kubernetes.deploymentSpec.executors.exec-a.{feature}"


def of_the_whole_run(**config: Any) -> dict[str, Any]:
    """What KFP compiles of `dsl.PipelineConfig`."""
    return {"pipelineConfig": config}


def test_how_long_kfp_keeps_a_workflow_concerns_kfp_only() -> None:
    assert spec_with({}, kubernetes=of_the_whole_run(resourceTtlOnCompletion=5)).timeout is None


@pytest.mark.parametrize("setting", ["workspace", "activeDeadlineSeconds", "somethingNew"])
def test_what_a_whole_run_would_miss_is_refused(setting: str) -> None:
    with pytest.raises(UnsupportedFeature, match="run the pipeline on KFP") as refusal:
        spec_with({}, kubernetes=of_the_whole_run(**{setting: 60}))
    assert refusal.value.path == f"platforms.kubernetes.pipelineConfig.{setting}"


def test_a_node_selector_from_a_parameter_is_refused() -> None:
    with pytest.raises(UnsupportedFeature):
        spec_with({}, kubernetes=kubernetes(nodeSelector={"nodeSelectorJson": {}}))


def test_other_platforms_are_ignored() -> None:
    assert spec_with({}, other={"x": 1}).kind is TaskKind.OTHER
