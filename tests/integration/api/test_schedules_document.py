"""What docs/schedules.md shows is run, in its order, against the real API."""

import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import nodewise.sdk
from nodewise.api.scheduling.requests import ScheduleRequest
from nodewise.core.model.schedule import ScheduleReason
from nodewise.core.settings import Settings
from nodewise.sdk import Client
from nodewise.sdk.cli.app import app
from tests.support.pipelines import compiled
from tests.support.scheduling import Desk, a_desk

ROOT = Path(__file__).parents[3]
TEXT = (ROOT / "docs" / "schedules.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)


@pytest.fixture
def desk(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    monkeypatch.chdir(ROOT)
    with a_desk(settings) as desk:
        monkeypatch.setenv("NODEWISE_URL", str(desk.http.base_url))
        yield desk


def test_every_command_runs_and_prints_what_is_shown(desk: Desk) -> None:
    printed = {}
    for command in blocks("sh")[0].splitlines():
        result = CliRunner().invoke(app, shlex.split(command)[1:])
        assert result.exit_code == 0, (command, result.output)
        printed[command] = result.stdout
    (shown,) = blocks("text")
    said = re.sub(
        r"[0-9a-f]{8}-[0-9a-f-]{27}",
        "6d4b1f1a-2f0e-4d0a-8b1b-0f4ad3f3f2d1",
        printed["nodewise schedule show nightly"],
    )
    assert said == shown


def test_the_program_runs(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def connected(**_: Any) -> Client:
        return Client(str(desk.http.base_url))

    (program,) = blocks("python")
    monkeypatch.setattr(nodewise.sdk, "Client", connected, raising=False)
    exec(program, {})
    assert capsys.readouterr().out.splitlines() == ["hourly 3600 True 1", "hourly PENDING"]
    assert desk.http.get("/v1/schedules").json()["items"][0]["run"]["parameters"] == {"depth": 4}


def test_the_request_is_accepted(desk: Desk) -> None:
    request = json.loads(blocks("json")[0])
    assert set(request) < set(ScheduleRequest.model_fields)
    spec = compiled(parameters={"depth": {"parameterType": "NUMBER_INTEGER"}})
    request["run"]["pipeline_spec"] = spec
    assert desk.http.post("/v1/schedules", json=request).status_code == 201


def test_every_request_that_is_named_exists(desk: Desk) -> None:
    paths = desk.http.get("/openapi.json").json()["paths"]
    named = re.findall(r"`(GET|POST|DELETE) (/v1/schedules[^`?]*)", TEXT)
    assert len(named) == 6
    for method, path in named:
        assert method.lower() in paths[path.replace("{id}", "{schedule_id}")], path


def test_every_reason_is_explained() -> None:
    assert {code.value for code in ScheduleReason} <= set(re.findall(r"`([a-z_]+)`", TEXT))
