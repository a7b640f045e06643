"""What ran once is known the next time: through the whole stack, as the API tells it."""

import time
from typing import Any

import psycopg
import pytest

from nodewise.sdk import Client
from tests.acceptance import acceptance_pipelines as pipelines
from tests.support.stack import RunningStack

pytestmark = pytest.mark.stack
PATIENCE = 60.0


Tasks = dict[str, Any]


def repeated(before: Tasks, told: Tasks) -> list[Any]:
    """The tasks whose class has run before on the same node."""
    where = {(task["task_class"], task["node"]) for task in before.values()}
    return [task for task in told.values() if (task["task_class"], task["node"]) in where]


def after_it(client: Client, before: Tasks) -> Tasks:
    """The tasks of a second run; of one more where it went elsewhere, or placers have not learned yet.

    A placer rests after a fit, for longer the longer it took: on a busy machine several short runs fit into that.
    """
    told: Tasks = {}
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        run = client.submit(pipelines.fan, lines=3).wait(timeout=PATIENCE, progress=False)
        told = {task["path"]: task for task in run.tasks()}
        again = repeated(before, told)
        if again and all(task["prediction_samples"] >= 1 for task in again):
            break
    return told


def test_the_second_run_is_predicted_from_the_first_and_every_prediction_meets_its_outcome(
    stack: RunningStack,
) -> None:
    with Client(stack.api_url) as client:
        first = client.submit(pipelines.fan, lines=3).wait(timeout=PATIENCE, progress=False)
        before = {task["path"]: task for task in first.tasks()}
        told = after_it(client, before)
    assert all(task["predicted_seconds"] is not None for task in before.values())
    for task in told.values():
        assert task["predicted_low"] <= task["predicted_seconds"] <= task["predicted_high"]
        assert task["predicted_memory_low"] <= task["predicted_memory_mib"] <= task["predicted_memory_high"]
        assert task["prediction_basis"] in {"pooled", "learned"}
    assert repeated(before, told)
    assert [task for task in repeated(before, told) if task["prediction_samples"] < 1] == [], before
    with psycopg.connect(stack.database_url) as connection:
        row = connection.execute(
            "SELECT attempts, median_error_share FROM calibration WHERE task_class IS NULL"
        ).fetchone()
    assert row is not None
    assert row[0] >= len(before) + len(told)
    assert row[1] is not None
