"""What would become of a submission, over HTTP: nothing is stored, everything is checked."""

import json
import threading
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Engine, text

from nodewise.core.db.queries.bookings import BookingRequest, book
from nodewise.core.db.queries.estimates import record_outcomes
from nodewise.core.estimates.learning import Observation, Query
from nodewise.core.ir.outline import outline
from nodewise.core.lifecycle import RunState, TaskState
from nodewise.core.model.ids import AttemptKey, NodeName, TaskPath
from nodewise.core.model.resources import Resources
from nodewise.core.settings import Settings
from tests.integration.api.conftest import Api, running
from tests.support.dynamic_runs import compiled_documents
from tests.support.pipelines import compiled
from tests.support.rows import insert_attempt, insert_node, insert_run, insert_task
from tests.support.whole_pipelines import documents, program
from tests.unit.core_ir.corpus import handwritten as by_hand
from tests.unit.core_ir.corpus.every import CASES

ROOMY = Resources(millicores=4000, memory_mib=8000)


def ask(api: Api, pipeline: dict[str, Any] | None = None, **options: Any) -> Any:
    return api.http.post("/v1/plans", json={"pipeline_spec": pipeline or compiled(), **options})


def answered(api: Api, pipeline: dict[str, Any] | None = None, **options: Any) -> dict[str, Any]:
    answer = ask(api, pipeline, **options)
    assert answer.status_code == 200, answer.text
    plan: dict[str, Any] = answer.json()
    return plan


def moment(value: str) -> datetime:
    return datetime.fromisoformat(value)


@pytest.fixture
def node(engine: Engine) -> str:
    with engine.begin() as connection:
        return insert_node(connection, "n1", ROOMY)


def test_every_task_has_a_node_a_start_and_an_end_with_intervals(api: Api, node: str) -> None:
    plan = answered(api)
    assert [task["path"] for task in plan["tasks"]] == ["preprocess", "train", "evaluate"]
    assert {task["node"] for task in plan["tasks"]} == {node}
    for task in plan["tasks"]:
        times = [moment(task[name]) for name in ("start_low", "start", "start_high")]
        ends = [moment(task[name]) for name in ("finish_low", "finish", "finish_high")]
        assert times == sorted(times)
        assert ends == sorted(ends)
        assert task["run_low"] <= task["run_seconds"] <= task["run_high"]
        assert task["prediction_basis"] == "prior"
    first, second, third = plan["tasks"]
    assert (first["waits_for"], second["waits_for"]) == ([], ["preprocess"])
    assert moment(second["start"]) <= moment(third["start"])
    assert (plan["start"], plan["finish"]) == (first["start"], third["finish"])
    assert plan["finish_low"] <= plan["finish"] <= plan["finish_high"]
    assert (plan["policy"], plan["strategy"], plan["unplannable"]) == (
        api.services.settings.policy, api.services.settings.strategy, [],
    )  # fmt: skip
    assert 0 < plan["lower_bound_seconds"] <= plan["makespan_seconds"]


def test_nothing_is_stored_and_nobody_is_woken(api: Api, engine: Engine, node: str) -> None:
    answered(api)
    with engine.begin() as connection:
        for table in ("runs", "tasks", "pipeline_specs", "events", "attempts", "bookings"):
            assert connection.scalar(text(f"SELECT count(*) FROM {table}")) == 0
    assert list(api.services.redis.scan_iter("*wake*")) == []


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"policy": "absent"}, "body.policy"),
        ({"strategy": "absent"}, "body.strategy"),
        ({"parameters": {"absent": 1}}, "body.parameters.absent"),
        ({"deadline": "2020-01-01T00:00:00Z"}, "body.deadline"),
        ({"absent": 1}, "body.absent"),
        ({"priority": "high"}, "body.priority"),
    ],
)
def test_what_a_submission_may_not_say_a_question_may_not(
    api: Api, options: dict[str, Any], field: str
) -> None:
    assert api.fields(ask(api, **options)) == api.fields(api.submit(**options)) == [field]


