"""Four placers at once, hundreds of tasks of a tenth of a core on four nodes.

Five hundred with `NODEWISE_EXAMPLES=1`; `tests/integration/placer/test_many_placers.py` always has as many, without agents.
"""

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from nodewise.sdk import Client
from tests.acceptance import acceptance_pipelines as pipelines
from tests.support.examples import examples
from tests.support.stack import RunningStack

pytestmark = [pytest.mark.stack, pytest.mark.timeout(400)]

RUNS = examples(10)
OVERBOOKED = """
WITH changes AS (
    SELECT node, booked_at AS at, millicores, memory_mib FROM bookings
    UNION ALL
    SELECT node, released_at, -millicores, -memory_mib FROM bookings WHERE released_at IS NOT NULL
), levels AS (
    SELECT node, sum(millicores) OVER w AS millicores, sum(memory_mib) OVER w AS memory_mib
    FROM changes WINDOW w AS (PARTITION BY node ORDER BY at, millicores)
)
SELECT l.node, max(l.millicores) AS peak, c.capacity_millicores
FROM levels AS l JOIN node_loads AS c USING (node)
GROUP BY l.node, c.capacity_millicores, c.capacity_memory_mib
HAVING max(l.millicores) > c.capacity_millicores OR max(l.memory_mib) > c.capacity_memory_mib
"""


@pytest.fixture
def four_placers(tmp_path: Path) -> Iterator[RunningStack]:
    # A machine that is too busy to let an agent speak for ten seconds must not have tasks run twice here.
    running = RunningStack(home=tmp_path / "home", placers=4, env={"NODEWISE_LEASE_SECONDS": "90"})
    try:
        yield running.start()
    finally:
        running.stop()


def test_no_node_is_ever_overbooked_and_each_task_runs_once(four_placers: RunningStack) -> None:
    with Client(four_placers.api_url) as client:
        runs = [client.submit(pipelines.burst) for _ in range(RUNS)]
        for run in runs:
            run.wait(timeout=360, progress=False)
    with psycopg.connect(four_placers.database_url) as connection:
        overbooked = connection.execute(OVERBOOKED).fetchall()
        attempts = connection.execute(
            "SELECT count(*), count(DISTINCT (run_id, path)) FROM attempts"
        ).fetchone()
        again = connection.execute(
            "SELECT state, end_code, end_message FROM attempts WHERE state <> 'SUCCEEDED'"
        ).fetchall()
        ended = connection.execute(
            "SELECT count(*) FROM attempts WHERE state = 'SUCCEEDED' AND attempt = 1"
        ).fetchone()
        still_booked = connection.execute(
            "SELECT sum(booked_millicores + running_tasks) FROM node_loads"
        ).fetchone()
        placers = connection.execute("SELECT count(DISTINCT placer) FROM attempts").fetchone()
    assert overbooked == []
    assert again == []
    assert attempts == (RUNS * 50, RUNS * 50)
    assert ended == (RUNS * 50,)
    assert still_booked == (0,)
    assert placers is not None
    assert placers[0] > 1, "only one placer ever placed: the test shows nothing"
