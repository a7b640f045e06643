"""docs/simulator.md is run: its commands, and the format that it shows."""

import json
import re
import shlex
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
import typer
from rich.console import Console
from typer.testing import CliRunner

from nodewise.recorder.commands import export
from nodewise.simulator.command import replay, simulate
from nodewise.simulator.problem_file import parse_scenario
from nodewise.simulator.replay import replay as replay_history
from nodewise.simulator.replay_page import print_replay
from nodewise.simulator.simulation import Choice
from tests.unit.simulator.test_replay import a_history

ROOT = Path(__file__).parents[3]
TEXT = (ROOT / "docs" / "simulator.md").read_text(encoding="utf-8")
COMMANDS = {"simulate": simulate, "replay": replay, "export": export}


def lines() -> list[list[str]]:
    found = re.findall(r"^```sh\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)
    return [shlex.split(line) for block in found for line in block.splitlines()]


def app(command: str) -> typer.Typer:
    made = typer.Typer(rich_markup_mode=None)
    made.command()(COMMANDS[command])
    return made


def ask(line: list[str], **environment: str) -> Any:
    return CliRunner().invoke(app(line[1]), line[2:], env={"NODEWISE_HOME": "", **environment})


@pytest.mark.parametrize("line", [line for line in lines() if line[2].startswith("examples/")], ids=" ".join)
def test_simulations_of_the_document_run(line: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    result = ask(line)
    assert result.exit_code == 0, result.output
    assert "makespan" in result.stdout


@pytest.mark.parametrize("line", [line for line in lines() if line[1] != "simulate"], ids=" ".join)
def test_commands_of_the_document_that_need_a_record_are_understood(line: list[str]) -> None:
    """They get as far as the database, which is none here."""
    result = ask(line, DATABASE_URL="postgresql://nobody@127.0.0.1:1/none")
    said = result.stderr or str(result.exception)
    assert "the database does not answer" in said or "is in the future" in said


def test_the_format_of_the_document_is_read() -> None:
    (shown,) = re.findall(r"^```json\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)
    scenario = parse_scenario(json.loads(shown))
    assert [task.name for task in scenario.truth.pipelines[0].tasks] == ["x", "a"]
    assert scenario.believed is not scenario.truth


def test_the_examples_of_problems_are_read() -> None:
    files = sorted((ROOT / "examples" / "problems").glob("*.json"))
    assert files
    for file in files:
        parse_scenario(json.loads(file.read_text(encoding="utf-8")))


def test_the_sample_of_a_simulation_is_what_the_command_prints(monkeypatch: pytest.MonkeyPatch) -> None:
    sample = re.findall(r"^```text\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)[0].splitlines()
    monkeypatch.chdir(ROOT)
    result = ask(["nodewise", "simulate", "examples/problems/two-teams.json", "--strategy", "fifo_greedy"])
    printed = [line.rstrip() for line in result.stdout.splitlines()]
    assert "examples/problems/two-teams.json --strategy fifo_greedy" in TEXT
    assert printed[:-1] == sample[:-1]
    assert re.fullmatch(r"decided in [\d.]+ s", sample[-1])


def test_the_sample_of_a_replay_has_the_rows_and_columns_of_the_command() -> None:
    sample = re.findall(r"^```text\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)[1]
    replayed = replay_history(a_history(), Choice(policy="fifo", strategy="round_robin"))
    console = Console(width=120, file=StringIO())
    print_replay(replayed, console)
    printed = console.file.getvalue()  # type: ignore[attr-defined]
    assert words(sample) == words(printed)


def words(page: str) -> list[str]:
    """What a page names: headings and rows, not figures, nor which choices were compared."""
    named = re.findall(
        r"makespan|mean flow|mean wait|recorded|seconds|simulated|saved of|cannot|estimates", page
    )
    return sorted(set(named))
