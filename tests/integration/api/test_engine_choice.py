"""Where a run goes: to the agents, or to Kubeflow Pipelines, if there is one."""

from collections.abc import Iterator

import pytest
from sqlalchemy import Engine

from nodewise.core.settings import Settings
from tests.integration.api.conftest import Api, running
from tests.support.pipelines import compiled
from tests.support.placing import all_rows

SECRET = {"secretAsEnv": [{"secretName": "s", "keyToEnv": [{"secretKey": "k", "envVar": "E"}]}]}


def with_kubernetes(config: dict[str, object]) -> dict[str, object]:
    ir = compiled()
    labels = ir["deploymentSpec"]["executors"]
    return {"platforms": {"kubernetes": {"deploymentSpec": {"executors": dict.fromkeys(labels, config)}}}}


@pytest.fixture
def with_kfp(settings: Settings) -> Iterator[Api]:
    """A gateway of a server that knows of a KFP (which it never asks itself)."""
    with running(settings.model_copy(update={"kfp_url": "http://kfp.invalid"})) as api:
        yield api


def test_without_a_kfp_the_engine_is_refused_with_its_field(api: Api) -> None:
    answer = api.submit(engine="kubeflow")
    assert api.fields(answer) == ["body.engine"]
    assert "NODEWISE_KFP_URL" in answer.json()["detail"]


def test_an_engine_that_nobody_knows_is_refused(api: Api) -> None:
    assert api.fields(api.submit(engine="airflow")) == ["body.engine"]


def test_a_run_says_where_it_runs(with_kfp: Api) -> None:
    assert with_kfp.accepted()["engine"] == "agents"
    run = with_kfp.accepted(engine="kubeflow")
    assert run["engine"] == "kubeflow"
    assert run["tasks"] == {"total": 3, "by_state": {"WAITING": 2, "READY": 1}}


def test_the_server_has_a_default(settings: Settings) -> None:
    chosen = settings.model_copy(update={"kfp_url": "http://kfp.invalid", "engine": "kubeflow"})
    with running(chosen) as api:
        assert api.accepted()["engine"] == "kubeflow"
        assert api.accepted(engine="agents")["engine"] == "agents"


def test_what_only_kubernetes_can_give_is_refused_by_the_agents_and_taken_for_kfp(with_kfp: Api) -> None:
    wanted = with_kubernetes(SECRET)
    refused = with_kfp.submit(platform_spec=wanted)
    assert "secretAsEnv" in with_kfp.fields(refused)[0]
    assert with_kfp.accepted(platform_spec=wanted, engine="kubeflow")["engine"] == "kubeflow"


def test_a_plan_is_made_for_the_nodes_of_the_engine(with_kfp: Api) -> None:
    body = {"pipeline_spec": compiled(), "engine": "kubeflow"}
    answer = with_kfp.http.post("/v1/plans", json=body)
    assert answer.status_code == 200, answer.text


def test_a_run_on_kubernetes_needs_no_kfp_and_waits_for_nodes_of_its_engine(api: Api, engine: Engine) -> None:
    run = api.accepted(engine="kubernetes")
    assert run["engine"] == "kubernetes"
    assert run["tasks"]["total"] == 3
    found = all_rows(engine, "SELECT DISTINCT spec -> 'requirements' ->> 'engine' FROM tasks")
    assert [tuple(row) for row in found] == [("kubernetes",)]


def test_components_with_their_own_image_need_no_runtime_of_an_agent_on_kubernetes(api: Api) -> None:
    ir = compiled()
    for executor in ir["deploymentSpec"]["executors"].values():
        executor["container"] = {"image": "busybox", "command": ["true"]}
    assert "container" in api.fields(api.submit(pipeline_spec=ir))[0]
    assert api.accepted(pipeline_spec=ir, engine="kubernetes")["engine"] == "kubernetes"
