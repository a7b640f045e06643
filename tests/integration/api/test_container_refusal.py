"""Components that bring their own image are refused where no agent could ever run them, before anything ran."""

from typing import Any

import pytest
from sqlalchemy import Engine, select, update

from nodewise.core.db import schema
from nodewise.core.model.resources import Resources
from tests.integration.api.conftest import Api
from tests.support.pipelines import compiled
from tests.support.rows import insert_node

ROOMY = Resources(millicores=4000, memory_mib=4096)
FIELD = "body.pipeline_spec.deploymentSpec.executors.exec-train.container"


@pytest.fixture
def pipeline() -> dict[str, Any]:
    """A chain of three whose second one is a program in an image."""
    pipeline = compiled()
    pipeline["deploymentSpec"]["executors"]["exec-train"] = {
        "container": {"image": "alpine:3", "command": ["echo"], "args": ["hello"]}
    }
    return pipeline


def runs(engine: Engine) -> int:
    with engine.connect() as connection:
        return len(connection.execute(select(schema.runs.c.id)).all())


def with_node(database: Engine, name: str, **columns: object) -> None:
    with database.begin() as connection:
        insert_node(connection, name, ROOMY, **columns)


def test_a_container_is_refused_where_no_node_has_a_runtime(
    api: Api, engine: Engine, pipeline: dict[str, Any]
) -> None:
    with_node(engine, "plain")
    answer = api.submit(pipeline)
    (fault,) = api.refused(answer, 422)["errors"]
    assert fault["field"] == FIELD
    assert "NODEWISE_CONTAINER_RUNTIME" in fault["rule"]
    assert runs(engine) == 0


@pytest.mark.parametrize("columns", [{"state": "GONE"}, {"engine": "kubeflow"}])
def test_a_runtime_that_cannot_be_used_counts_for_nothing(
    api: Api, engine: Engine, pipeline: dict[str, Any], columns: dict[str, str]
) -> None:
    with_node(engine, "other", container_runtime="docker", **columns)
    assert api.fields(api.submit(pipeline)) == [FIELD]


def test_a_container_is_accepted_where_one_node_has_a_runtime(
    api: Api, engine: Engine, pipeline: dict[str, Any]
) -> None:
    with_node(engine, "plain")
    with_node(engine, "docked", container_runtime="docker")
    api.accepted(pipeline)
    found = {node["name"]: node["container_runtime"] for node in api.http.get("/v1/nodes").json()["items"]}
    assert found == {"plain": None, "docked": "docker"}


def test_a_repeated_submission_is_answered_although_the_runtime_left(
    api: Api, engine: Engine, pipeline: dict[str, Any]
) -> None:
    with_node(engine, "docked", container_runtime="docker")
    first = api.submit(pipeline, key="k")
    with engine.begin() as connection:
        connection.execute(update(schema.nodes).values(state="GONE"))
    second = api.submit(pipeline, key="k")
    assert (first.status_code, second.status_code) == (202, 200)


def test_python_components_need_no_runtime(api: Api) -> None:
    api.accepted()
