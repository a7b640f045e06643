"""`nodewise prune` against a fake API that answers in steps."""

import json
from collections.abc import Callable

import httpx
import pytest
from typer.testing import Result

from tests.support.fake_api import FakeApi, problem

Cli = Callable[..., Result]


def step(cursor: str | None, **removed: int) -> httpx.Response:
    names = (
        "runs", "tasks", "attempts", "events", "results", "pipelines", "log_files", "artifact_files", "directories", "bytes",
    )  # fmt: skip
    counts = dict.fromkeys(names, 0) | removed
    body = {"before": "2026-10-20T12:00:00Z", "dry_run": False, "removed": counts, "next_cursor": cursor}
    return httpx.Response(200, json=body)


def asked(api: FakeApi) -> list[dict[str, object]]:
    return [json.loads(request.content) for request in api.requests]


def test_it_goes_on_until_all_is_done_and_says_what_went(cli: Cli, api: FakeApi) -> None:
    api.faults = [
        step("a", runs=100, tasks=300, attempts=310, events=2000),
        step("b", runs=20, tasks=60, attempts=61, events=400),
        step("c", results=2, pipelines=1),
        step(None, log_files=371, artifact_files=40, directories=3, bytes=3 * 1024**2),
    ]
    result = cli("prune", "--older-than", "30d")
    assert result.exit_code == 0, result.stderr
    assert result.stdout.splitlines() == [
        "removed, of what ended before 2026-10-20T12:00:00Z: 120 runs, 360 tasks, 371 attempts, 2400 events, "
        "2 reusable results, 1 pipelines",
        "removed from the artifact store: 371 logs, 40 files, 3 directories; 3.0 MiB",
    ]
    first, *others = asked(api)
    assert first == {"older_than_seconds": 30 * 86_400, "keep_failed": False, "dry_run": False}
    assert [one.pop("cursor") for one in others] == ["a", "b", "c"]
    assert others == [first] * 3


def test_its_options_are_passed_on_and_programs_get_json(cli: Cli, api: FakeApi) -> None:
    api.faults = [step(None, runs=7)]
    result = cli("prune", "--older-than", "1d12h", "--keep-failed", "--dry-run", "--json")
    assert json.loads(result.stdout)["removed"]["runs"] == 7
    assert asked(api) == [{"older_than_seconds": 129_600, "keep_failed": True, "dry_run": True}]


@pytest.mark.parametrize("given", ["0", "-5d", "soon", ""])
def test_what_is_no_duration_is_refused_here(cli: Cli, api: FakeApi, given: str) -> None:
    result = cli("prune", f"--older-than={given}")
    assert result.exit_code == 1
    assert "--older-than: a duration" in result.stderr
    assert api.requests == []


def test_what_the_gateway_refuses_is_said(cli: Cli, api: FakeApi) -> None:
    api.faults = [problem(422, "Unprocessable Entity", detail="body.older_than_seconds: Input should be greater than or equal to 3600")]  # fmt: skip
    result = cli("prune", "--older-than", "5m")
    assert result.exit_code == 1
    assert "greater than or equal to 3600" in result.stderr


def test_it_must_be_said_how_old(cli: Cli, api: FakeApi) -> None:
    assert cli("prune").exit_code == 2
    assert api.requests == []
