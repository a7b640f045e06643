"""What docs/explain.md shows is run and compared with what the API offers."""

import re
import shlex
from pathlib import Path
from typing import Any

import httpx
import pytest
from typer.testing import CliRunner

import nodewise.sdk
from nodewise.api.explaining.changes import ANSWERS
from nodewise.sdk import Client
from nodewise.sdk.cli.app import app
from nodewise.sdk.cli.plan import HEADERS
from tests.support.fake_api import FakeApi, plan_info, served

ROOT = Path(__file__).parents[3]
DOCUMENT = ROOT / "docs" / "explain.md"
TEXT = DOCUMENT.read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)


COMMANDS = [line for block in blocks("sh") for line in block.splitlines()]


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch) -> FakeApi:
    monkeypatch.chdir(ROOT)
    fake = FakeApi()
    fake.add_run("r")
    fake.answers = {"plans": plan_info(), "explain": []}
    return fake


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_runs(api: FakeApi, monkeypatch: pytest.MonkeyPatch, command: str) -> None:
    with served(api) as url:
        monkeypatch.setenv("NODEWISE_URL", url)
        result = CliRunner().invoke(app, shlex.split(command)[1:])
    assert result.exit_code == 0, result.output


def test_the_program_runs(
    api: FakeApi, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def connected(**_: Any) -> Client:
        return Client("http://api", transport=httpx.MockTransport(api.handle))

    (program,) = blocks("python")
    monkeypatch.setattr(nodewise.sdk, "Client", connected, raising=False)
    exec(program, {})
    assert "fit n3 2026-11-20T12:00:03Z after load" in capsys.readouterr().out


def test_every_reason_to_wait_is_in_the_table() -> None:
    rows = [line for line in TEXT.splitlines() if line.startswith("| `")]
    named = {code for row in rows for code in re.findall(r"`([a-z_]+)`", row.split("|")[1])}
    assert named == {code.value for code in ANSWERS}


def test_the_table_of_a_plan_has_the_columns_of_the_command() -> None:
    assert re.split(r"\s{2,}", blocks("text")[0].splitlines()[0].strip()) == list(HEADERS)
