"""How long a task waited and ran, as shown."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from nodewise.api.views import task_view

NOW = datetime(2030, 1, 1, 12, tzinfo=UTC)


def at(seconds: float | None) -> datetime | None:
    return None if seconds is None else NOW + timedelta(seconds=seconds)


@pytest.mark.parametrize(
    ("state", "ready", "started", "finished", "waited", "ran"),
    [
        ("WAITING", None, None, None, None, None),
        ("READY", -4, None, None, 4, None),
        ("PLACED", -4, None, None, 4, None),
        ("RUNNING", -4, -1, None, 3, 1),
        ("SUCCEEDED", -9, -4, -2, 5, 2),
        ("SKIPPED", None, None, -2, None, None),
        ("CANCELED", -9, None, -2, 7, None),
        # The node's clock is behind ours.
        ("RUNNING", -4, -5, None, 0, 5),
    ],
)
def test_waiting_and_running_times(
    state: str, ready: float | None, started: float | None, finished: float | None, waited: Any, ran: Any
) -> None:
    row = {
        "run_id": "r", "state": state, "outputs": None, "ready_at": at(ready), "started_at": at(started),
        "finished_at": at(finished),
    }  # fmt: skip
    view = task_view(row, now=NOW)
    assert (view["waited_seconds"], view["ran_seconds"]) == (waited, ran)
