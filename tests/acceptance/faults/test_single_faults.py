"""One fault at a time, each by its name: every accepted run still ends well (issue: the main job, 6)."""

import signal
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
import redis

from nodewise.sdk import Client
from nodewise.sdk.client import Run
from nodewise.sdk.client.errors import ApiError, NotReachable
from tests.acceptance import acceptance_pipelines as pipelines
from tests.support.stack import RunningStack
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.stack, pytest.mark.timeout(240)]
PATIENCE = 90.0


@pytest.fixture(scope="module")
def breakable(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningStack]:
    running = RunningStack(home=tmp_path_factory.mktemp("breakable") / "home", placers=1)
    try:
        yield running.start()
    finally:
        running.stop()


def under_way(client: Client, folder: Path) -> list[Run]:
    """Six runs of three tasks, two of which have started."""
    runs = []
    for index in range(6):
        here = folder / str(index)
        here.mkdir()
        runs.append(client.submit(pipelines.patient, folder=str(here), seconds=0.7))
    wait_until(lambda: len(list(folder.glob("*/started-*"))) >= 2, PATIENCE, "two tasks to start")
    return runs


def answers(client: Client) -> bool:
    try:
        return client.queue()["counts"] is not None
    except (NotReachable, ApiError):
        return False


def assert_all_end_well(stack: RunningStack, runs: list[Run]) -> None:
    for run in runs:
        run.wait(timeout=PATIENCE, progress=False)
    with Client(stack.api_url) as client:
        audited = client.audit()
    assert audited["findings"] == []
    assert audited["runs"] >= len(runs)
    with psycopg.connect(stack.database_url) as connection:
        held = connection.execute("SELECT count(*) FROM bookings WHERE released_at IS NULL").fetchone()
    assert held == (0,)


@pytest.mark.parametrize("victim", ["scheduler", "placer-1", "recorder", "monitor", "api"])
def test_a_killed_service_is_started_again_and_all_runs_end_well(
    breakable: RunningStack, tmp_path: Path, victim: str
) -> None:
    with Client(breakable.api_url) as client:
        runs = under_way(client, tmp_path)
        killed = breakable.kill(victim)
        breakable.wait_restarted(victim, killed)
        wait_until(lambda: answers(client), PATIENCE, "the api to answer")
        assert_all_end_well(breakable, runs)
    starts = Counter(path.name.rsplit("-", 1)[0] for path in tmp_path.glob("*/started-*"))
    assert starts == {"started-first": 6, "started-second": 6, "started-third": 6}, "no task ran twice"


def test_a_killed_agent_loses_its_tasks_to_a_new_attempt(breakable: RunningStack, tmp_path: Path) -> None:
    with Client(breakable.api_url) as client:
        runs = under_way(client, tmp_path)

        def busy() -> list[str]:
            running = [t for run in runs for t in run.tasks() if t["state"] == "RUNNING" and t["node"]]
            return sorted(t["node"] for t in running)

        wait_until(lambda: bool(busy()), PATIENCE, "a task to be seen running")
        victim = f"agent-{busy()[0]}"
        breakable.wait_restarted(victim, breakable.kill(victim))
        assert_all_end_well(breakable, runs)
        states = Counter(a["state"] for run in runs for t in run.explain()["tasks"] for a in t["attempts"])
    assert states["SUCCEEDED"] == 18
    assert states["LOST"] >= 1, "the kill hit nothing: the test shows nothing"


def test_an_emptied_valkey_loses_nothing(breakable: RunningStack, tmp_path: Path) -> None:
    with Client(breakable.api_url) as client, redis.Redis.from_url(breakable.redis_url) as broker:
        runs = under_way(client, tmp_path)
        broker.flushall()
        assert_all_end_well(breakable, runs)


@pytest.mark.parametrize("server", ["valkey", "postgres"])
def test_a_killed_server_comes_back_and_all_runs_end_well(
    breakable: RunningStack, tmp_path: Path, server: str
) -> None:
    with Client(breakable.api_url) as client:
        runs = under_way(client, tmp_path)
        killed = breakable.kill(server)
        breakable.wait_restarted(server, killed)
        wait_until(lambda: answers(client), PATIENCE, "the api to answer")
        assert_all_end_well(breakable, runs)


def test_a_frozen_agent_is_given_up_and_its_late_report_changes_nothing(
    breakable: RunningStack, tmp_path: Path
) -> None:
    with Client(breakable.api_url) as client:
        runs = under_way(client, tmp_path)
        running = [
            t for run in runs for t in run.tasks() if t["state"] in {"PLACED", "RUNNING"} and t["node"]
        ]
        assert running, "nothing runs: the test shows nothing"
        victim = f"agent-{running[0]['node']}"
        breakable.kill(victim, signal.SIGSTOP)
        try:
            assert_all_end_well(breakable, runs)
        finally:
            breakable.kill(victim, signal.SIGCONT)
        node = running[0]["node"]
        wait_until(
            lambda: next(n for n in client.nodes() if n["name"] == node)["state"] == "READY",
            PATIENCE,
            "its return",
        )
        assert_all_end_well(breakable, runs)
