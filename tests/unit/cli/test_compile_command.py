"""`nodewise compile`: files that plain KFP reads, of our pipelines, of KFP's, and of compiled ones."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from kfp import compiler, components, dsl
from typer.testing import CliRunner, Result

from nodewise.core.ir import read_program
from nodewise.sdk import load_submission
from nodewise.sdk.cli.app import app
from tests.unit.core_ir.corpus.every import CASES

QUICKSTART = str(Path(__file__).resolve().parents[3] / "examples" / "quickstart.py")
FLOWS = str(Path(__file__).resolve().parents[2] / "support" / "sdk_flows.py")
Cli = Callable[..., Result]


@pytest.fixture
def cli() -> Cli:
    return lambda *arguments: CliRunner().invoke(app, ["compile", *map(str, arguments)])


def documents(file: Path) -> list[Any]:
    return list(yaml.safe_load_all(file.read_text()))


def test_it_writes_a_file_that_kfp_loads_and_that_keeps_the_hints(cli: Cli, tmp_path: Path) -> None:
    output = tmp_path / "out.yaml"
    result = cli(QUICKSTART, "-o", output)
    assert (result.exit_code, result.stdout) == (0, f"{output}  quickstart\n")
    pipeline_spec, platform_spec = documents(output)
    assert "nodewise" in platform_spec["platforms"]
    loaded = components.load_component_from_file(str(output))
    assert loaded.name == "quickstart"
    assert set(loaded.platform_spec.platforms) == set(platform_spec["platforms"])
    assert loaded.pipeline_spec.pipeline_info.name == pipeline_spec["pipelineInfo"]["name"]


def test_what_kfp_writes_of_it_is_the_same_pipeline(cli: Cli, tmp_path: Path) -> None:
    ours, theirs = tmp_path / "ours.yaml", tmp_path / "theirs.yaml"
    assert cli(f"{FLOWS}:search", "-o", ours).exit_code == 0
    compiler.Compiler().compile(components.load_component_from_file(str(ours)), str(theirs))
    first, second = load_submission(str(ours)), load_submission(str(theirs))
    assert first.platform_spec == second.platform_spec
    assert shape(first.pipeline_spec) == shape(second.pipeline_spec)


def shape(value: Any) -> Any:
    """Without what protobuf leaves away: fields that are zero."""
    if isinstance(value, dict):
        return {key: shape(item) for key, item in value.items() if item is not False}
    return [shape(item) for item in value] if isinstance(value, list) else value


def test_it_is_a_step_of_a_pipeline_of_kfps(cli: Cli, tmp_path: Path) -> None:
    file = tmp_path / "seeds.yaml"
    cli(f"{FLOWS}:seeds", "-o", file)
    ours = components.load_component_from_file(str(file))

    @dsl.pipeline(name="around")
    def around():
        ours(first=1)

    outer = tmp_path / "around.yaml"
    compiler.Compiler().compile(around, str(outer))
    assert read_program(*documents(outer)).root.steps


def test_compiling_what_was_compiled_changes_nothing(cli: Cli, tmp_path: Path) -> None:
    once, twice = tmp_path / "once.yaml", tmp_path / "twice.yml"
    cli(f"{FLOWS}:search", "-o", once)
    cli(once, "-o", twice)
    assert once.read_bytes() == twice.read_bytes()


@pytest.mark.parametrize("index", range(0, len(CASES), 5), ids=lambda index: CASES[index].name)
def test_kfps_pipelines_stay_as_they_are(cli: Cli, tmp_path: Path, index: int) -> None:
    theirs, ours, again = tmp_path / "theirs.yaml", tmp_path / "ours.yaml", tmp_path / "again.yaml"
    compiler.Compiler().compile(CASES[index].pipeline, str(theirs))
    assert cli(theirs, "-o", ours).exit_code == 0
    assert documents(ours) == documents(theirs)
    assert cli(ours, "-o", again).exit_code == 0
    assert ours.read_bytes() == again.read_bytes()
    assert components.load_component_from_file(str(ours)).name == CASES[index].name


def test_a_file_of_kfps_python(cli: Cli, tmp_path: Path) -> None:
    file = tmp_path / "theirs.py"
    file.write_text(
        "from kfp import dsl\n@dsl.component(base_image='x')\ndef c(): pass\n"
        "@dsl.pipeline(name='from-kfp')\ndef p():\n    with dsl.ParallelFor([1, 2]):\n        c()\n"
    )
    result = cli(file)
    assert yaml.safe_load(result.stdout)["pipelineInfo"]["name"] == "from-kfp"


def test_without_a_file_it_is_printed(cli: Cli) -> None:
    first, second = yaml.safe_load_all(cli(QUICKSTART).stdout)
    assert first["schemaVersion"] == "2.1.0"
    assert "platforms" in second


@pytest.mark.parametrize(
    ("name", "code", "rule"),
    [
        ("x.json", 2, "KFP reads pipelines from .yaml"),
        ("no/such/folder/x.yaml", 1, "cannot be written: No such file"),
    ],
)
def test_a_file_that_cannot_be(cli: Cli, tmp_path: Path, name: str, code: int, rule: str) -> None:
    result = cli(QUICKSTART, "-o", tmp_path / name)
    assert (result.exit_code, result.stdout) == (code, "")
    assert rule in result.stderr
    assert "Traceback" not in result.output


def test_an_error_in_a_pipeline_is_one_line(cli: Cli, tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text("from nodewise.sdk import *\n@pipeline\ndef p():\n    with otherwise():\n        pass\n")
    result = cli(file)
    assert result.exit_code == 1
    assert result.stderr == f"error: {file}:4: `otherwise` must follow a `when` or `elif_when` beside it\n"
