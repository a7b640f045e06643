"""The pages on writing pipelines and on coming from KFP: every pipeline in them compiles, is read by KFP, and runs as the page says."""

import runpy
import shlex
from pathlib import Path
from typing import Any

import pytest
from kfp import components
from typer.testing import CliRunner

from nodewise.core.ir import read_program
from nodewise.core.lifecycle import RunState, TaskState
from nodewise.sdk import CompiledPipeline, load_pipelines, load_submission
from nodewise.sdk import compile as compile_pipeline
from nodewise.sdk.cli.app import app
from tests.support.documents import DOCS, blocks
from tests.support.dynamic_runs import FakeRun
from tests.support.sdk_flows import kfp_reads


def written(tmp_path: Path, block: str, name: str = "shown.py") -> Path:
    file = tmp_path / name
    file.write_text(block, encoding="utf-8")
    return file


def interpreted(
    compiled: CompiledPipeline, functions: dict[str, Any], **parameters: Any
) -> tuple[FakeRun, Any]:
    program = read_program(compiled.pipeline_spec, compiled.platform_spec)
    run = FakeRun(program=program, functions=functions, parameters=parameters)
    return run, run.run()


def functions_in(file: Path) -> dict[str, Any]:
    """The Python of a page's tasks and components, by name."""
    named = runpy.run_path(str(file))
    ours = {name: getattr(value, "function", None) for name, value in named.items()}
    theirs = {name: getattr(value, "python_func", None) for name, value in named.items()}
    return {name: ours.get(name) or theirs.get(name) for name in named if ours.get(name) or theirs.get(name)}


WHOLE = [block for block in blocks("pipelines.md", "python") if "@pipeline" in block]


@pytest.mark.parametrize("block", WHOLE, ids=range(len(WHOLE)))
def test_every_pipeline_of_the_guide_runs_to_its_end(tmp_path: Path, block: str) -> None:
    for pipeline in load_pipelines(written(tmp_path, block)).values():
        if any(not item.optional for item in pipeline.signature.inputs.values()):
            continue  # It is a step of another one.
        compiled = compile_pipeline(pipeline)
        kfp_reads(compiled)
        run, end = interpreted(compiled, {})
        assert end.outcome is RunState.SUCCEEDED, run.rows


def test_the_guide_shows_all_words() -> None:
    text = (DOCS / "pipelines.md").read_text(encoding="utf-8")
    for word in (
        "each",
        "collect",
        "when",
        "elif_when",
        "otherwise",
        "one_of",
        "on_exit",
        "container_task",
        "Command",
    ):
        assert f"`{word}" in text or f"{word}(" in text


@pytest.mark.parametrize(("rows", "said"), [(95, "publish"), (60, "look at it: 0.6"), (10, "throw it away")])
def test_the_conditions_of_the_guide(tmp_path: Path, rows: int, said: str) -> None:
    block = next(block for block in WHOLE if "def choose" in block)
    choose = load_pipelines(written(tmp_path, block))["choose"]
    assert choose(rows=rows).output == said


def test_the_loops_and_pipelines_of_the_guide_run_in_this_process(tmp_path: Path) -> None:
    search = load_pipelines(written(tmp_path, next(block for block in WHOLE if "def search" in block)))[
        "search"
    ]
    assert [outputs["Output"] for outputs in search().of("best")] == [0, 0]
    graded = load_pipelines(written(tmp_path, next(block for block in WHOLE if "def graded" in block)))[
        "graded"
    ]
    assert [outputs["Output"] for outputs in graded(first=7).of("grade")] == [0.1, 0.2, 0.3]


def test_the_whole_first_pipeline_of_the_guide_runs_in_this_process(tmp_path: Path) -> None:
    run = load_pipelines(written(tmp_path, WHOLE[0]))["guide"](rows=3)
    assert run["fit"]["Output"] == 0.25
    assert run["prepare"]["table"].metadata == {"rows": 3}


@pytest.fixture
def pages(tmp_path: Path) -> tuple[Path, Path]:
    theirs, ours = blocks("from-kfp.md", "python")
    return written(tmp_path, theirs, "theirs.py"), written(tmp_path, ours, "ours.py")


@pytest.mark.parametrize(("least", "chosen"), [(0.9, "publish"), (0.999, "keep")])
def test_both_pipelines_of_from_kfp_do_the_same(pages: tuple[Path, Path], least: float, chosen: str) -> None:
    ended = []
    for file in pages:
        run, end = interpreted(load_submission(str(file)), functions_in(file), least=least)
        assert end.outcome is RunState.SUCCEEDED
        assert run.most_live == 2
        done = run.of_state(TaskState.SUCCEEDED)
        outputs = {path.rpartition(".")[2]: run.rows[path].outputs.parameters for path in done}
        ended.append((sorted(path.rpartition(".")[2] for path in done), outputs))
    assert ended[0] == ended[1]
    assert chosen in ended[0][1]
    assert ended[0][1]["best"] == {"Output": 0.99}


def test_caching_is_as_from_kfp_says(pages: tuple[Path, Path]) -> None:
    said = []
    for file in pages:
        spec = load_submission(str(file)).pipeline_spec
        dags = [spec["root"], *spec["components"].values()]
        tasks = {name: task for dag in dags if "dag" in dag for name, task in dag["dag"]["tasks"].items()}
        said.append(
            {
                name: tasks[name]["cachingOptions"].get("enableCache", False)
                for name in ("train", "best", "report")
            }
        )
    assert said[0] == {"train": True, "best": True, "report": False}
    assert said[1] == {"train": False, "best": False, "report": False}


def test_the_way_back_is_as_from_kfp_says(
    pages: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for block in blocks("from-kfp.md", "sh"):
        for line in block.splitlines():
            program, *arguments = shlex.split(line)
            assert program == "nodewise"
            result = CliRunner().invoke(app, arguments)
            assert result.exit_code == 0, result.output
    loaded = components.load_component_from_file("ours.yaml")
    assert "nodewise" in loaded.platform_spec.platforms
    again = CliRunner().invoke(app, ["compile", "ours.yaml"])
    assert again.stdout == Path("ours.yaml").read_text(encoding="utf-8")


@pytest.mark.parametrize("page", ["from-kfp.md", "without-kubernetes.md"])
def test_every_command_that_a_page_shows_has_the_options_that_it_names(page: str) -> None:
    shown = [*blocks(page, "sh"), *blocks(page, "sh", stack=True)]
    commands = [shlex.split(line) for block in shown for line in block.splitlines()]
    ours = [words for program, *words in commands if program == "nodewise"]
    assert ours
    for command, *arguments in ours:
        options = {word for word in arguments if word.startswith("--")}
        helped = CliRunner().invoke(app, [command, "--help"], env={"COLUMNS": "200"}).stdout
        assert all(option in helped for option in options)
