"""What may be done with a run that has ended: trying it again, putting it away."""

from typing import Any

import pytest
from sqlalchemy import Engine, text

from nodewise.core.messages import WAKE_RECORDER, WAKE_SCHEDULER
from tests.integration.api.conftest import Api
from tests.support.pipelines import compiled

NOBODY = "00000000-0000-4000-8000-000000000000"
DEPTH = compiled(parameters={"depth": {"parameterType": "NUMBER_INTEGER"}})


def ended(engine: Engine, run_id: str, state: str = "FAILED") -> None:
    """As the recorder ends it."""
    with engine.begin() as connection:
        connection.execute(
            text("UPDATE runs SET state = :state, finished_at = now() WHERE id = :id"),
            {"state": state, "id": run_id},
        )


def post(api: Api, run_id: str, verb: str, **headers: str) -> Any:
    return api.http.post(f"/v1/runs/{run_id}/{verb}", headers=headers)


@pytest.mark.parametrize("state", ["FAILED", "CANCELED"])
def test_the_next_try_is_a_new_run_of_the_same(api: Api, engine: Engine, state: str) -> None:
    given: dict[str, Any] = {
        "parameters": {"depth": 4}, "name": "mine", "team": "blue", "priority": 7, "policy": "priority",
        "strategy": "round_robin", "labels": {"wave": "1"}, "cache": False,
    }  # fmt: skip
    first = api.accepted(DEPTH, deadline="2099-01-01T00:00:00Z", **given)
    ended(engine, first["id"], state)
    api.services.redis.delete(WAKE_SCHEDULER)
    answer = post(api, first["id"], "retry")
    again = answer.json()
    assert answer.status_code == 202
    assert answer.headers["location"] == f"/v1/runs/{again['id']}"
    assert again["id"] != first["id"]
    assert (again["retry_of"], again["state"], again["deadline"]) == (first["id"], "PENDING", None)
    same = ("pipeline", "engine", "parameters", "name", "team", "priority", "policy", "strategy", "labels", "caching")  # fmt: skip
    assert {name: again[name] for name in same} == {name: first[name] for name in same}
    assert api.services.redis.exists(WAKE_SCHEDULER)
    assert api.http.get(f"/v1/runs/{first['id']}").json()["state"] == state


def test_one_key_makes_one_next_try(api: Api, engine: Engine) -> None:
    runs = [api.accepted() for _ in range(2)]
    for run in runs:
        ended(engine, run["id"])
    key = {"Idempotency-Key": "again"}
    first, second = (post(api, runs[0]["id"], "retry", **key) for _ in range(2))
    assert (first.status_code, second.status_code) == (202, 200)
    assert first.json()["id"] == second.json()["id"]
    api.refused(post(api, runs[1]["id"], "retry", **key), 409)


@pytest.mark.parametrize(("state", "said"), [("PENDING", "cancel it first"), ("SUCCEEDED", "has succeeded")])
def test_what_goes_on_or_went_well_is_not_tried_again(
    api: Api, engine: Engine, state: str, said: str
) -> None:
    run = api.accepted()
    if state == "SUCCEEDED":
        ended(engine, run["id"], state)
    assert said in api.refused(post(api, run["id"], "retry"), 409)["detail"]
    assert len(api.http.get("/v1/runs").json()["items"]) == 1


@pytest.mark.parametrize("verb", ["retry", "archive", "unarchive"])
def test_of_nobody_nothing_is_done(api: Api, verb: str) -> None:
    api.refused(post(api, NOBODY, verb), 404)


def listed(api: Api, **params: str) -> list[str]:
    return [run["id"] for run in api.http.get("/v1/runs", params=params).json()["items"]]


def test_what_was_put_away_is_listed_when_asked_for(api: Api, engine: Engine) -> None:
    kept, away = api.accepted()["id"], api.accepted()["id"]
    ended(engine, away)
    first, second = (post(api, away, "archive").json()["archived_at"] for _ in range(2))
    assert first == second is not None
    assert (listed(api), listed(api, archived="true")) == ([kept], [away])
    assert api.http.get(f"/v1/runs/{away}").json()["archived_at"] == first
    assert post(api, away, "unarchive").json()["archived_at"] is None
    assert (listed(api), listed(api, archived="true")) == ([away, kept], [])


def test_what_goes_on_is_not_put_away(api: Api) -> None:
    run = api.accepted()
    assert "has not ended: PENDING" in api.refused(post(api, run["id"], "archive"), 409)["detail"]
    assert listed(api) == [run["id"]]


def test_the_recorder_is_woken_for_a_run_that_kfp_has(api: Api, engine: Engine) -> None:
    run = api.accepted()
    ended(engine, run["id"])
    post(api, run["id"], "archive")
    assert not api.services.redis.exists(WAKE_RECORDER)
    with engine.begin() as connection:
        connection.execute(text("UPDATE runs SET engine = 'kubeflow'"))
    post(api, run["id"], "archive")
    assert api.services.redis.exists(WAKE_RECORDER)


def test_logs_that_kfp_keeps_are_not_shown_as_empty(api: Api, engine: Engine) -> None:
    run = api.accepted()
    with engine.begin() as connection:
        connection.execute(text("UPDATE runs SET engine = 'kubeflow'"))
    problem = api.refused(api.http.get(f"/v1/runs/{run['id']}/tasks/train/logs"), 409)
    assert "with Kubeflow Pipelines" in problem["detail"]
