"""Recurring runs on the whole stack."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import pairwise

import pytest

from nodewise.sdk import Client
from tests.acceptance import acceptance_pipelines as pipelines
from tests.support.stack import RunningStack
from tests.support.waiting import wait_until

pytestmark = pytest.mark.stack
PATIENCE = 60.0


@pytest.fixture
def client(stack: RunningStack) -> Iterator[Client]:
    with Client(stack.api_url) as client:
        yield client


def test_an_interval_of_a_second_makes_runs_that_end_well_until_it_is_disabled(client: Client) -> None:
    schedule = client.schedule(pipelines.kicked_off, name="every second", every=1, max_concurrency=3)
    wait_until(lambda: len(list(schedule.runs())) >= 3, PATIENCE, "three runs")
    assert schedule.disable().info["last_error"] is None
    runs = [run.wait(timeout=PATIENCE, progress=False) for run in schedule.runs()]
    assert {run.state for run in runs} == {"SUCCEEDED"}
    times = sorted(datetime.fromisoformat(run.info["scheduled_for"] or "") for run in runs)
    assert {later - earlier for earlier, later in pairwise(times)} == {timedelta(seconds=1)}
    for run in runs:
        told = datetime.fromisoformat(run.outputs("twice")["Output"].split()[0])
        assert told == datetime.fromisoformat(run.info["scheduled_for"] or "")
    assert schedule.refresh().info["active_runs"] == 0
    assert len(list(schedule.runs())) == len(runs)
    schedule.delete()


def test_a_schedule_can_be_run_at_once_on_the_stack(client: Client) -> None:
    schedule = client.schedule(pipelines.kicked_off, name="yearly", cron="@yearly", enabled=False)
    run = schedule.run().wait(timeout=PATIENCE, progress=False)
    assert run.state == "SUCCEEDED"
    assert [one.id for one in schedule.runs()] == [run.id]
    schedule.delete()
