"""Ninety seconds of `make chaos`."""

import time
from pathlib import Path

import pytest

from tests.acceptance.faults.chaos import Plan, described, run_chaos, summary

SECONDS = 90.0
LIMIT_SECONDS = 60.0
"""Generous, since other tests run beside this one; `make chaos` allows ten."""


@pytest.mark.stack
@pytest.mark.timeout(1800)
def test_nothing_is_lost_doubled_or_overbooked_whatever_breaks(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    seed = int(time.time())
    folder: Path = tmp_path_factory.mktemp("chaos")
    print(f"SEED={seed}")
    plan = Plan(seed=seed, seconds=SECONDS, runs=30, limit_seconds=LIMIT_SECONDS)
    outcome = run_chaos(plan, folder, print)
    print(summary(outcome))
    assert not outcome.wrong, described(outcome)
    assert len(outcome.struck) >= 5, "hardly anything broke: this shows nothing"
