"""The main job through the whole stack, from the SDK: submit, order, place, run, record, explain."""

from pathlib import Path

import httpx
import psycopg
import pytest

from nodewise.sdk import Client
from nodewise.sdk.client import ApiError, RunFailed
from tests.acceptance import acceptance_pipelines as pipelines
from tests.support.stack import RunningStack
from tests.support.waiting import wait_until

pytestmark = pytest.mark.stack
PATIENCE = 60.0


@pytest.fixture
def client(stack: RunningStack) -> Client:
    with Client(stack.api_url) as client:
        yield client


def test_parameters_and_artifacts_travel_between_nodes(client: Client) -> None:
    run = client.submit(pipelines.fan, lines=7).wait(timeout=PATIENCE, progress=False)
    assert run.state == "SUCCEEDED"
    assert run.outputs("count") == {"Output": 7}
    assert run.outputs("add") == {"Output": 10}
    assert all(task["node"] and task["why_node"] for task in run.tasks())


def test_a_large_number_survives_the_record(client: Client) -> None:
    run = client.submit(pipelines.astronomic).wait(timeout=PATIENCE, progress=False)
    assert run.outputs("same") == {"Output": 1e20}


def test_a_failure_skips_what_needs_it_and_nothing_else(client: Client) -> None:
    run = client.submit(pipelines.half_broken)
    with pytest.raises(RunFailed):
        run.wait(timeout=PATIENCE, progress=False)
    states = {task["path"]: task["state"] for task in run.tasks()}
    assert states == {"shout": "FAILED", "add": "SKIPPED", "number": "SUCCEEDED", "add-2": "SUCCEEDED"}
    assert "no luck today" in (run.refresh().info["error"] or "")
    log = run.logs("shout")
    assert "luck" in log
    assert "Traceback" in log


def test_a_task_is_tried_again_as_often_as_it_may(client: Client, tmp_path: Path) -> None:
    run = client.submit(pipelines.second_wind, marker=str(tmp_path / "m")).wait(
        timeout=PATIENCE, progress=False
    )
    (task,) = run.tasks()
    assert (task["attempt"], task["failures"]) == (3, 2)
    attempts = run.explain()["tasks"][0]["attempts"]
    assert sorted(a["state"] for a in attempts) == ["FAILED", "FAILED", "SUCCEEDED"]


def test_a_run_can_be_cancelled_while_it_runs(client: Client, tmp_path: Path) -> None:
    run = client.submit(pipelines.patient, folder=str(tmp_path), seconds=30.0)
    wait_until(lambda: any(tmp_path.glob("started-first-*")), PATIENCE, "the first task to start")
    run.cancel()
    run.wait(timeout=PATIENCE, progress=False, check=False)
    assert run.state == "CANCELED"
    assert {task["state"] for task in run.tasks()} == {"CANCELED"}
    assert not list(tmp_path.glob("ended-*"))
    with pytest.raises(ApiError, match="already ended") as refused:
        run.cancel()
    assert refused.value.status == 409


def test_what_fits_nowhere_says_so_and_can_be_cancelled(client: Client) -> None:
    run = client.submit(pipelines.needs_much)
    wait_until(lambda: run.tasks()[0]["reason_code"] == "unsatisfiable", PATIENCE, "the reason")
    reason = run.tasks()[0]["reason"]
    assert "512" in reason
    run.cancel().wait(timeout=PATIENCE, progress=False, check=False)
    assert run.state == "CANCELED"


def test_the_same_key_makes_one_run(client: Client) -> None:
    first = client.submit(pipelines.fan, idempotency_key="once-only", lines=2)
    again = client.submit(pipelines.fan, idempotency_key="once-only", lines=2)
    assert first.id == again.id
    with pytest.raises(ApiError) as refused:
        client.submit(pipelines.fan, idempotency_key="once-only", lines=3)
    assert refused.value.status == 409
    first.wait(timeout=PATIENCE, progress=False)


@pytest.mark.parametrize(
    "strategy", ["random_random", "fifo_random", "fifo_round_robin", "fifo_greedy", "custom", "round_robin"]
)
def test_every_strategy_and_preset_carries_a_run_to_its_end(client: Client, strategy: str) -> None:
    run = client.submit(pipelines.fan, strategy=strategy).wait(timeout=PATIENCE, progress=False)
    assert run.state == "SUCCEEDED"


def test_events_tell_the_whole_life(client: Client) -> None:
    run = client.submit(pipelines.fan)
    seen = list(run.events())
    assert [e for e in seen if e.kind == "run"][-1].state == "SUCCEEDED"
    lives = [e.state for e in seen if e.data.get("path") == "add"]
    assert lives[0] == "WAITING"
    assert lives[-1] == "SUCCEEDED"
    assert [s for s in lives if s != "RUNNING"] == ["WAITING", "READY", "ADMITTED", "PLACED", "SUCCEEDED"]


def test_the_tables_answer_in_sql(client: Client, stack: RunningStack) -> None:
    run = client.submit(pipelines.fan, name="for-sql").wait(timeout=PATIENCE, progress=False)
    with psycopg.connect(stack.database_url) as connection:
        times = connection.execute(
            "SELECT state, waiting_seconds, execution_seconds FROM run_times WHERE run_id = %s", (run.id,)
        ).fetchone()
        tasks = connection.execute(
            "SELECT node, ran_seconds FROM task_times WHERE run_id = %s", (run.id,)
        ).fetchall()
        overbooked = connection.execute("SELECT count(*) FROM booking_peaks WHERE overbooked").fetchone()
    assert times is not None
    assert times[0] == "SUCCEEDED"
    assert times[1] >= 0
    assert times[2] > 0
    assert len(tasks) == 5
    assert all(node and ran > 0 for node, ran in tasks)
    assert overbooked == (0,)


def test_every_service_exposes_its_own_metrics(stack: RunningStack) -> None:
    expected = {
        "api": "nodewise_",
        "monitor": "nodewise_monitor",
        "scheduler": "nodewise_cycle_seconds",
        "placer-1": "nodewise_placements_total",
        "recorder": "nodewise_",
        "agent-n1": "node_memory_MemAvailable_bytes",
    }
    for name, metric in expected.items():
        text = httpx.get(f"http://127.0.0.1:{stack.process(name).port}/metrics", follow_redirects=True).text
        assert metric in text, name


def test_nodes_carry_fresh_figures(client: Client) -> None:
    def figures() -> list[object]:
        return [(node["observation"] or {}).get("available_memory_mib") for node in client.nodes()]

    wait_until(lambda: all(f and f["fresh"] for f in figures()), PATIENCE, "figures of all nodes")
    assert len({tuple(node["capacity"].items()) for node in client.nodes()}) > 1, (
        "nodes are unlike each other"
    )
