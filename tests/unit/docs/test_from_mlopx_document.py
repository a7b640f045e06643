"""What docs/from-mlopx.md shows is read and run, and what it says is refused is refused."""

import json
import re
import runpy
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from nodewise.core.compat.mlopx import (
    MAX_COMPONENTS,
    MAX_TEXT_BYTES,
    Converted,
    UnreadableScript,
    read_component,
)
from nodewise.core.compat.mlopx.convert import MAX_TOTAL_BYTES
from nodewise.core.compat.mlopx.texts import MAX_STATEMENTS
from nodewise.core.ir import read_program
from tests.support import mlopx_scripts as scripts
from tests.support.documents import blocks, files
from tests.support.fake_api import FakeApi, served

TEXT = (Path(__file__).parents[3] / "docs" / "from-mlopx.md").read_text(encoding="utf-8")
*_, CHANGED = blocks("from-mlopx.md", "python")
(SED,) = blocks("from-mlopx.md", "sh")
PROJECT = files("from-mlopx.md")
COMPONENTS = {name: f"{name}.py" for name in ("data_preprocessing", "model_training", "model_evaluation")}
SERVER = "http://127.0.0.1:PORT"
HEAD = (
    "from mlopx.pipelines import Component, Pipeline\nfrom train import train\nIMAGE = 'i'\n"
    "functions, given, parts = [train], [], []\ncomponent = Component(IMAGE, train)\n"
)
TAIL = "\npipeline = Pipeline('p', 'm.json')\npipeline.add([component])\npipeline.submit('u')\n"


def converted_project(contents: Mapping[str, str]) -> Converted:
    """What the gateway makes of the page's project."""
    return scripts.read(
        script=contents["pipeline.py"],
        components={name: contents[file] for name, file in COMPONENTS.items()},
        metadata=json.loads(contents["metadata.json"]),
    )


def rows_of(heading: str) -> list[str]:
    """The code in the first column of the table under that heading."""
    table = TEXT.split(f"| {heading} | why |")[1].split("\n\n")[0]
    return re.findall(r"^\| `(.+?)`", table, re.MULTILINE)


def test_the_page_shows_all_files_of_its_project() -> None:
    assert set(PROJECT) == {*COMPONENTS.values(), "metadata.json", "pipeline.py"}


def test_the_unmodified_script_is_read() -> None:
    converted = converted_project(PROJECT)
    program = read_program(converted.pipeline_spec, converted.platforms)
    assert [step.name for step in program.root.steps] == [
        "data-preprocessing",
        "model-training",
        "model-evaluation",
    ]


def test_the_command_changes_the_import_lines_of_script_and_components(tmp_path: Path) -> None:
    for name, content in PROJECT.items():
        (tmp_path / name).write_text(content, encoding="utf-8")
    subprocess.run(["sh", "-c", SED], cwd=tmp_path, check=True)
    for file in tmp_path.glob("*.py"):
        assert "from mlopx" not in file.read_text()
    changed = {name: (tmp_path / name).read_text() for name in PROJECT}
    assert converted_project(changed).pipeline_spec


def test_the_script_with_other_import_lines_submits_and_waits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "metadata.json").write_text(PROJECT["metadata.json"])
    fake = FakeApi()
    with served(fake) as url:
        script = tmp_path / "points.py"
        script.write_text(CHANGED.replace(SERVER, url))
        names = runpy.run_path(str(script))
        assert names["run"].succeeded
    (request,) = [request for request in fake.requests if request.method == "POST"]
    source = json.loads(request.content)["pipeline_spec"]["deploymentSpec"]["executors"]["exec-make-points"]
    assert 'HEAD = "x,y"' in source["container"]["command"][-1]


@pytest.mark.parametrize("line", rows_of("in the script"))
def test_what_the_page_calls_refused_in_a_script_is(line: str) -> None:
    with pytest.raises(UnreadableScript):
        scripts.read(script=HEAD + line + TAIL, components={"train": "def train():\n    pass\n"})


def test_the_same_script_without_such_a_line_is_read() -> None:
    assert scripts.read(script=HEAD + TAIL, components={"train": "def train():\n    pass\n"})


@pytest.mark.parametrize("line", rows_of("in a component"))
def test_what_the_page_calls_refused_in_a_component_is(line: str) -> None:
    function = "\ndef train():" if line.startswith("@") else ""
    with pytest.raises(UnreadableScript):
        read_component(f"{line}{function}\n    pass\n", file="train.py")


def test_the_limits_are_those_of_the_code() -> None:
    for limit in (MAX_TEXT_BYTES, MAX_STATEMENTS, MAX_TOTAL_BYTES):
        assert f"{limit:,}" in TEXT
    assert f"there may be {MAX_COMPONENTS} of them" in TEXT
