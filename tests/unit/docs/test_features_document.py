"""docs/features.md is held to the corpus, which runs on both engines, and to the reader."""

import re
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import json_format
from kfp.pipeline_spec import pipeline_spec_pb2 as pb

from nodewise.core.engine.kubeflow.reading import readable
from nodewise.core.errors import InvalidPipeline, UnsupportedFeature
from nodewise.core.ir import read_program
from tests.integration.kubeflow.test_kubeflow_corpus import NOT_ON_THE_TEST_SERVER, REFUSED_BY_KFP
from tests.support.dynamic_runs import compiled_documents
from tests.support.kfp_pipelines import SUPPORTED, compiled_by_kfp, input_artifact
from tests.support.kfp_server.executors import KNOWN_FIELDS
from tests.support.pipelines import compiled
from tests.unit.core_ir.corpus.every import CASES

TEXT = (Path(__file__).parents[3] / "docs" / "features.md").read_text(encoding="utf-8")
AGENTS, KUBEFLOW, REFUSED = 2, 3, 4
# What holds the parts together: no feature, and in every pipeline.
FRAME = {
    "root", "components", "deploymentSpec", "executors", "container", "importer", "componentRef", "executorLabel", "tasks",
    "outputs", "inputs", "parameters", "artifacts", "inputDefinitions", "outputDefinitions", "name", "parameterType",
    "artifactType", "schemaVersion", "sdkVersion", "pipelineInfo", "runtimeValue", "producerTask", "outputParameterKey",
    "outputArtifactKey", "producerSubtask", "iteratorPolicy", "triggerPolicy", "strategy", "retryPolicy", "cachingOptions",
    "items", "itemInput", "resources", "type", "count", "value",
}  # fmt: skip
OF_A_RUN = {"workspace", "activeDeadlineSeconds", "resourceTtlOnCompletion", "resourceTtlOnSuccess", "resourceTtlOnFailure"}  # fmt: skip


def rows(heading: str) -> list[list[str]]:
    """The cells of the table under that heading."""
    section = TEXT.split(f"## {heading}\n")[1].split("\n## ")[0]
    found = [line.strip("|").split("|") for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in row] for row in found[2:]]


def fields_of(row: list[str]) -> set[str]:
    return set(re.findall(r"`([\w.]+)`", row[1]))


PIPELINE_AND_TASK = rows("The pipeline") + rows("A task")
KUBERNETES = rows("What `kfp-kubernetes` says of it")


@cache
def fields_in_the_corpus() -> frozenset[str]:
    """All fields and names of choices that KFP's compiler writes of our pipelines."""
    documents = [compiled_documents(case.pipeline) for case in CASES]
    documents += [compiled_by_kfp(make) for make in SUPPORTED]
    found: set[str] = set()
    for ir, _ in documents:
        spec = json_format.ParseDict(ir, pb.PipelineSpec())
        found |= set(_fields(spec))
        deployment = json_format.MessageToDict(spec.deployment_spec)
        found |= set(_fields(json_format.ParseDict(deployment, pb.PipelineDeploymentConfig())))
    return frozenset(found)


def _fields(message: Any) -> Iterator[str]:
    for field, value in message.ListFields():
        yield field.camelcase_name
        if field.enum_type is not None:
            yield field.enum_type.values_by_number[value].name
        for inner in _messages(field, value):
            yield from _fields(inner)


def _messages(field: Any, value: Any) -> list[Any]:
    kind = field.message_type
    if kind is None or kind.full_name.startswith("google.protobuf"):
        return []
    if kind.GetOptions().map_entry:
        return list(value.values()) if kind.fields_by_name["value"].message_type else []
    return list(value) if field.is_repeated else [value]


def test_what_the_corpus_uses_has_its_row() -> None:
    named = set().union(*map(fields_of, PIPELINE_AND_TASK))
    assert fields_in_the_corpus() - FRAME - named == {"TASK_FINAL_STATUS"}


