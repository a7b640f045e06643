"""POST /v1/runs: what gets in, and that it gets in once and whole."""

import threading
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Engine, select

from nodewise.core.db import schema
from nodewise.core.messages import WAKE_SCHEDULER
from nodewise.core.model.resources import Resources
from nodewise.core.settings import Settings
from tests.integration.api.conftest import Api, running
from tests.support.pipelines import compiled, hints
from tests.support.rows import insert_node


def rows(engine: Engine, table: str) -> list[Any]:
    with engine.connect() as connection:
        return list(connection.execute(select(schema.metadata.tables[table])).mappings())


def test_a_submission_is_accepted_with_its_location(api: Api) -> None:
    answer = api.submit(name="first", team="blue", labels={"wave": "1"})
    run = answer.json()
    assert answer.status_code == 202
    assert answer.headers["location"] == f"/v1/runs/{run['id']}"
    assert run["name"] == "first"
    assert run["pipeline"] == "wine"
    assert run["state"] == "PENDING"
    assert run["team"] == "blue"
    assert run["labels"] == {"wave": "1"}
    assert run["tasks"] == {"total": 3, "by_state": {"WAITING": 2, "READY": 1}}
    assert run["submitted_at"].endswith("Z")
    assert {**api.http.get(answer.headers["location"]).json(), "findings": []} == run


def test_a_run_is_a_part_of_its_submitters_trace_or_one_of_its_own(api: Api, engine: Engine) -> None:
    given = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    body = {"pipeline_spec": compiled()}
    runs = [
        api.http.post("/v1/runs", json=body, headers={"traceparent": text}).json()
        for text in (given, "nonsense")
    ]
    assert [run["trace_id"] for run in runs] == [given[3:35], runs[1]["id"].replace("-", "")]
    shown = [api.http.get(f"/v1/runs/{run['id']}").json() for run in runs]
    assert [run["trace_id"] for run in shown] == [run["trace_id"] for run in runs]
    assert {row["traceparent"] for row in rows(engine, "runs")} == {given, None}
    assert "traceparent" not in runs[0]


def test_what_goes_wrong_after_a_run_was_taken_refuses_nothing(
    api: Api, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object) -> None:
        raise OverflowError("a data set of so many rows")

    monkeypatch.setattr("nodewise.api.routes.submit.unfit_now", fails)
    answer = api.submit()
    assert (answer.status_code, answer.json()["findings"]) == (202, None)
    assert len(rows(engine, "runs")) == 1


def test_roots_are_ready_and_the_rest_wait_for_what_they_need(api: Api, engine: Engine) -> None:
    api.accepted()
    by_path = {row["path"]: row for row in rows(engine, "tasks")}
    assert by_path["preprocess"]["state"] == "READY"
    assert by_path["preprocess"]["ready_at"] is not None
    assert by_path["train"]["state"] == "WAITING"
    assert by_path["train"]["ready_at"] is None
    assert by_path["train"]["reason_code"] == "upstream_not_finished"
    assert by_path["train"]["upstream"] == ["preprocess"]
    assert [by_path[path]["ordinal"] for path in ("preprocess", "train", "evaluate")] == [0, 1, 2]


def test_the_first_events_are_written_with_the_run(api: Api, engine: Engine) -> None:
    api.accepted()
    written = [
        (row["path"], row["event"], row["from_state"], row["to_state"]) for row in rows(engine, "events")
    ]
    assert written == [
        (None, "submit", None, "PENDING"),
        ("preprocess", "submit", None, "READY"),
        ("train", "submit", None, "WAITING"),
        ("evaluate", "submit", None, "WAITING"),
    ]


def test_a_submission_wakes_the_scheduler(api: Api) -> None:
    api.accepted()
    assert api.services.redis.exists(WAKE_SCHEDULER)


def test_equal_pipelines_are_stored_once(api: Api, engine: Engine) -> None:
    api.accepted()
    api.accepted()
    api.accepted(compiled("other"))
    assert len(rows(engine, "pipeline_specs")) == 2


def test_the_same_key_and_body_give_the_same_run(api: Api, engine: Engine) -> None:
    first = api.submit(key="k1", name="a")
    second = api.submit(key="k1", name="a")
    assert (first.status_code, second.status_code) == (202, 200)
    assert first.headers["location"] == second.headers["location"]
    assert len(rows(engine, "runs")) == 1


