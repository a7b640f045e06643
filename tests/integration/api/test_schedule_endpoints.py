"""/v1/schedules: what gets in, what is shown, and what a user may do with it."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Engine, select

from nodewise.core.db import schema
from tests.integration.api.conftest import Api
from tests.support.pipelines import compiled, hints

HOURLY = {"interval_seconds": 3600}


def post(api: Api, *, key: str | None = None, run: dict[str, Any] | None = None, **fields: Any) -> Any:
    """POST /v1/schedules, by default of a chain of three every hour."""
    headers = {"Idempotency-Key": key} if key else {}
    timed = fields if {"cron", "interval_seconds"} & fields.keys() else {**HOURLY, **fields}
    body = {"run": {"pipeline_spec": compiled(), **(run or {})}, **timed}
    return api.http.post("/v1/schedules", json=body, headers=headers)


def made(api: Api, **fields: Any) -> dict[str, Any]:
    answer = post(api, **fields)
    assert answer.status_code == 201, answer.text
    schedule: dict[str, Any] = answer.json()
    return schedule


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


def test_a_schedule_is_made_with_its_location(api: Api) -> None:
    answer = post(api, name="hourly", run={"parameters": {}, "team": "blue", "labels": {"wave": "1"}})
    schedule = answer.json()
    assert answer.status_code == 201
    assert answer.headers["location"] == f"/v1/schedules/{schedule['id']}"
    assert (schedule["name"], schedule["team"], schedule["pipeline"]) == ("hourly", "blue", "wine")
    assert (schedule["catchup"], schedule["max_concurrency"], schedule["enabled"]) == (True, 1, True)
    assert schedule["run"] == {"parameters": {}, "team": "blue", "labels": {"wave": "1"}}
    assert api.http.get(answer.headers["location"]).json() == schedule


def test_an_interval_begins_one_interval_after_the_creation(api: Api) -> None:
    schedule = made(api)
    wait = moment(schedule["next_at"]) - moment(schedule["created_at"])
    assert timedelta(minutes=59) < wait <= timedelta(hours=1)
    first, second, *_ = map(moment, schedule["upcoming"])
    assert second - first == timedelta(hours=1)
    assert len(schedule["upcoming"]) == 5


def test_an_interval_begins_with_its_start(api: Api) -> None:
    schedule = made(api, start_at="2031-01-01T06:00:00+02:00", end_at="2031-01-01T05:30:00Z")
    assert schedule["upcoming"] == ["2031-01-01T04:00:00Z", "2031-01-01T05:00:00Z"]


def test_cron_is_read_in_its_time_zone(api: Api) -> None:
    zone = "America/New_York"
    schedule = made(api, cron="30 8 * * MON", time_zone=zone, start_at="2031-03-01T00:00:00Z")
    assert schedule["upcoming"][:3] == [
        "2031-03-03T13:30:00Z",
        "2031-03-10T12:30:00Z",
        "2031-03-17T12:30:00Z",
    ]


def test_the_name_is_that_of_the_pipeline_by_default_and_unique_in_a_team(api: Api) -> None:
    first = made(api)
    assert first["name"] == "wine"
    assert "already has a schedule" in api.refused(post(api), 409)["detail"]
    made(api, run={"team": "blue"})
    api.http.delete(f"/v1/schedules/{first['id']}")
    made(api)


def test_the_same_key_makes_one_schedule(api: Api) -> None:
    first, again = post(api, key="k"), post(api, key="k")
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json()["id"] == again.json()["id"]
    assert "another body" in api.refused(post(api, key="k", name="other"), 409)["detail"]
    api.http.delete(f"/v1/schedules/{first.json()['id']}")
    assert "deleted" in api.refused(post(api, key="k"), 409)["detail"]


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"cron": "61 * * * *"}, ["body.cron"]),
        ({"cron": "* * * *"}, ["body.cron"]),
        ({"cron": "0 0 30 2 *"}, ["body.cron"]),
        ({"cron": "@daily", "time_zone": "Mars/Olympus"}, ["body.time_zone"]),
        ({"cron": "@daily", "interval_seconds": 5}, ["body.cron"]),
        ({"interval_seconds": None}, ["body.cron"]),
        ({"interval_seconds": 0}, ["body.interval_seconds"]),
        ({"interval_seconds": 1.5}, ["body.interval_seconds"]),
        ({"interval_seconds": 60, "time_zone": "UTC"}, ["body.time_zone"]),
        ({"interval_seconds": 60, "end_at": "2020-01-01T00:00:00Z"}, ["body.end_at"]),
        ({"interval_seconds": 60, "start_at": "2031-01-01T00:00:00"}, ["body.start_at"]),
        ({"interval_seconds": 60, "start_at": "0001-01-01T00:00:00Z"}, ["body.start_at"]),
        ({"interval_seconds": 60, "start_at": 1234567890}, ["body.start_at"]),
        ({"interval_seconds": 864000, "end_at": "IN_A_DAY"}, ["body.interval_seconds"]),
        ({"max_concurrency": 0}, ["body.max_concurrency"]),
        ({"catchup": "yes"}, ["body.catchup"]),
        ({"name": ""}, ["body.name"]),
        ({"mood": "good"}, ["body.mood"]),
        ({"run": {"mood": "good"}}, ["body.run.mood"]),
        ({"run": {"deadline": "2031-01-01T00:00:00Z"}}, ["body.run.deadline"]),
        ({"run": {"policy": "whim"}}, ["body.run.policy"]),
        ({"run": {"parameters": {"depth": 3}}}, ["body.run.parameters.depth"]),
        ({"run": {"pipeline_spec": {"root": 3}}}, None),
        (
            {"run": {"platform_spec": hints(train={"dataset": {"name": "nowhere"}})}},
            ["body.run.platform_spec.platforms.nodewise.deploymentSpec.executors.exec-train.dataset.name"],
        ),
    ],
)
def test_what_breaks_a_rule_is_refused_with_its_field(
    api: Api, engine: Engine, fields: dict[str, Any], named: list[str] | None
) -> None:
    if fields.get("end_at") == "IN_A_DAY":
        fields = {**fields, "end_at": (datetime.now(UTC) + timedelta(days=1)).isoformat()}
    found = api.fields(post(api, **fields))
    assert found == named if named else all(field.startswith("body.run.pipeline_spec") for field in found)
    with engine.connect() as connection:
        assert connection.execute(select(schema.schedules)).all() == []
        assert connection.execute(select(schema.pipeline_specs)).all() == []


def test_what_is_no_object_is_refused(api: Api) -> None:
    assert api.fields(api.http.post("/v1/schedules", json={"cron": "@daily"})) == ["body.run"]
    assert api.fields(api.http.post("/v1/schedules", json={"cron": "@daily", "run": 3})) == ["body.run"]
    assert api.refused(api.http.post("/v1/schedules", content=b"{"), 415)


def test_schedules_are_listed_newest_first_page_by_page(api: Api) -> None:
    names = [made(api, name=f"s{number}")["name"] for number in range(5)]
    first = api.http.get("/v1/schedules", params={"limit": 3}).json()
    second = api.http.get("/v1/schedules", params={"limit": 3, "cursor": first["next_cursor"]}).json()
    assert [item["name"] for item in [*first["items"], *second["items"]]] == names[::-1]
    assert second["next_cursor"] is None


def test_the_list_is_filtered(api: Api) -> None:
    made(api, name="a", run={"team": "blue"})
    made(api, name="b", enabled=False)

    def names(**params: str) -> list[str]:
        return [item["name"] for item in api.http.get("/v1/schedules", params=params).json()["items"]]

    assert names(team="blue") == ["a"]
    assert names(enabled="false") == ["b"]
    assert names(name="b", team="blue") == []


def test_enabling_and_disabling_can_be_repeated(api: Api) -> None:
    path = f"/v1/schedules/{made(api)['id']}"
    for action, enabled in (("disable", False), ("disable", False), ("enable", True), ("enable", True)):
        answer = api.http.post(f"{path}/{action}")
        assert (answer.status_code, answer.json()["enabled"]) == (200, enabled)


def test_a_schedule_can_be_run_at_once(api: Api) -> None:
    schedule = made(api, name="nightly", enabled=False, run={"team": "blue", "priority": 3})
    path = f"/v1/schedules/{schedule['id']}"
    answer = api.http.post(f"{path}/run", headers={"Idempotency-Key": "once"})
    run = answer.json()
    assert answer.status_code == 202
    assert (run["name"], run["team"], run["priority"]) == ("nightly", "blue", 3)
    assert (run["schedule_id"], run["scheduled_for"]) == (schedule["id"], None)
    again = api.http.post(f"{path}/run", headers={"Idempotency-Key": "once"})
    assert (again.status_code, again.json()["id"]) == (200, run["id"])
    api.http.post(f"{path}/run")
    assert api.http.get(path).json()["active_runs"] == 2


def test_the_runs_of_a_schedule_can_be_listed(api: Api) -> None:
    schedule = made(api)
    api.accepted()
    run = api.http.post(f"/v1/schedules/{schedule['id']}/run").json()
    found = api.http.get("/v1/runs", params={"schedule": schedule["id"]}).json()["items"]
    assert [item["id"] for item in found] == [run["id"]]
    assert api.fields(api.http.get("/v1/runs", params={"schedule": "mine"})) == ["query.schedule"]


def test_deleting_a_schedule_leaves_its_runs(api: Api) -> None:
    schedule = made(api)
    path = f"/v1/schedules/{schedule['id']}"
    run = api.http.post(f"{path}/run").json()
    assert api.http.delete(path).status_code == 204
    api.refused(api.http.get(path), 404)
    api.refused(api.http.delete(path), 404)
    api.refused(api.http.post(f"{path}/run"), 404)
    api.refused(api.http.post(f"{path}/enable"), 404)
    assert api.http.get("/v1/schedules").json()["items"] == []
    assert api.http.get(f"/v1/runs/{run['id']}").json()["schedule_id"] == schedule["id"]


@pytest.mark.parametrize("name", ["mine", "0", "6d4b1f1a-2f0e-4d0a-8b1b-0f4ad3f3f2d1"])
def test_there_is_no_such_schedule(api: Api, name: str) -> None:
    for answer in (api.http.get(f"/v1/schedules/{name}"), api.http.post(f"/v1/schedules/{name}/run")):
        assert "there is no schedule" in api.refused(answer, 404)["detail"]


def test_a_pipeline_is_stored_once_for_a_schedule_and_its_runs(api: Api, engine: Engine) -> None:
    schedule = made(api)
    api.http.post(f"/v1/schedules/{schedule['id']}/run")
    api.accepted()
    with engine.connect() as connection:
        assert len(connection.execute(select(schema.pipeline_specs)).all()) == 1


def test_the_open_api_document_describes_the_request(api: Api) -> None:
    document = api.http.get("/openapi.json").json()
    body = document["paths"]["/v1/schedules"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    assert body == {"$ref": "#/components/schemas/ScheduleRequest"}
    described = document["components"]["schemas"]["ScheduleRequest"]["properties"]
    assert {"run", "cron", "time_zone", "interval_seconds", "catchup", "max_concurrency"} <= set(described)
    assert "SubmitRequest" in document["components"]["schemas"]
