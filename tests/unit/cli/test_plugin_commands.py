"""Commands of other portions: listed without being loaded, loaded when called."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from nodewise.sdk.cli.app import app
from nodewise.sdk.cli.plugins import LazyCommand, offered_commands

_CODE = """
import typer

def greet(name: str = "you", shout: bool = False) -> None:
    "Greet."
    typer.echo(f"hello {name.upper() if shout else name}")

app = typer.Typer()

@app.command()
def one() -> None:
    typer.echo("one")

@app.command()
def two() -> None:
    typer.echo("two")
"""
_ENTRIES = """
[nodewise.commands]
greet = greetings:greet
many = greetings:app
broken = no_such_module:x
"""
_HEAVY = ("httpx", "kfp", "pydantic", "numpy", "sqlalchemy", "celery", "fastapi", "yaml")


@pytest.fixture
def greetings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A package with commands, installed."""
    info = tmp_path / "greetings-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: greetings\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(_ENTRIES)
    (tmp_path / "greetings.py").write_text(_CODE)
    monkeypatch.syspath_prepend(tmp_path)
    offered_commands.cache_clear()
    yield
    offered_commands.cache_clear()
    sys.modules.pop("greetings", None)


@pytest.mark.usefixtures("greetings")
def test_a_packages_command_is_listed_without_being_loaded() -> None:
    result = CliRunner().invoke(app, ["--help"])

    assert "From greetings." in result.stdout
    assert "broken" in result.stdout
    assert "greetings" not in sys.modules


@pytest.mark.usefixtures("greetings")
def test_a_packages_command_is_called_with_its_own_options() -> None:
    assert CliRunner().invoke(app, ["greet", "--name", "ada", "--shout"]).stdout == "hello ADA\n"
    assert "--shout" in CliRunner().invoke(app, ["greet", "--help"]).stdout


@pytest.mark.usefixtures("greetings")
def test_a_package_may_bring_a_group_of_commands() -> None:
    assert CliRunner().invoke(app, ["many", "two"]).stdout == "two\n"


@pytest.mark.usefixtures("greetings")
def test_a_command_that_cannot_be_loaded_is_one_clear_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NODEWISE_DEBUG", raising=False)

    result = CliRunner().invoke(app, ["broken"])

    assert result.exit_code == 1
    assert result.stderr.splitlines() == [
        "error: `nodewise broken` (greetings) cannot be loaded: No module named 'no_such_module'"
    ]


def test_a_portion_that_is_missing_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    command = LazyCommand("up", summary="Start.", entry=None, portion="nodewise-stack")

    with pytest.raises(typer.Exit):
        command.make_context("up", [])

    assert "comes with nodewise-stack, which is not installed" in capsys.readouterr().err


def test_the_well_known_commands_are_always_listed() -> None:
    names = set(offered_commands())

    assert {"up", "down", "doctor", "agent", "report", "export"} <= names


def test_the_help_imports_nothing_heavy() -> None:
    code = (
        "import sys\nfrom nodewise.sdk.cli.app import app\napp(['--help'], standalone_mode=False)\n"
        f"print('loaded:', sorted(set({_HEAVY}) & set(sys.modules)))"
    )

    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert ended.stdout.splitlines()[-1] == "loaded: []"