def test_the_same_key_with_another_body_is_a_conflict(api: Api, engine: Engine) -> None:
    api.submit(key="k1", name="a")
    problem = api.refused(api.submit(key="k1", name="b"), 409)
    assert "k1" in problem["detail"]
    assert len(rows(engine, "runs")) == 1


def test_a_key_belongs_to_its_team(api: Api, engine: Engine) -> None:
    assert api.submit(key="k1", team="a").status_code == 202
    assert api.submit(key="k1", team="b").status_code == 202
    assert len(rows(engine, "runs")) == 2


def test_a_repetition_succeeds_although_the_deadline_passed_since(api: Api) -> None:
    deadline = datetime.now(UTC) + timedelta(seconds=60)
    first = api.submit(key="k1", deadline=deadline.isoformat())
    api.clock.ahead = timedelta(seconds=61)
    assert api.submit(key="k1", deadline=deadline.isoformat()).json()["id"] == first.json()["id"]
    assert api.fields(api.submit(key="k2", deadline=deadline.isoformat())) == ["body.deadline"]


def test_simultaneous_repetitions_give_one_run(api: Api, engine: Engine) -> None:
    answers = []
    start = threading.Barrier(4)

    def submit() -> None:
        start.wait()
        answers.append(api.submit(key="race"))

    for _ in range(5):
        answers.clear()
        threads = [threading.Thread(target=submit) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert {answer.status_code for answer in answers} <= {200, 202}
        assert len({answer.headers["location"] for answer in answers}) == 1
    assert len(rows(engine, "runs")) == 1
    assert len(rows(engine, "tasks")) == 3


def test_the_pipelines_own_priority_deadline_and_team_are_defaults(api: Api) -> None:
    author = hints({"priority": 7, "deadlineSeconds": 3600, "team": "authors"})
    run = api.accepted(platform_spec=author)
    assert (run["priority"], run["team"]) == (7, "authors")
    took = datetime.fromisoformat(run["deadline"]) - datetime.fromisoformat(run["submitted_at"])
    assert took == timedelta(hours=1)
    overridden = api.accepted(platform_spec=author, priority=1, team="mine", deadline="2099-01-01T00:00:00Z")
    assert (overridden["priority"], overridden["team"]) == (1, "mine")
    assert overridden["deadline"] == "2099-01-01T00:00:00Z"


def test_a_preset_names_policy_and_strategy(api: Api) -> None:
    run = api.accepted(strategy="fifo_random")
    assert (run["policy"], run["strategy"]) == ("fifo", "random")
    run = api.accepted(strategy="fifo_random", policy="priority")
    assert (run["policy"], run["strategy"]) == ("priority", "random")


def test_without_names_the_settings_decide(api: Api) -> None:
    run = api.accepted()
    assert (run["policy"], run["strategy"]) == (api.services.settings.policy, api.services.settings.strategy)


def test_parameters_are_bound_with_their_defaults(api: Api) -> None:
    spec = compiled(
        parameters={
            "samples": {"parameterType": "NUMBER_INTEGER"},
            "seed": {"parameterType": "NUMBER_INTEGER", "defaultValue": 3, "isOptional": True},
        }
    )
    assert api.accepted(spec, parameters={"samples": 10})["parameters"] == {"samples": 10, "seed": 3}
    assert api.fields(api.submit(spec)) == ["body.parameters.samples"]
    assert api.fields(api.submit(spec, parameters={"samples": 1, "nope": 1})) == ["body.parameters.nope"]


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"policy": "nope"}, "body.policy"),
        ({"strategy": "nope"}, "body.strategy"),
        ({"deadline": "2020-01-01T00:00:00Z"}, "body.deadline"),
        ({"deadline": "2099-01-01T00:00:00"}, "body.deadline"),
        ({"deadline": 4_000_000_000}, "body.deadline"),
        ({"priority": "5"}, "body.priority"),
        ({"priority": 10**30}, "body.priority"),
        ({"team": ""}, "body.team"),
        ({"name": "x" * 201}, "body.name"),
        ({"labels": {"k": 1}}, "body.labels.k"),
        ({"surprise": 1}, "body.surprise"),
        ({"platform_spec": {"platform": {}}}, "body.platform_spec.platform"),
        ({"platform_spec": hints({"priority": 2_000_000})}, "body.platform_spec.platforms.nodewise.pipelineConfig.priority"),
    ],
)  # fmt: skip
def test_a_field_that_breaks_a_rule_is_named(
    api: Api, engine: Engine, options: dict[str, Any], field: str
) -> None:
    assert api.fields(api.submit(**options)) == [field]
    assert rows(engine, "runs") == []
    assert rows(engine, "pipeline_specs") == []


