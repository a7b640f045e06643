"""`nodewise nodes` against the API on a loopback port."""

from collections.abc import Callable
from typing import Any

import pytest
from typer.testing import Result

from tests.support.fake_api import FakeApi

Cli = Callable[..., Result]
SINCE = "2030-01-31T12:00:00Z"


def node(**changes: Any) -> dict[str, Any]:
    amounts = {"millicores": 2000, "memory_mib": 1024, "gpus": 0}
    facts = {
        "name": "n1", "state": "READY", "node_class": "big", "architecture": "amd64", "worker_type": "high-cpu",
        "accelerator": None, "labels": {}, "capacity": amounts, "booked": {}, "free": {**amounts, "millicores": 500},
        "running_tasks": 2, "last_seen_at": None,
        "observation": {"load1": {"value": 1.5, "measured_at": "", "age_seconds": 90.0, "fresh": False}},
    }  # fmt: skip
    return {**facts, **changes}


def test_nodes_shows_what_is_free_and_how_old_a_figure_is(cli: Cli, api: FakeApi) -> None:
    api.answers["nodes"] = {"items": [node(), node(name="n2", observation={"load1": None})]}

    lines = cli("nodes").stdout.splitlines()

    assert "0.5/2" in lines[1]
    assert "1.50 (90s old)" in lines[1]
    assert lines[2].split()[-2] == "-"


def test_a_node_is_cordoned_and_uncordoned(cli: Cli, api: FakeApi) -> None:
    api.answers["nodes/n 1/cordon"] = node(name="n 1", running_tasks=1)
    assert cli("nodes", "cordon", "n 1").stdout == "n 1 takes nothing new; 1 task is on it.\n"
    assert cli("nodes", "uncordon", "n 1").stdout == "n 1 takes tasks again.\n"
    asked = [(request.method, request.url.raw_path.decode()) for request in api.requests]
    assert asked == [("POST", "/v1/nodes/n%201/cordon"), ("POST", "/v1/nodes/n%201/uncordon")]
    api.answers["nodes"] = {"items": [node(cordoned_at=SINCE)]}
    assert "READY, cordoned" in cli("nodes").stdout


def test_a_drain_ends_when_nothing_is_on_the_node_any_more(cli: Cli, api: FakeApi) -> None:
    api.answers |= {
        "nodes/n1/cordon": node(running_tasks=2),
        "nodes": {"items": [node(running_tasks=0, cordoned_at=SINCE)]},
    }
    lines = cli("nodes", "drain", "n1").stdout.splitlines()
    assert lines[0] == "n1 takes nothing new; 2 tasks are on it."
    assert lines[1].startswith("Nothing is on n1 any more.")


def test_a_drain_that_takes_too_long_says_what_is_left(cli: Cli, api: FakeApi) -> None:
    api.answers["nodes/n1/cordon"] = node(running_tasks=1)
    done = cli("nodes", "drain", "n1", "--timeout", "0")
    assert done.exit_code == 1
    assert "1 task is still on n1; it stays cordoned" in done.stderr


@pytest.mark.parametrize(
    ("left", "why"),
    [
        ([], "there is no node n1 any more"),
        ([node(running_tasks=1, cordoned_at=None)], "somebody has uncordoned n1 meanwhile; 1 task is on it"),
    ],
)
def test_a_drain_that_cannot_end_any_more_says_so(
    cli: Cli, api: FakeApi, left: list[dict[str, Any]], why: str
) -> None:
    api.answers |= {"nodes/n1/cordon": node(running_tasks=1, cordoned_at=SINCE), "nodes": {"items": left}}
    done = cli("nodes", "drain", "n1")
    assert done.exit_code == 1
    assert why in done.stderr