def test_bad_bodies_are_refused_as_for_submissions(api: Api) -> None:
    assert api.refused(api.http.post("/v1/plans", content=b"{"), 415)
    headers = {"Content-Type": "application/json"}
    assert api.refused(api.http.post("/v1/plans", content=b"{", headers=headers), 400)
    large = json.dumps({"pipeline_spec": {"comment": "x" * (1024**2 + 1)}})
    assert api.refused(api.http.post("/v1/plans", content=large, headers=headers), 413)
    assert api.fields(ask(api, {"pipelineInfo": {"name": "x"}})) != []


def test_a_cluster_without_nodes_plans_nothing(api: Api) -> None:
    plan = answered(api)
    assert (plan["tasks"], plan["finish"], plan["optimal"]) == ([], None, False)
    assert [left["path"] for left in plan["unplannable"]] == ["preprocess", "train", "evaluate"]


def test_what_no_node_can_take_is_told_and_the_rest_is_planned(api: Api, engine: Engine) -> None:
    with engine.begin() as connection:
        insert_node(connection, "small", Resources(millicores=10, memory_mib=10))
    plan = answered(api)
    assert plan["tasks"] == []
    assert "no node can ever take it" in plan["unplannable"][0]["reason"]
    assert plan["unplannable"][1]["reason"] == "it needs preprocess, which cannot be planned"


def test_todays_queue_comes_before(api: Api, engine: Engine, node: str) -> None:
    began = datetime.now(UTC) - timedelta(seconds=1)
    with engine.begin() as connection:
        run_id = insert_run(connection, state=RunState.RUNNING, submitted_at=began)
        insert_task(connection, run_id, "long", state=TaskState.RUNNING, attempt=1, resources=ROOMY)
        insert_task(connection, run_id, "next", ordinal=1, resources=ROOMY)
        insert_attempt(
            connection, run_id, "long", node, state="RUNNING", placed_at=began, started_at=began, predicted_seconds=60.0,
            predicted_low=50.0, predicted_high=70.0, prediction_level=0.8, prediction_basis="learned", prediction_samples=5,
        )  # fmt: skip
        key = AttemptKey(run_id=run_id, path=TaskPath("long"), attempt=1)
        assert book(connection, [BookingRequest(key=key, node=NodeName(node), resources=ROOMY)])
    plan = answered(api)
    assert plan["queue"] == {"tasks_before": 1, "tasks_running": 1, "left_out": None}
    first = plan["tasks"][0]
    assert moment(first["start"]) - moment(plan["planned_at"]) > timedelta(seconds=50)
    assert first["waits_for"] == [f"{run_id}/next"]


def test_of_a_long_queue_a_part_is_planned_and_the_rest_is_told_of(
    engine: Engine, settings: Settings
) -> None:
    """As many runs as a look of the scheduler sees; the others stand in the answer, by number."""
    with engine.begin() as connection:
        insert_node(connection, "n1", ROOMY)
        for number in range(40):
            run_id = insert_run(connection, name=f"run {number}", policy="fifo")
            insert_task(connection, run_id, "a", resources=ROOMY)
            insert_task(connection, run_id, "b", ordinal=1, resources=ROOMY)
    with running(settings.model_copy(update={"queue_window": 10})) as api:
        plan = answered(api)
    left_out = plan["queue"]["left_out"]
    assert 30 <= left_out["runs"] < 40
    assert left_out["tasks"] == 2 * left_out["runs"]
    assert f"{left_out['runs']} runs with {left_out['tasks']} tasks wait beside" in left_out["text"]
    assert plan["queue"]["tasks_before"] <= 2 * (40 - left_out["runs"])
    assert plan["tasks"]