def test_an_unknown_policy_lists_the_known_ones(api: Api) -> None:
    problem = api.refused(api.submit(policy="nope"), 422)
    assert "fifo" in problem["errors"][0]["rule"]


def test_what_is_wrong_in_the_pipeline_is_named_by_its_path(api: Api) -> None:
    spec = compiled()
    spec["root"]["dag"]["tasks"]["train"]["dependentTasks"] = ["nobody"]
    [field] = api.fields(api.submit(spec))
    assert field.startswith("body.pipeline_spec.root.dag.tasks.train")
    [field] = api.fields(api.submit(platform_spec=hints(train={"surprise": 1})))
    assert field.startswith("body.platform_spec.platforms.nodewise.deploymentSpec.executors.exec-train")


def test_a_registered_data_set_gives_a_task_its_measured_facts(api: Api, engine: Engine) -> None:
    api.http.put("/v1/datasets/wine", content=b"x" * 1000, params={"samples": 178})
    api.accepted(
        compiled(tasks={"train": ()}),
        platform_spec=hints(train={"dataset": {"name": "wine", "samples": 5, "features": 13}}),
    )
    [task] = rows(engine, "tasks")
    facts = task["spec"]["dataset"]
    assert (facts["samples"], facts["size_bytes"], facts["measured"]) == (178, 1000, True)
    assert facts["features"] == 13


def test_a_data_set_that_is_neither_registered_nor_described_is_refused(api: Api) -> None:
    only_named = hints(train={"dataset": {"name": "nowhere"}})
    assert api.fields(api.submit(platform_spec=only_named)) == [
        "body.platform_spec.platforms.nodewise.deploymentSpec.executors.exec-train.dataset.name"
    ]
    described = hints(train={"dataset": {"name": "nowhere", "samples": 10, "features": 2}})
    assert api.submit(platform_spec=described).status_code == 202


def test_the_largest_run_is_accepted_within_seconds(settings: Settings) -> None:
    limit = settings.max_tasks_per_run
    with running(settings) as api:
        started = datetime.now(UTC)
        run = api.accepted(compiled(tasks={f"t{number}": () for number in range(limit)}))
        assert run["tasks"]["total"] == limit
        assert datetime.now(UTC) - started < timedelta(seconds=20)
        too_many = compiled(tasks={f"t{number}": () for number in range(limit + 1)})
        [field] = api.fields(api.submit(too_many))
        assert field.startswith("body.pipeline_spec.root.dag.tasks.t")


def test_a_dead_redis_fails_nothing(settings: Settings) -> None:
    with running(settings.model_copy(update={"redis_url": "redis://127.0.0.1:1/0"})) as api:
        assert api.submit().status_code == 202
        assert api.http.get("/v1/nodes").json() == {"items": []}


def test_a_dead_postgres_is_a_matter_of_trying_again(settings: Settings) -> None:
    with running(settings.model_copy(update={"database_url": "postgresql://n@127.0.0.1:1/n"})) as api:
        answer = api.submit()
        api.refused(answer, 503)
        assert int(answer.headers["retry-after"]) > 0
        assert api.http.get("/healthz").status_code == 200
        api.refused(api.http.get("/readyz"), 503)


def test_what_no_node_can_take_is_told_of_and_submitted_all_the_same(api: Api, engine: Engine) -> None:
    """A task that is not the first: the scheduler would find that out much later."""
    pipeline = compiled()
    pipeline["deploymentSpec"]["executors"]["exec-evaluate"]["container"]["resources"] = {
        "resourceCpuLimit": "64"
    }
    assert api.accepted(pipeline)["findings"] == [], "nothing can be said where there is no node"
    with engine.begin() as connection:
        insert_node(connection, "small", Resources(millicores=4000, memory_mib=8000))
    api.services.nodes.now(api.services.engine)
    answer = api.submit(pipeline, key="k")
    assert answer.status_code == 202
    (found,) = answer.json()["findings"]
    assert (found["code"], found["paths"], found["tasks"]) == ("unsatisfiable", ["evaluate"], 1)
    assert "small: has 4 cores in all, needs 64" in found["text"]
    repeated = api.submit(pipeline, key="k")
    assert (repeated.status_code, repeated.json()["findings"]) == (200, [found])
    with engine.begin() as connection:
        insert_node(connection, "large", Resources(millicores=64_000, memory_mib=8000))
    # What was seen a moment ago never makes a warning.
    assert api.accepted(pipeline)["findings"] == []
