"""Nodes, queue, names, data sets, summary, and what operators ask."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Engine, insert, text, update

from nodewise.core.cluster import save_observations
from nodewise.core.db import schema
from nodewise.core.lifecycle import RunState, TaskState
from nodewise.core.model.ids import NodeName
from nodewise.core.model.node import Figure, Observation
from nodewise.core.model.resources import Resources
from nodewise.core.settings import Settings
from tests.integration.api.conftest import Api, running
from tests.support.rows import NOW, insert_attempt, insert_node, insert_run, insert_task

SIZE = Resources(millicores=2000, memory_mib=1000, gpus=1)


def test_nodes_show_room_and_the_age_of_every_figure(api: Api, engine: Engine) -> None:
    with engine.begin() as connection:
        insert_node(connection, "n2", SIZE, state="GONE")
        insert_node(connection, "n1", SIZE, labels={"rack": "a"}, accelerator="gpu")
        connection.execute(
            update(schema.node_loads).where(schema.node_loads.c.node == "n1").values(
                booked_millicores=500, booked_memory_mib=100, running_tasks=1
            )
        )  # fmt: skip
    now = datetime.now(UTC)
    seen = Observation(
        available_memory_mib=Figure(value=900.0, measured_at=now),
        load1=Figure(value=0.5, measured_at=now - timedelta(seconds=600)),
    )
    save_observations(api.services.redis, {NodeName("n1"): seen}, now=now)
    first, second = api.http.get("/v1/nodes").json()["items"]
    assert (first["name"], first["state"], second["name"], second["state"]) == ("n1", "READY", "n2", "GONE")
    assert first["capacity"] == {"millicores": 2000, "memory_mib": 1000, "gpus": 1}
    assert first["booked"] == {"millicores": 500, "memory_mib": 100, "gpus": 0}
    assert first["free"] == {"millicores": 1500, "memory_mib": 900, "gpus": 1}
    assert (first["labels"], first["accelerator"], first["running_tasks"]) == ({"rack": "a"}, "gpu", 1)
    memory, load = first["observation"]["available_memory_mib"], first["observation"]["load1"]
    assert (memory["value"], memory["fresh"], load["fresh"]) == (900.0, True, False)
    assert load["age_seconds"] >= 600
    assert first["observation"]["cpu_utilisation"] is None
    assert second["observation"]["load1"] is None


def test_a_node_takes_nothing_new_while_it_is_cordoned(api: Api, engine: Engine) -> None:
    with engine.begin() as connection:
        insert_node(connection, "n1", SIZE)
    first = api.http.post("/v1/nodes/n1/cordon").json()
    assert first["name"] == "n1"
    again = api.http.post("/v1/nodes/n1/cordon").json()
    assert again["cordoned_at"] == first["cordoned_at"] is not None
    assert api.http.get("/v1/nodes").json()["items"][0]["cordoned_at"] == first["cordoned_at"]
    for _ in range(2):
        assert api.http.post("/v1/nodes/n1/uncordon").json()["cordoned_at"] is None
    for name in ("n9", "%00", "n1%2Fcordon"):
        assert api.http.post(f"/v1/nodes/{name}/cordon").status_code == 404


def test_the_queue_shows_the_admitted_in_their_order_then_the_ready(api: Api, engine: Engine) -> None:
    with engine.begin() as connection:
        run_id = insert_run(connection, name="wave", priority=4)
        insert_task(connection, run_id, "ready-late", ready_at=NOW + timedelta(seconds=1))
        insert_task(connection, run_id, "ready-early")
        insert_task(connection, run_id, "second", state=TaskState.ADMITTED, position=2)
        insert_task(connection, run_id, "first", state=TaskState.ADMITTED, position=1)
        insert_task(connection, run_id, "waiting", state=TaskState.WAITING, ready_at=None)
        insert_task(connection, run_id, "running", state=TaskState.RUNNING)
    queue = api.http.get("/v1/queue").json()
    assert queue["counts"] == {"WAITING": 1, "READY": 2, "ADMITTED": 2}
    assert [item["path"] for item in queue["items"]] == ["first", "second", "ready-early", "ready-late"]
    first = queue["items"][0]
    assert (first["run_name"], first["position"], first["priority"]) == ("wave", 1, 4)
    assert first["waited_seconds"] > 0
    assert first["resources"] == {"millicores": 100, "memory_mib": 10, "gpus": 0}


def test_the_queue_is_cut_at_200_but_counts_all(api: Api, engine: Engine) -> None:
    with engine.begin() as connection:
        run_id = insert_run(connection)
        for number in range(210):
            insert_task(connection, run_id, f"t{number}")
    queue = api.http.get("/v1/queue").json()
    assert (len(queue["items"]), queue["counts"]["READY"]) == (200, 210)


def test_what_waits_for_inputs_is_listed_by_run_with_what_it_waits_for(api: Api, engine: Engine) -> None:
    with engine.begin() as connection:
        newer = insert_run(connection, name="newer", submitted_at=NOW + timedelta(seconds=1))
        insert_task(connection, newer, "load", state=TaskState.READY)
        for number in range(7):
            task = f"fit{number}"
            insert_task(connection, newer, task, state=TaskState.WAITING, ordinal=number, upstream=["load"])
        older = insert_run(connection, name="older", submitted_at=NOW)
        insert_task(connection, older, "done", state=TaskState.SUCCEEDED)
        insert_task(connection, older, "live", state=TaskState.RUNNING, ordinal=1)
        both = ["done", "live"]
        insert_task(connection, older, "join", state=TaskState.WAITING, ordinal=2, upstream=both)
    queue = api.http.get("/v1/queue").json()
    assert [item["path"] for item in queue["items"]] == ["load"]
    first, second = queue["waiting"]
    assert (first["run_id"], first["run_name"], first["tasks"]) == (older, "older", 1)
    assert first["items"] == [{"path": "join", "waits_for": [{"path": "live", "state": "RUNNING"}]}]
    assert (second["run_name"], second["tasks"], queue["counts"]["WAITING"]) == ("newer", 7, 8)
    assert [item["path"] for item in second["items"]] == [f"fit{number}" for number in range(5)]


def test_of_many_runs_that_wait_for_inputs_the_oldest_are_listed(api: Api, engine: Engine) -> None:
    with engine.begin() as connection:
        for number in range(52):
            run_id = insert_run(connection, name=f"r{number}", submitted_at=NOW + timedelta(seconds=number))
            insert_task(connection, run_id, "t", state=TaskState.WAITING)
    queue = api.http.get("/v1/queue").json()
    assert [run["run_name"] for run in queue["waiting"]] == [f"r{number}" for number in range(50)]
    assert queue["counts"]["WAITING"] == 52


def test_policies_strategies_and_presets_are_listed_with_the_default(api: Api) -> None:
    policies = {item["name"]: item for item in api.http.get("/v1/policies").json()["items"]}
    assert {"fifo", "priority", "random", "shortest"} <= set(policies)
    assert [name for name, item in policies.items() if item["default"]] == [api.services.settings.policy]
    assert all(item["summary"] for item in policies.values())
    answer = api.http.get("/v1/strategies").json()
    assert [i["name"] for i in answer["items"] if i["default"]] == [api.services.settings.strategy]
    presets = {item["name"]: (item["policy"], item["strategy"]) for item in answer["presets"]}
    assert presets["fifo_greedy"] == ("fifo", "greedy")


def test_a_data_set_is_measured_and_registered(api: Api) -> None:
    params: dict[str, Any] = {
        "samples": 178,
        "features": 13,
        "classes": 3,
        "types": '{"float64": 13}',
        "normalised": False,
    }
    answer = api.http.put("/v1/datasets/wine", content=b"abc", params=params)
    assert answer.status_code == 200, answer.text
    registered = answer.json()
    assert (registered["size_bytes"], registered["samples"], registered["kind"]) == (3, 178, "tabular")
    assert (registered["types"], registered["normalised"]) == ({"float64": 13}, False)
    assert api.services.store.get_bytes(registered["uri"]) == b"abc"
    replaced = api.http.put("/v1/datasets/wine", content=b"abcd", params={"kind": "images"}).json()
    assert (replaced["size_bytes"], replaced["samples"], replaced["kind"]) == (4, None, "images")
    assert replaced["created_at"] == registered["created_at"]
    assert api.http.get("/v1/datasets").json()["items"] == [replaced]


@pytest.mark.parametrize(
    ("name", "params", "field"),
    [
        ("a b", {}, "path.name"),
        (".hidden", {}, "path.name"),
        ("x" * 129, {}, "path.name"),
        ("wine", {"samples": -1}, "query.samples"),
        ("wine", {"samples": 10**30}, "query.samples"),
        ("wine", {"features": 2**31}, "query.features"),
        ("wine", {"kind": "audio"}, "query.kind"),
        ("wine", {"sample": 178}, "query.sample"),
        ("wine", {"types": "nonsense"}, "query.types"),
        ("wine", {"types": "[1]"}, "query.types"),
        ("wine", {"types": '{"a": -1}'}, "query.types"),
        ("wine", {"types": '{"a\\u0000": 1}'}, "query.types"),
        ("wine", {"types": "[" * 1000}, "query.types"),
    ],
)
def test_bad_facts_of_a_data_set_are_refused(api: Api, name: str, params: dict[str, Any], field: str) -> None:
    assert api.fields(api.http.put(f"/v1/datasets/{name}", content=b"x", params=params)) == [field]
    assert api.http.get("/v1/datasets").json() == {"items": []}


def test_the_rule_for_names_of_data_sets_is_said_in_words(api: Api) -> None:
    problem = api.refused(api.http.put("/v1/datasets/a%20b", content=b"x"), 422)
    assert problem["detail"].startswith("path.name: must be 1 to 128 letters, digits, dots")


def test_an_empty_data_set_is_refused(api: Api) -> None:
    assert api.fields(api.http.put("/v1/datasets/wine", content=b"")) == ["body"]


def test_a_data_set_may_be_larger_than_other_bodies_but_not_than_its_limit(settings: Settings) -> None:
    with running(settings.model_copy(update={"max_body_mib": 1, "max_dataset_mib": 2})) as api:
        assert api.http.put("/v1/datasets/big", content=b"x" * (3 * 1024**2 // 2)).status_code == 200
        api.refused(api.http.put("/v1/datasets/big", content=b"x" * (2 * 1024**2 + 1)), 413)
        chunks = (b"x" * 65536 for _ in range(40))
        api.refused(api.http.put("/v1/datasets/big", content=chunks), 413)
        assert api.http.get("/v1/datasets").json()["items"][0]["size_bytes"] == 3 * 1024**2 // 2


def test_the_summary_of_nothing_is_empty_not_zero(api: Api) -> None:
    summary = api.http.get("/v1/reports/summary").json()
    assert summary["runs"] == {}
    assert summary["total_execution_seconds"] is None
    assert summary["mean_waiting_seconds"] is None
    assert (summary["pipelines"], summary["nodes"]) == ([], [])


def test_the_summary_measures_waiting_execution_and_nodes(api: Api, engine: Engine) -> None:
    def at(seconds: int) -> datetime:
        return NOW + timedelta(seconds=seconds)

    with engine.begin() as connection:
        insert_node(connection, "n1", SIZE)
        insert_node(connection, "n2", SIZE)
        for name, start, end in (("a", 2, 6), ("b", 4, 12)):
            run_id = insert_run(
                connection,
                pipeline_name=name,
                state=RunState.SUCCEEDED,
                started_at=at(start),
                finished_at=at(end),
                team=name,
            )
            insert_task(connection, run_id, "train", state=TaskState.SUCCEEDED, attempt=1)
            insert_attempt(
                connection,
                run_id,
                "train",
                "n1",
                state="SUCCEEDED",
                started_at=at(start),
                finished_at=at(end),
            )
            booking = {"run_id": run_id, "path": "train", "attempt": 1, "node": "n1"}
            amounts = {"millicores": 1000, "memory_mib": 10, "gpus": 0, "booked_at": NOW}
            connection.execute(insert(schema.bookings).values(**booking, **amounts))
    summary = api.http.get("/v1/reports/summary").json()
    assert summary["runs"] == {"SUCCEEDED": 2}
    assert summary["tasks"] == {"SUCCEEDED": 2}
    assert summary["total_execution_seconds"] == 10
    assert (summary["mean_waiting_seconds"], summary["max_waiting_seconds"]) == (3, 4)
    assert (summary["mean_execution_seconds"], summary["max_execution_seconds"]) == (6, 8)
    assert [(item["pipeline"], item["max_execution_seconds"]) for item in summary["pipelines"]] == [
        ("a", 4),
        ("b", 8),
    ]
    first, second = summary["nodes"]
    assert (first["node"], first["tasks"], first["busy_seconds"]) == ("n1", 2, 12)
    # 12 core-seconds of 2 cores in 10 seconds.
    assert first["utilisation"] == pytest.approx(0.6)
    assert (second["tasks"], second["utilisation"]) == (0, 0)
    refused = api.http.get("/v1/reports/summary", params={"since": "abc"})
    assert api.fields(refused) == ["query.since"]
    only_a = api.http.get("/v1/reports/summary", params={"team": "a"}).json()
    assert (only_a["runs"], only_a["total_execution_seconds"]) == ({"SUCCEEDED": 1}, 4)


def test_the_summary_counts_the_time_between_tasks_as_waiting(api: Api, engine: Engine) -> None:
    with engine.begin() as connection:
        insert_node(connection, "n1", SIZE)
        start, end = NOW + timedelta(seconds=1), NOW + timedelta(seconds=30)
        run_id = insert_run(connection, state=RunState.SUCCEEDED, started_at=start, finished_at=end)
        for path, begun in (("prepare", 1), ("train", 26)):
            insert_task(connection, run_id, path, state=TaskState.SUCCEEDED, attempt=1)
            at = NOW + timedelta(seconds=begun)
            times = {"started_at": at, "finished_at": at + timedelta(seconds=4)}
            insert_attempt(connection, run_id, path, "n1", state="SUCCEEDED", **times)
    summary = api.http.get("/v1/reports/summary").json()
    for figures in (summary, summary["pipelines"][0]):
        assert (figures["mean_waiting_seconds"], figures["mean_execution_seconds"]) == (22, 8)
    assert summary["total_execution_seconds"] == 29


def test_it_is_ready_with_the_schema_of_its_release_or_a_later_one(
    settings: Settings, engine: Engine, empty_database_url: str
) -> None:
    with running(settings) as api:
        assert api.http.get("/readyz").json() == {"status": "ok"}
        with engine.begin() as connection:
            connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
        assert api.http.get("/readyz").json() == {"status": "ok"}
        with engine.begin() as connection:
            connection.execute(text("UPDATE alembic_version SET version_num = '0001'"))
        assert "is 0001, needed is" in api.refused(api.http.get("/readyz"), 503)["detail"]
    with running(settings.model_copy(update={"database_url": empty_database_url})) as api:
        problem = api.refused(api.http.get("/readyz"), 503)
        assert "absent" in problem["detail"]


def test_metrics_count_by_route_never_by_path(api: Api) -> None:
    api.accepted()
    api.http.get("/v1/runs/0b8d5a0e-6a1f-4c1e-9d53-2f6f6f1c7a11")
    api.http.get("/nowhere/at/all")
    page = api.http.get("/metrics").text
    assert 'nodewise_http_requests_total{method="GET",route="/v1/runs/{run_id}",status="404"}' in page
    assert 'nodewise_submissions_total{outcome="accepted"}' in page
    assert "nodewise_http_request_seconds_bucket" in page
    assert "0b8d5a0e" not in page
    assert "nowhere" not in page


def test_every_answer_has_the_headers_that_keep_browsers_careful(api: Api) -> None:
    for path in ("/v1/runs", "/nowhere", "/healthz"):
        headers = api.http.get(path, headers={"Origin": "http://elsewhere.example"}).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert "access-control-allow-origin" not in headers


def test_an_unexpected_error_shows_an_id_and_no_more(api: Api, engine: Engine) -> None:
    with engine.begin() as connection:
        connection.exec_driver_sql("DROP TABLE datasets")
    problem = api.refused(api.http.get("/v1/datasets"), 500)
    assert re.fullmatch(
        "an unexpected error; the log of the api has it under [0-9a-f]{32}", problem["detail"]
    )
    assert problem["errors"] == []


def test_the_openapi_document_has_examples_and_problems(api: Api) -> None:
    document = api.http.get("/openapi.json").json()
    schemas = document["components"]["schemas"]
    assert "example" in schemas["SubmitRequest"]
    assert "example" in schemas["Run"]
    assert "PlatformSpec" in schemas
    refused = document["paths"]["/v1/runs"]["post"]["responses"]["422"]["content"]
    assert list(refused) == ["application/problem+json"]
    plain = document["paths"]["/v1/runs/{run_id}/tasks/{path}/logs"]["get"]["responses"]
    assert list(plain["404"]["content"]) == ["application/problem+json"]
    assert "HTTPValidationError" not in str(document)


def test_the_submissions_that_stand_as_examples_are_accepted_as_they_are(api: Api) -> None:
    schemas = api.http.get("/openapi.json").json()["components"]["schemas"]
    submission, schedule = schemas["SubmitRequest"]["example"], schemas["ScheduleRequest"]["example"]
    assert api.http.post("/v1/runs", json=submission).status_code == 202
    assert api.http.post("/v1/plans", json=submission).status_code == 200
    assert api.http.post("/v1/schedules", json=schedule).status_code == 201, api.http.post(
        "/v1/schedules", json=schedule
    ).text


@pytest.mark.parametrize(
    ("path", "methods"), [("/v1/runs", "GET, POST"), ("/v1/schedules/0", "DELETE, GET"), ("/v1/nodes", "GET")]
)
def test_a_method_that_is_not_allowed_is_told_which_are(api: Api, path: str, methods: str) -> None:
    answer = api.http.patch(path)
    api.refused(answer, 405)
    assert answer.headers["Allow"] == methods
