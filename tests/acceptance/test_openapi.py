"""The gateway is what its OpenAPI document says: every endpoint, by a tool that knows nothing else of it."""

import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import psycopg
import pytest

from nodewise.sdk import Client
from tests.acceptance import acceptance_pipelines as pipelines
from tests.fuzzing.__main__ import MOST_GROWN_MIB, fuzzed
from tests.support.schemathesis import all_checks, require_schemathesis
from tests.support.stack import API_KEY, RunningStack

pytestmark = [pytest.mark.stack, pytest.mark.timeout(1200)]
MALFORMED = int(os.environ.get("NODEWISE_MALFORMED", "390"))
EXAMPLES = int(os.environ.get("NODEWISE_SCHEMATHESIS_EXAMPLES", "10"))
SEED = int(os.environ.get("NODEWISE_SCHEMATHESIS_SEED", "1"))
SUMMARY = re.compile(r"(\d+) generated, (\d+) passed")


@pytest.fixture(scope="module")
def attacked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningStack]:
    """A stack of its own: what is sent here makes runs and schedules of every kind."""
    stack = RunningStack(home=tmp_path_factory.mktemp("attacked") / "home", agents=1).start()
    try:
        yield stack
    finally:
        stack.stop()


def test_malformed_submissions_are_all_refused_and_leave_nothing(attacked: RunningStack) -> None:
    with Client(attacked.api_url) as client:
        before = rows(attacked)
        client.submit(pipelines.fan, lines=2).wait(timeout=120, progress=False)
        account = fuzzed(attacked, count=MALFORMED, seed=SEED)
    assert account.wrong == []
    assert account.sent == MALFORMED
    assert account.grown_mib < MOST_GROWN_MIB, account
    assert rows(attacked) == (before[0] + 1, *before[1:])


def test_all_checks_of_schemathesis_pass_on_every_endpoint(attacked: RunningStack, tmp_path: Path) -> None:
    require_schemathesis()
    found, operations = checked(attacked, tmp_path / "schemathesis.toml")
    assert found.returncode == 0, found.stdout + found.stderr
    made = SUMMARY.search(found.stdout)
    assert made is not None, found.stdout
    assert int(made[1]) == int(made[2]) >= 20 * operations
    assert f"{operations} selected" in found.stdout


def rows(stack: RunningStack) -> tuple[int, ...]:
    """How many runs, schedules and data sets there are."""
    with psycopg.connect(stack.database_url) as connection:
        found = connection.execute(
            "SELECT (SELECT count(*) FROM runs), (SELECT count(*) FROM schedules), (SELECT count(*) FROM datasets)"
        ).fetchone()
    assert found is not None
    return tuple(found)


def checked(stack: RunningStack, config: Path) -> "tuple[subprocess.CompletedProcess[str], int]":
    """What it found, and how many endpoints there are."""
    with Client(stack.api_url) as client:
        run = client.submit(pipelines.fan, lines=2).wait(timeout=120, progress=False)
        # No schedule: it would be deleted, and missed from then on. Those that are made on the way lead to the rest.
        known = {"run_id": run.id, "path": run.tasks()[0]["path"]}
    document = httpx.get(f"{stack.api_url}/openapi.json", timeout=30).json()
    found = all_checks(stack.api_url, config, examples=EXAMPLES, seed=SEED, parameters=known, key=API_KEY)
    return found, sum(map(len, document["paths"].values()))