def test_what_was_learned_shows_at_once(api: Api, engine: Engine, node: str) -> None:
    before = answered(api)["tasks"][1]
    with engine.begin() as connection:
        query = Query(task_class="other/train", node_class="default")
        seen = [Observation(query=query, seconds=500.0, peak_memory_mib=50.0) for _ in range(5)]
        record_outcomes(connection, seen, at=datetime.now(UTC))
    after = answered(api)["tasks"][1]
    assert (before["prediction_basis"], after["prediction_basis"]) == ("prior", "learned")
    assert after["run_seconds"] > before["run_seconds"]


@pytest.mark.parametrize("strategy", ["heft", "portfolio"])
def test_a_planner_may_be_named(api: Api, node: str, strategy: str) -> None:
    plan = answered(api, strategy=strategy)
    assert (plan["strategy"], plan["basis"].split(":")[0]) == (strategy, strategy)


def test_questions_do_not_keep_others_waiting(api: Api, node: str) -> None:
    """While as many plans are made as may be at once and more are asked for, the rest of the API answers."""
    assert api.services.planning.total_tokens == 2
    asked = [threading.Thread(target=answered, args=(api,)) for _ in range(4)]
    for thread in asked:
        thread.start()
    assert api.http.get("/v1/nodes").status_code == 200
    for thread in asked:
        thread.join()


def test_the_answer_is_documented_with_an_example(api: Api) -> None:
    document = api.http.get("/openapi.json").json()
    operation = document["paths"]["/v1/plans"]["post"]
    schema = operation["requestBody"]["content"]["application/json"]["schema"]
    assert (
        schema
        == document["paths"]["/v1/runs"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    )
    example = document["components"]["schemas"]["Plan"]["example"]
    assert set(example) == set(document["components"]["schemas"]["Plan"]["properties"])
    assert {"400", "413", "415", "422", "503"} <= set(operation["responses"])


def test_every_task_that_can_be_told_before_is_in_the_plan(api: Api, node: str) -> None:
    """Loops over constants are written out, others count as once; every branch and sub-pipeline, and the exit task, is there."""
    ir, _ = documents("everything")
    expected = {str(task.path): task.upstream for task in outline(program("everything"))}
    plan = answered(api, ir)
    named = {task["path"]: tuple(task["waits_for"]) for task in plan["tasks"]}
    assert plan["unplannable"] == []
    assert named.keys() == expected.keys()
    assert all(set(named[path]) <= set(upstream) for path, upstream in expected.items())
    assert {
        "exit-handler-1.for-loop-2[0].make",
        "exit-handler-1.condition-branches-4.condition-5.echo",
        "exit-handler-1.condition-branches-4.condition-6.noop",
        "inner.add-2",
        "report",
    } <= named.keys()
    starts = {task["path"]: moment(task["start"]) for task in plan["tasks"]}
    for path, upstream in named.items():
        assert all(starts[before] <= starts[path] for before in upstream)


def test_a_loop_over_constants_is_planned_once_for_each(api: Api, node: str) -> None:
    case = next(case for case in CASES if case.name == "nested-loops")
    plan = answered(api, compiled_documents(case.pipeline)[0])
    assert {task["path"] for task in plan["tasks"]} == set(case.succeeded.split())


@pytest.mark.parametrize("endpoint", ["/v1/plans", "/v1/runs"])
def test_what_would_fail_in_every_run_is_refused_before_there_is_one(
    api: Api, engine: Engine, endpoint: str
) -> None:
    body = by_hand.leaf(takes={"item": "NUMBER_INTEGER"})
    loop = by_hand.document({"loop": by_hand.task("body", items=[1, "a"])}, {"body": body})
    undecided = compiled()
    undecided["root"]["dag"]["tasks"]["train"]["triggerPolicy"] = {"condition": "1 < 'a'"}
    for pipeline, place in (
        (loop, "loop.parameterIterator.items.raw[1]"),
        (undecided, "train.triggerPolicy.condition"),
    ):
        answer = api.http.post(endpoint, json={"pipeline_spec": pipeline})
        assert api.fields(answer) == [f"body.pipeline_spec.root.dag.tasks.{place}"]
    with engine.connect() as connection:
        assert connection.execute(text("SELECT count(*) FROM runs")).scalar_one() == 0
