"""What the gateway says of runs: pages, tasks, reasons, logs, cancellation."""

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Engine, insert, update

from nodewise.core.codec import encode
from nodewise.core.db import schema
from nodewise.core.lifecycle import RunState, TaskState
from nodewise.core.messages import WAKE_RECORDER
from nodewise.core.model.artifact import ArtifactRef, TaskOutputs
from nodewise.core.model.resources import Resources
from tests.integration.api.conftest import Api
from tests.support.fake_api import PREDICTED
from tests.support.rows import NOW, insert_attempt, insert_node, insert_run, insert_task

SOME_ID = "0b8d5a0e-6a1f-4c1e-9d53-2f6f6f1c7a11"


def many_runs(engine: Engine, count: int) -> list[str]:
    """Runs, two at each instant; their ids, newest first as a page shows them."""
    with engine.begin() as connection:
        connection.execute(insert(schema.pipeline_specs).values(digest="d", ir={}, platforms={}))
        rows = [
            {
                "id": f"00000000-0000-4000-8000-{number:012d}",
                "name": f"run {number}",
                "pipeline_name": "p",
                "spec_digest": "d",
                "parameters": {},
                "labels": {"parity": str(number % 2)},
                "team": "a" if number % 5 else "b",
                "priority": 0,
                "policy": "fifo",
                "strategy": "greedy",
                "request_digest": "0",
                "submitted_at": NOW + timedelta(seconds=number // 2),
                "state": "PENDING",
            }
            for number in range(count)
        ]
        connection.execute(insert(schema.runs), rows)
    return [str(row["id"]) for row in reversed(rows)]


def pages(api: Api, **params: Any) -> list[list[str]]:
    found = []
    while True:
        page = api.http.get("/v1/runs", params=params).json()
        found.append([run["id"] for run in page["items"]])
        if page["next_cursor"] is None:
            return found
        params["cursor"] = page["next_cursor"]


def test_pages_show_every_run_once_newest_first(api: Api, engine: Engine) -> None:
    ids = many_runs(engine, 250)
    found = pages(api)
    assert [len(page) for page in found] == [50] * 5
    assert [run_id for page in found for run_id in page] == ids
    assert [run_id for page in pages(api, limit=200) for run_id in page] == ids


def test_a_new_run_does_not_shift_later_pages(api: Api, engine: Engine) -> None:
    ids = many_runs(engine, 20)
    first = api.http.get("/v1/runs", params={"limit": 10}).json()
    api.accepted()
    second = api.http.get("/v1/runs", params={"limit": 10, "cursor": first["next_cursor"]}).json()
    assert [run["id"] for run in first["items"] + second["items"]] == ids
    assert second["next_cursor"] is None


def test_filters_hold_together_and_across_pages(api: Api, engine: Engine) -> None:
    many_runs(engine, 40)
    found = pages(api, team="b", label="parity:0", limit=3)
    assert sum(len(page) for page in found) == 4
    assert [len(page) for page in found] == [3, 1]
    assert api.http.get("/v1/runs", params={"state": "RUNNING"}).json()["items"] == []


@pytest.mark.parametrize(
    ("params", "field"),
    [
        ({"cursor": "nonsense"}, "query.cursor"),
        ({"cursor": "W10"}, "query.cursor"),
        ({"cursor": "WyIyMDMwLTAxLTAxIiwieCJd"}, "query.cursor"),
        ({"cursor": "ä"}, "query.cursor"),
        ({"limit": 0}, "query.limit"),
        ({"limit": 201}, "query.limit"),
        ({"state": "ODD"}, "query.state"),
        ({"label": "nocolon"}, "query.label"),
        ({"unknown": 1}, "query.unknown"),
    ],
)
def test_a_bad_question_is_refused(api: Api, params: dict[str, Any], field: str) -> None:
    assert api.fields(api.http.get("/v1/runs", params=params)) == [field]


def test_a_nul_in_a_filter_is_refused(api: Api) -> None:
    api.refused(api.http.get("/v1/runs", params={"team": "a\0"}), 422)
    api.refused(api.http.get("/v1/runs", params={"label": "a:\0"}), 422)


@pytest.mark.parametrize("run_id", ["nonsense", SOME_ID, "9" * 5000, "%00", "0b8d5a0e"])
@pytest.mark.parametrize("rest", ["", "/tasks", "/explain", "/events", "/tasks/train/logs"])
def test_a_run_that_is_none_is_not_found(api: Api, run_id: str, rest: str) -> None:
    api.refused(api.http.get(f"/v1/runs/{run_id}{rest}"), 404)


def test_cancelling_a_run_that_is_none_is_not_found(api: Api) -> None:
    api.refused(api.http.post(f"/v1/runs/{SOME_ID}/cancel"), 404)


def test_unknown_places_and_methods_are_problems(api: Api) -> None:
    api.refused(api.http.get("/nowhere"), 404)
    answer = api.http.delete("/v1/runs")
    api.refused(answer, 405)
    assert answer.headers["allow"]


def test_tasks_show_where_they_ran_and_why(api: Api, engine: Engine) -> None:
    with engine.begin() as connection:
        run_id = insert_run(connection)
        insert_node(connection, "n3", Resources(millicores=1000, memory_mib=1000))
        insert_task(
            connection,
            run_id,
            "train",
            state=TaskState.SUCCEEDED,
            attempt=2,
            failures=1,
            started_at=NOW + timedelta(seconds=2),
            finished_at=NOW + timedelta(seconds=5),
            input_bytes=8e6,
            expected_node="n3",
            expected_start_at=NOW,
            expected_end_at=NOW + timedelta(seconds=4),
            outputs=encode(
                TaskOutputs(
                    parameters={"accuracy": 0.9},
                    artifacts={"model": ArtifactRef(name="model", uri="store://file/" + "0" * 64)},
                )
            ),
        )
        insert_attempt(connection, run_id, "train", "n3", state="FAILED", end_code="exit_code", exit_code=1)
        candidates = [{"node": "n3", "scores": {"load": 0.5}, "exclusion": None}]
        insert_attempt(
            connection, run_id, "train", "n3", attempt=2, state="SUCCEEDED", reason="least loaded",
            candidates=candidates, more_candidates={"cpu_booked": 950}, strategy="random", **PREDICTED,
        )  # fmt: skip
    [task] = api.http.get(f"/v1/runs/{run_id}/tasks").json()["items"]
    assert (task["node"], task["why_node"], task["strategy"]) == ("n3", "least loaded", "random")
    assert (task["waited_seconds"], task["ran_seconds"]) == (2.0, 3.0)
    assert {key: task[key] for key in PREDICTED} == PREDICTED
    assert (task["input_bytes"], task["expected_node"]) == (8e6, "n3")
    assert (task["expected_start_at"], task["expected_end_at"]) == (
        "2026-01-01T12:00:00Z",
        "2026-01-01T12:00:04Z",
    )
    assert task["resources"] == {"millicores": 100, "memory_mib": 10, "gpus": 0}
    assert task["outputs"]["parameters"] == {"accuracy": 0.9}
    assert task["outputs"]["artifacts"]["model"]["uri"].startswith("store://file/")
    explained = api.http.get(f"/v1/runs/{run_id}/explain").json()
    assert explained["run"]["id"] == run_id
    [told] = explained["tasks"]
    assert {key: told[key] for key in task} == task
    assert [(a["attempt"], a["state"], a["exit_code"]) for a in told["attempts"]] == [
        (1, "FAILED", 1),
        (2, "SUCCEEDED", None),
    ]
    assert told["attempts"][1]["candidates"] == candidates
    assert [a["more_candidates"] for a in told["attempts"]] == [None, {"cpu_booked": 950}]
    assert {key: told["attempts"][1][key] for key in PREDICTED} == PREDICTED
    assert {told["attempts"][0][key] for key in PREDICTED} == {None}


def test_a_waiting_task_waits_until_now_and_has_no_node(api: Api) -> None:
    run = api.accepted()
    api.clock.ahead = timedelta(seconds=100)
    tasks = api.http.get(f"/v1/runs/{run['id']}/tasks").json()["items"]
    assert [task["path"] for task in tasks] == ["preprocess", "train", "evaluate"]
    assert tasks[0]["waited_seconds"] >= 100
    assert tasks[1]["waited_seconds"] is None
    assert tasks[0]["node"] is None
    assert tasks[0]["outputs"] == {"parameters": {}, "artifacts": {}}


@pytest.mark.parametrize(
    ("state", "node"), [(TaskState.READY, None), (TaskState.ADMITTED, None), (TaskState.RUNNING, "n3")]
)
def test_a_task_that_waits_again_has_no_node_but_tells_how_it_failed(
    api: Api, engine: Engine, state: TaskState, node: str | None
) -> None:
    with engine.begin() as connection:
        run_id = insert_run(connection)
        insert_node(connection, "n3", Resources(millicores=1000, memory_mib=1000))
        insert_task(connection, run_id, "train", state=state, attempt=1, failures=1)
        insert_attempt(
            connection, run_id, "train", "n3", state="FAILED", end_code="exit_code", end_message="no rows"
        )
    [task] = api.http.get(f"/v1/runs/{run_id}/tasks").json()["items"]
    assert (task["node"], task["why_node"] is None, task["placed_at"] is None) == (
        node, node is None, node is None,
    )  # fmt: skip
    failure = {"attempt": 1, "node": "n3", "state": "FAILED", "code": "exit_code", "message": "no rows"}
    assert task["last_failure"] == failure


def test_cancelling_notes_the_wish_and_wakes_the_recorder(api: Api) -> None:
    run = api.accepted()
    first = api.http.post(f"/v1/runs/{run['id']}/cancel")
    assert first.status_code == 202
    assert first.json()["state"] == "PENDING"
    assert first.json()["cancel_requested_at"] is not None
    assert api.services.redis.exists(WAKE_RECORDER)
    again = api.http.post(f"/v1/runs/{run['id']}/cancel")
    assert again.status_code == 202
    assert again.json() == first.json()


@pytest.mark.parametrize("state", [RunState.SUCCEEDED, RunState.FAILED, RunState.CANCELED])
def test_a_run_that_ended_cannot_be_cancelled(api: Api, engine: Engine, state: RunState) -> None:
    with engine.begin() as connection:
        run_id = insert_run(connection, state=state, finished_at=NOW)
    problem = api.refused(api.http.post(f"/v1/runs/{run_id}/cancel"), 409)
    assert state in problem["detail"]


def test_logs_are_the_latest_attempts_unless_another_is_named(api: Api, engine: Engine) -> None:
    run = api.accepted()
    url = f"/v1/runs/{run['id']}/tasks/train/logs"
    assert api.http.get(url).text == ""
    with engine.begin() as connection:
        connection.execute(update(schema.tasks).where(schema.tasks.c.path == "train").values(attempt=2))
    answer = api.http.get(url)
    assert (answer.status_code, answer.text) == (200, "")
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    api.services.store.write_key(f"logs/{run['id']}/train/1.txt", b"first\n")
    api.services.store.write_key(f"logs/{run['id']}/train/2.txt", "zweiter ü\n".encode())
    assert api.http.get(url).text == "zweiter ü\n"
    assert api.http.get(url, params={"attempt": 1}).text == "first\n"
    api.refused(api.http.get(url, params={"attempt": 3}), 404)
    assert api.fields(api.http.get(url, params={"attempt": 0})) == ["query.attempt"]


@pytest.mark.parametrize("path", ["nobody", "..%2f..%2fetc", "a%00b", "ü" * 3000])
def test_logs_of_a_task_that_is_none_are_not_found(api: Api, path: str) -> None:
    run = api.accepted()
    answer = api.http.get(f"/v1/runs/{run['id']}/tasks/{path}/logs")
    assert answer.status_code in {404, 422}
    api.refused(answer, answer.status_code)
