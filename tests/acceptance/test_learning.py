"""What ran once is known the next time: through the whole stack, as the API tells it."""

import psycopg
import pytest

from nodewise.sdk import Client
from tests.acceptance import acceptance_pipelines as pipelines
from tests.support.stack import RunningStack

pytestmark = pytest.mark.stack
PATIENCE = 60.0


def test_the_second_run_is_predicted_from_the_first_and_every_prediction_meets_its_outcome(
    stack: RunningStack,
) -> None:
    with Client(stack.api_url) as client:
        first = client.submit(pipelines.fan, lines=3).wait(timeout=PATIENCE, progress=False)
        second = client.submit(pipelines.fan, lines=3).wait(timeout=PATIENCE, progress=False)
        before, told = ({task["path"]: task for task in run.tasks()} for run in (first, second))
    assert all(task["predicted_seconds"] is not None for task in before.values())
    for task in told.values():
        assert task["predicted_low"] <= task["predicted_seconds"] <= task["predicted_high"]
        assert task["predicted_memory_low"] <= task["predicted_memory_mib"] <= task["predicted_memory_high"]
        assert task["prediction_basis"] in {"pooled", "learned"}
    where = {(task["task_class"], task["node"]) for task in before.values()}
    again = [task for task in told.values() if (task["task_class"], task["node"]) in where]
    assert again
    assert [task for task in again if task["prediction_samples"] < 1] == [], before
    with psycopg.connect(stack.database_url) as connection:
        row = connection.execute(
            "SELECT attempts, median_error_share FROM calibration WHERE task_class IS NULL"
        ).fetchone()
    assert row is not None
    assert row[0] >= len(before) + len(told)
    assert row[1] is not None
