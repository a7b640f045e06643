"""What docs/explain.md shows is run and compared with what the API offers."""

import re
import shlex
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from typer.testing import CliRunner

import nodewise.sdk
from nodewise.api.explaining.changes import ANSWERS
from nodewise.core.ir.moves import CODES
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
    assert codes_under("| reason |") == {code.value for code in ANSWERS}


def test_every_reason_to_be_left_out_is_in_the_table() -> None:
    assert codes_under("| left out since |") == {*(code.value for code in CODES.values()), "input_unresolved"}


def codes_under(heading: str) -> set[str]:
    """The codes of the first column of the table with that heading."""
    table = TEXT.partition(f"\n{heading}")[2].partition("\n\n")[0]
    rows = [line for line in table.splitlines() if line.startswith("| `")]
    return {code for row in rows for code in re.findall(r"`([a-z_]+)`", row.split("|")[1])}


def test_the_table_of_a_plan_has_the_columns_of_the_command() -> None:
    assert re.split(r"\s{2,}", blocks("text")[0].splitlines()[0].strip()) == list(HEADERS)


def shown(*arguments: str, answers: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> list[str]:
    fake = FakeApi()
    fake.add_run("r")
    fake.answers = answers
    with served(fake) as url:
        monkeypatch.setenv("NODEWISE_URL", url)
        result = CliRunner().invoke(app, list(arguments))
    assert result.exit_code == 0, result.output
    return result.stdout.splitlines()


def test_the_sample_of_a_plan_is_what_the_command_prints_of_such_an_answer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The answer that the sample was printed from, as far as the sample shows it, printed again."""
    task: dict[str, Any] = {"node": "n4", "prediction_basis": "learned"}
    load = task | {
        "path": "load", "start": at(0), "start_low": at(0), "start_high": at(0), "finish": at(25.8), "finish_low": at(20.2),
        "finish_high": at(33.0), "run_seconds": 25.8, "run_low": 20.2, "run_high": 33.1, "reason": "n4 has room for it at once",
        "waits_for": [],
    }  # fmt: skip
    fit = task | {
        "path": "fit", "start": at(25.8), "start_low": at(20.2), "start_high": at(33), "finish": at(50.3), "finish_low": at(42.7),
        "finish_high": at(60.8), "run_seconds": 24.4, "run_low": 19.0, "run_high": 31.4, "reason": "after load",
        "waits_for": ["load"],
    }  # fmt: skip
    plan = plan_info(
        tasks=[load, fit], planned_at=at(0), finish=at(50.3), finish_low=at(42.7), finish_high=at(60.8), makespan_seconds=50.3,
        optimal=True, basis="portfolio: together with the other runs", queue={"tasks_before": 0, "tasks_running": 0},
    )  # fmt: skip
    monkeypatch.chdir(ROOT)
    printed = shown("plan", "examples/quickstart.py", answers={"plans": plan}, monkeypatch=monkeypatch)
    assert printed == blocks("text")[0].splitlines()


def at(seconds: float) -> str:
    """So long after the sample's plan was made."""
    return (datetime(2026, 11, 27, 19, 30, 7, 700_000, tzinfo=UTC) + timedelta(seconds=seconds)).isoformat()


SHAPES = (
    r"\w+: (WAITING|READY|RUNNING|SUCCEEDED)",
    r"[\w.-]+: SKIPPED, left out as a whole",
    r"  why(, at the latest look of who decides)?: .+",
    r"  waits for: \w+ \([A-Z]+( on \w+)?(, until about [\d:]+ UTC)?\)",
    r"  the nodes, at [\d:]{8} UTC:",
    r"    node +room for it +why",
    r"    \w+ +(now|not now|never) +.+",
    r"  what would change it:",
    r"    - .+",
    r"  attempt \d on \w+: [A-Z]+ \(policy \w+, strategy \w+\)",
    r"    why this node: .+",
    r"    predicted: [\d.]+ s \(80 %: [\d.]+ to [\d.]+; learned from \d+ runs?\)",
    r"       node +run \(80 %\) +transfer +wait +finish +out because",
    r"    [ *]  \w+ +([\d.]+ \([\d.]+ to [\d.]+\) +[\d.]+ +[\d.]+ +[\d.]+|- +- +- +-)( +.+)?",
)
"""Of each line that `explain` prints: `test_plan_command.py` holds the command to the same words."""


@pytest.mark.parametrize("sample", [1, 2, 3])
def test_samples_of_explanations_are_of_lines_that_the_command_prints(sample: int) -> None:
    strange = [
        line
        for line in blocks("text")[sample].splitlines()
        if not any(re.fullmatch(shape, line) for shape in SHAPES)
    ]
    assert not strange