def test_what_a_row_says_to_run_is_in_the_corpus() -> None:
    of_agents = [row for row in PIPELINE_AND_TASK if row[AGENTS]]
    missing = {row[0]: fields_of(row) - fields_in_the_corpus() for row in of_agents}
    # A choice of our own, which KFP's compiler writes only for tasks that name their key.
    assert {name: fields for name, fields in missing.items() if fields} == {"caching": {"cacheKey"}}


def test_every_row_says_what_becomes_of_it() -> None:
    for row in PIPELINE_AND_TASK + KUBERNETES:
        assert len(row) == 5, row
        assert (row[AGENTS] and row[KUBEFLOW]) or row[REFUSED] or "KFP 2.17" in row[KUBEFLOW], row


def test_what_kfp_refuses_of_the_corpus_is_told() -> None:
    assert set(REFUSED_BY_KFP) == {"loop-over-artifacts"}
    (row,) = [row for row in PIPELINE_AND_TASK if "`artifactIterator`" in row[1]]
    assert "the run fails" in row[KUBEFLOW]
    assert set(NOT_ON_THE_TEST_SERVER) == {"sub-pipeline-tried-again"}


def of_kubernetes(field: str) -> Mapping[str, Any]:
    """A section that has it."""
    if field.startswith("pipelineConfig."):
        return {"kubernetes": {"pipelineConfig": {field.partition(".")[2]: 60}}}
    if field.startswith("resourceTtl"):
        return {"kubernetes": {"pipelineConfig": {field: 60}}}
    values = {"activeDeadlineSeconds": 60, "nodeSelector": {"labels": {"disk": "ssd"}}}
    return {"kubernetes": {"deploymentSpec": {"executors": {"exec-train": {field: values.get(field, [{}])}}}}}


CASES_OF_KUBERNETES = [(field, row) for row in KUBERNETES for field in sorted(fields_of(row))]


def test_all_that_kfp_kubernetes_knows_has_its_row() -> None:
    named = {field for field, _ in CASES_OF_KUBERNETES}
    assert {name for name in named if not name.startswith(("pipelineConfig.", "resourceTtl"))} == KNOWN_FIELDS
    assert {name.removeprefix("pipelineConfig.") for name in named} >= OF_A_RUN


@pytest.mark.parametrize(
    ("field", "row"), CASES_OF_KUBERNETES, ids=[field for field, _ in CASES_OF_KUBERNETES]
)
def test_a_section_of_kubernetes_is_read_as_told(field: str, row: list[str]) -> None:
    platforms = of_kubernetes(field)
    assert read_program(compiled(), readable(platforms))
    tolerated = field == "tolerations"
    if row[AGENTS] and (tolerated or "on agents" not in row[REFUSED]):
        assert read_program(compiled(), platforms)
        return
    with pytest.raises(UnsupportedFeature) as refusal:
        read_program(compiled(), platforms)
    assert refusal.value.path.endswith(field.removeprefix("pipelineConfig."))
    assert "on agents" in row[REFUSED]


def an_executor(**spec: Any) -> dict[str, Any]:
    ir = compiled()
    ir["deploymentSpec"]["executors"]["exec-train"] = spec
    return ir


REFUSED_ON_BOTH = {
    "root.inputDefinitions.artifacts": compiled_by_kfp(input_artifact)[0],
    "resolver": an_executor(resolver={"outputArtifactQueries": {}}),
    "customJob": an_executor(customJob={"customJob": {}}),
    "image": an_executor(container={"image": "argostub/createpvc"}),
}


@pytest.mark.parametrize("field", REFUSED_ON_BOTH)
def test_what_runs_on_neither_engine_is_refused_before(field: str) -> None:
    assert any(
        field in fields_of(row) and "on both engines" in row[REFUSED] and not row[AGENTS]
        for row in PIPELINE_AND_TASK
    )
    with pytest.raises(InvalidPipeline) as refusal:
        read_program(REFUSED_ON_BOTH[field], readable({}))
    assert field in refusal.value.path
