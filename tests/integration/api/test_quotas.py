"""Quotas of teams at the gateway: who may queue how many runs, and who sees what of it."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import text

from nodewise.api.scheduling.ticker import Ticker
from nodewise.core.model.quota import Quota
from nodewise.core.model.role import Role
from nodewise.core.settings import Settings
from tests.integration.api.conftest import Api, running
from tests.support.keys import Holder, made, with_keys
from tests.support.pipelines import compiled

QUOTAS = {"vision": Quota(cores=4, queued_runs=2), "*": Quota(queued_runs=50)}


@pytest.fixture
def bounded(settings: Settings) -> Iterator[Api]:
    with running(settings.model_copy(update={"team_quotas": QUOTAS})) as api:
        yield api


def test_a_team_queues_as_many_runs_as_it_may_and_another_is_not_touched(bounded: Api) -> None:
    first = bounded.accepted(team="vision")
    bounded.accepted(team="vision")
    problem = bounded.refused(bounded.submit(team="vision"), 409)
    assert problem["type"] == "urn:nodewise:problem:quota-exceeded"
    assert problem["detail"].startswith(
        "team 'vision' has 2 runs that have not begun, and its quota queued_runs is 2"
    )
    bounded.accepted(team="speech")
    with bounded.services.engine.begin() as connection:
        connection.execute(text("UPDATE runs SET state = 'RUNNING' WHERE id = :id"), {"id": first["id"]})
    bounded.accepted(team="vision")


def test_a_repetition_is_no_further_run(bounded: Api) -> None:
    runs = [bounded.submit(team="vision", key=f"k{number}") for number in range(2)]
    again = bounded.submit(team="vision", key="k1")
    assert (again.status_code, again.json()["id"]) == (200, runs[1].json()["id"])
    bounded.refused(bounded.submit(team="vision", key="k2"), 409)


def test_many_at_once_are_not_let_in_beyond_it(bounded: Api) -> None:
    with ThreadPoolExecutor(12) as pool:
        answers = list(pool.map(lambda _: bounded.submit(team="vision").status_code, range(12)))
    assert sorted(answers) == [202] * 2 + [409] * 10


def test_what_is_refused_leaves_nothing_behind(bounded: Api) -> None:
    for _ in range(2):
        bounded.accepted(team="vision")
    bounded.refused(bounded.submit(compiled("another"), team="vision"), 409)
    with bounded.services.engine.connect() as connection:
        found = connection.execute(text("SELECT count(*) FROM pipeline_specs")).scalar_one()
    assert found == 1


def test_a_schedule_notes_the_refusal_and_goes_on(bounded: Api) -> None:
    for _ in range(2):
        bounded.accepted(team="vision")
    body = {"interval_seconds": 3600, "start_at": "2025-01-01T00:00:00Z", "catchup": False}
    run = {"pipeline_spec": compiled(), "team": "vision"}
    made = bounded.http.post("/v1/schedules", json={**body, "run": run}).json()
    assert Ticker(bounded.services).look() is False
    schedule = bounded.http.get(f"/v1/schedules/{made['id']}").json()
    assert "its quota queued_runs is 2" in schedule["last_error"]
    assert schedule["next_at"] is not None


def test_limits_and_use_are_shown_to_the_team_and_to_who_sees_all(settings: Settings, tmp_path: Path) -> None:
    guarded, token = with_keys(settings, tmp_path, team_quotas=QUOTAS)
    with running(guarded) as api:
        admin = Holder(api.http, token.text)
        vision, speech = (made(admin, Role.SUBMITTER, team) for team in ("vision", "speech"))
        assert vision.ask("POST", "/v1/runs", json={"pipeline_spec": compiled()}).status_code == 202
        of_vision = {
            "team": "vision", "cores": 4.0, "used_cores": 0.0, "gpus": None, "used_gpus": 0, "queued_runs": 2,
            "used_queued_runs": 1,
        }  # fmt: skip
        assert vision.ask("GET", "/v1/quotas").json()["items"] == [of_vision]
        assert [one["team"] for one in speech.ask("GET", "/v1/quotas").json()["items"]] == ["speech"]
        assert admin.ask("GET", "/v1/quotas").json()["items"] == [of_vision]
