"""Why a task has no node, and what would change that, over HTTP."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Engine, insert, update

from nodewise.core.db import schema
from nodewise.core.db.queries.bookings import BookingRequest, book
from nodewise.core.lifecycle import TaskState
from nodewise.core.model.decision import ReasonCode
from nodewise.core.model.ids import AttemptKey, NodeName, RunId, TaskPath
from nodewise.core.model.resources import Resources
from nodewise.core.settings import Settings
from tests.integration.api.conftest import Api, running
from tests.support.rows import insert_attempt, insert_node, insert_run, insert_task
from tests.support.whole_pipelines import documents

SIZE = Resources(millicores=2000, memory_mib=1000)
HUNGRY = Resources(millicores=1500, memory_mib=200)


@pytest.fixture
def run(engine: Engine) -> RunId:
    """A chain of three on a node of two cores: the first runs, the second could run beside it, but not now."""
    started = datetime.now(UTC) - timedelta(seconds=1)
    with engine.begin() as connection:
        insert_node(connection, "n1", SIZE)
        insert_node(connection, "n2", Resources(millicores=500, memory_mib=100))
        run_id = insert_run(connection, priority=1, policy="priority")
        insert_task(connection, run_id, "load", state=TaskState.RUNNING, attempt=1, resources=HUNGRY)
        insert_task(
            connection, run_id, "fit", ordinal=1, resources=HUNGRY, reason_code="no_room", reason="no room"
        )
        insert_task(
            connection, run_id, "test", ordinal=2, state=TaskState.WAITING, ready_at=None, upstream=["load", "fit"],
            reason_code="upstream_not_finished", reason="waits for load, fit",
        )  # fmt: skip
        insert_attempt(
            connection, run_id, "load", "n1", state="RUNNING", placed_at=started, started_at=started,
            predicted_seconds=100.0, predicted_low=80.0, predicted_high=120.0, prediction_level=0.8,
            prediction_basis="learned", prediction_samples=5,
        )  # fmt: skip
        key = AttemptKey(run_id=run_id, path=TaskPath("load"), attempt=1)
        assert book(connection, [BookingRequest(key=key, node=NodeName("n1"), resources=HUNGRY)])
        other = insert_run(connection, priority=7, policy="priority")
        insert_task(connection, other, "a")
        insert_task(connection, other, "b", ordinal=1)
    return run_id


def test_a_task_says_what_was_said_when_its_inputs_were_there(api: Api, run: RunId, engine: Engine) -> None:
    why = "its inputs are there; no earlier result is reused: no earlier task was the same: code differs"
    said = {
        "at": datetime.now(UTC), "run_id": run, "path": "load", "event": "inputs_ready", "from_state": "WAITING",
        "to_state": "READY", "service": "recorder", "reason_code": "queued", "reason": why,
    }  # fmt: skip
    with engine.begin() as connection:
        connection.execute(insert(schema.events).values(**said))
    tasks = api.http.get(f"/v1/runs/{run}/explain").json()["tasks"]
    assert [task["queued_reason"] for task in tasks] == [why, None, None]


def test_a_waiting_task_says_what_the_nodes_lack_and_what_would_change_it(api: Api, run: RunId) -> None:
    load, fit, test = api.http.get(f"/v1/runs/{run}/explain").json()["tasks"]
    assert load["pending"] is None
    nodes = {node["node"]: (node["code"], node["lasting"]) for node in fit["pending"]["nodes"]}
    assert nodes == {"n1": ("cpu_booked", False), "n2": ("cpu_too_small", True)}
    release, smaller, far, order = fit["pending"]["changes"]
    assert release["text"].startswith(f"when load of run {run[:8]} on n1 ends, about ")
    assert (release["kind"], release["node"]) == ("time", "n1")
    left = datetime.fromisoformat(release["at"]) - datetime.now(UTC)
    assert timedelta(seconds=60) < left < timedelta(seconds=100)
    assert smaller["text"] == "with 1 core less (at most 0.5 cores): n1 could take it now"
    assert (far["kind"], far["node"]) == ("task", "n2")
    assert order["text"] == "submitted with a priority above 7, it would come before 2 tasks that wait"
    waits = [(one["path"], one["state"], one["node"]) for one in test["pending"]["waits_for"]]
    assert waits == [("load", "RUNNING", "n1"), ("fit", "READY", None)]
    assert [change["kind"] for change in test["pending"]["changes"]] == ["time", "time"]


def test_reason_and_nodes_are_of_one_moment(api: Api, engine: Engine, run: RunId) -> None:
    """What was stored is older: `fit` is told again from the nodes, and once they have room, that it is overtaken."""
    path = f"/v1/runs/{run}/explain"
    _, fit, test = api.http.get(path).json()["tasks"]
    assert fit["reason"] == "no room"
    why, n1 = fit["pending"]["why"], fit["pending"]["nodes"][0]
    assert why["text"].startswith(f"no node has room now. n1: {n1['text']}")
    assert why["as_of"] == fit["pending"]["as_of"]
    assert test["pending"]["why"]["text"] == "waits for load, fit"
    with engine.begin() as connection:
        connection.execute(update(schema.node_loads).values(booked_millicores=0, running_tasks=0))
    (fit,) = api.http.get(path, params={"task": "fit"}).json()["tasks"]
    why, n1 = fit["pending"]["why"], fit["pending"]["nodes"][0]
    assert (n1["node"], n1["code"], why["as_of"]) == ("n1", None, None)
    assert why["overtaken"].startswith("n1 has room for it now")


def test_in_a_run_that_is_being_canceled_nothing_waits_for_room(api: Api, engine: Engine, run: RunId) -> None:
    with engine.begin() as connection:
        stop = {"state": "CANCELING", "cancel_requested_at": datetime.now(UTC)}
        connection.execute(update(schema.runs).where(schema.runs.c.id == run).values(**stop))
    _, fit, _ = api.http.get(f"/v1/runs/{run}/explain").json()["tasks"]
    assert fit["pending"]["why"]["code"] == "run_canceled"


def test_one_task_is_explained_alone(api: Api, run: RunId) -> None:
    (told,) = api.http.get(f"/v1/runs/{run}/explain", params={"task": "fit"}).json()["tasks"]
    assert told["path"] == "fit"
    api.refused(api.http.get(f"/v1/runs/{run}/explain", params={"task": "nobody"}), 404)
    assert api.fields(api.http.get(f"/v1/runs/{run}/explain", params={"path": "fit"})) == ["query.path"]


def test_the_latest_plan_says_when(api: Api, engine: Engine, run: RunId) -> None:
    start = datetime.now(UTC) + timedelta(minutes=2)
    planned = {"expected_node": "n1", "expected_start_at": start, "expected_end_at": start}
    fit = schema.tasks.c.path == "fit"
    with engine.begin() as connection:
        connection.execute(
            update(schema.tasks).where(fit).values(reason_code=ReasonCode.WAITS_FOR_NODE.value, **planned)
        )
    (told,) = api.http.get(f"/v1/runs/{run}/explain", params={"task": "fit"}).json()["tasks"]
    assert told["expected_node"] == "n1"
    first = told["pending"]["changes"][0]
    assert (first["node"], datetime.fromisoformat(first["at"])) == ("n1", start)


def test_a_long_queue_is_told_of_where_something_waits_in_it(engine: Engine, settings: Settings) -> None:
    with engine.begin() as connection:
        insert_node(connection, "n1", SIZE)
        runs = [insert_run(connection, name=f"run {number}") for number in range(40)]
        for run_id in runs:
            insert_task(connection, run_id, "a", reason_code="queued", reason="waits for its turn")
        later = insert_run(connection, name="later")
        insert_task(connection, later, "a", state=TaskState.WAITING, ready_at=None)
    with running(settings.model_copy(update={"queue_window": 10})) as api:
        found, other = (api.http.get(f"/v1/runs/{run_id}/explain").json() for run_id in (runs[20], later))
    queue = found["queue"]
    assert {name: queue[name] for name in ("runs", "tasks", "window", "looks")} == {
        "runs": 40, "tasks": 40, "window": 10, "looks": 14,
    }  # fmt: skip
    (task,) = found["tasks"]
    assert "in one look in 14, or more often, of the scheduler" in task["pending"]["changes"][0]["text"]
    assert other["queue"] is None


def test_a_queue_that_each_look_sees_is_not_told_of(api: Api, run: RunId) -> None:
    assert api.http.get(f"/v1/runs/{run}/explain").json()["queue"] is None


def test_rivals_are_counted_by_their_place_before_the_run(api: Api, engine: Engine, run: RunId) -> None:
    """Above it, equal and earlier, equal and later, below: the first two are before it."""
    now = datetime.now(UTC)
    with engine.begin() as connection:
        for priority, ago in ((9, -5), (1, 5), (1, -5), (0, 5)):
            other = insert_run(
                connection, priority=priority, policy="priority", submitted_at=now - timedelta(minutes=ago)
            )
            insert_task(connection, other, "a")
        # What another policy orders does not count.
        insert_task(connection, insert_run(connection, priority=50, policy="fifo"), "a")
        connection.execute(update(schema.runs).where(schema.runs.c.id == run).values(submitted_at=now))
    fit = api.http.get(f"/v1/runs/{run}/explain").json()["tasks"][1]
    texts = [change["text"] for change in fit["pending"]["changes"] if change["kind"] == "order"]
    assert texts == ["submitted with a priority above 9, it would come before 4 tasks that wait"]


@pytest.fixture
def branched(engine: Engine) -> RunId:
    """A run whose branch was not taken: its task has no row, and what comes after it is skipped."""
    ir, _ = documents("everything")
    with engine.begin() as connection:
        run_id = insert_run(connection, ir=ir, parameters={"n": 0, "least": 2})
        for number, (name, output) in enumerate((("count", []), ("compare", 0))):
            insert_task(
                connection, run_id, f"exit-handler-1.{name}", ordinal=number, state=TaskState.SUCCEEDED,
                outputs={"parameters": {"Output": output}, "artifacts": {}},
            )  # fmt: skip
    return run_id


BRANCH = "exit-handler-1.condition-branches-4.condition-5"


def test_a_branch_that_is_not_taken_says_which_condition_was_not_met(api: Api, branched: RunId) -> None:
    parts = api.http.get(f"/v1/runs/{branched}/explain").json()["parts"]
    assert [part for part in parts if part["path"] == BRANCH] == [
        {
            "path": BRANCH,
            "state": "SKIPPED",
            "code": "condition_not_met",
            "text": "its condition is not met: compare-Output >= least, but compare-Output is 0 and least is 2",
        }
    ]


def test_a_task_of_it_can_be_asked_for_though_it_was_never_made(api: Api, branched: RunId) -> None:
    def asked(task: str) -> Any:
        return api.http.get(f"/v1/runs/{branched}/explain", params={"task": task})

    found = asked(f"{BRANCH}.echo").json()
    assert found["tasks"] == []
    assert [part["path"] for part in found["parts"]] == [BRANCH]
    assert asked("exit-handler-1.count").json()["parts"] == []
    api.refused(asked(f"{BRANCH}.nobody"), 404)
    api.refused(asked("nobody"), 404)


def test_a_run_that_ended_has_nothing_pending(api: Api, engine: Engine, run: RunId) -> None:
    with engine.begin() as connection:
        connection.execute(
            update(schema.runs)
            .where(schema.runs.c.id == run)
            .values(state="FAILED", finished_at=datetime.now(UTC))
        )
    tasks = api.http.get(f"/v1/runs/{run}/explain").json()["tasks"]
    assert [task["pending"] for task in tasks] == [None] * 3


def test_every_field_of_an_explanation_is_documented(api: Api) -> None:
    schemas = api.http.get("/openapi.json").json()["components"]["schemas"]
    assert schemas["ChangeBody"]["example"]["kind"] == "time"
    assert set(schemas["CandidateBody"]["example"]["scores"]) == {
        "run_seconds", "run_low", "run_high", "transfer_seconds", "wait_seconds", "finish_seconds",
    }  # fmt: skip
