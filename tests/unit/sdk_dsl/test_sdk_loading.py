"""Pipelines out of files."""

import json
import sys
from pathlib import Path

import pytest
import yaml

from nodewise.core.errors import InvalidPipeline, NodewiseError, UnknownName
from nodewise.core.ir import read_program
from nodewise.sdk import PipelineError, load_pipelines, load_submission

ONE = """\
from nodewise.sdk import pipeline, task
@task
def step(x: int = 1) -> int:
    return x
@pipeline(name="the-first")
def first():
    step()
"""
TWO = ONE + "@pipeline\ndef second():\n    step()\n"


def write(tmp_path: Path, text: str, name: str = "mine.py") -> Path:
    file = tmp_path / name
    file.write_text(text)
    return file


def test_the_pipelines_of_a_file_come_by_variable_name(tmp_path: Path) -> None:
    assert list(load_pipelines(write(tmp_path, TWO))) == ["first", "second"]


def test_kfps_pipelines_are_found_too(tmp_path: Path) -> None:
    text = (
        "from kfp import dsl\n@dsl.component(base_image='x')\ndef c(): pass\n"
        "@dsl.pipeline(name='from-kfp')\ndef p():\n    c()\n"
    )
    file = write(tmp_path, text)
    assert list(load_pipelines(file)) == ["p"]
    assert load_submission(str(file)).name == "from-kfp"


def test_a_file_with_one_pipeline_needs_no_name(tmp_path: Path) -> None:
    assert load_submission(str(write(tmp_path, ONE))).name == "the-first"


@pytest.mark.parametrize("name", ["first", "the-first"])
def test_a_pipeline_is_chosen_by_variable_or_by_name(tmp_path: Path, name: str) -> None:
    assert load_submission(f"{write(tmp_path, TWO)}:{name}").name == "the-first"


def test_two_pipelines_and_no_name_is_refused_with_the_choices(tmp_path: Path) -> None:
    file = write(tmp_path, TWO)
    with pytest.raises(PipelineError, match="choose one of") as refusal:
        load_submission(str(file))
    assert f"{file}:second" in str(refusal.value)


def test_an_alias_is_the_same_pipeline(tmp_path: Path) -> None:
    assert load_submission(str(write(tmp_path, ONE + "main = first\n"))).name == "the-first"


def test_an_unknown_name_is_refused_with_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(UnknownName, match="'third'; known: first, second"):
        load_submission(f"{write(tmp_path, TWO)}:third")


def test_a_file_may_import_its_neighbours_and_leaves_no_trace_on_the_path(tmp_path: Path) -> None:
    write(
        tmp_path,
        "from nodewise.sdk import task\n@task\ndef step() -> int:\n    return 1\n",
        "neighbour_of_mine.py",
    )
    text = "from neighbour_of_mine import step\nfrom nodewise.sdk import pipeline\n@pipeline\ndef p():\n    step()\n"
    before = list(sys.path)
    assert load_submission(str(write(tmp_path, text))).name == "p"
    assert sys.path == before


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x = 1\nraise ValueError('no')\n", r"mine.py:2: ValueError: no"),
        ("def f(:\n", r"mine.py:1: SyntaxError"),
        ("import nothing_of_that_name\n", r"mine.py:1: ModuleNotFoundError"),
        ("x = 1\n", r"has no pipeline"),
    ],
)
def test_a_wrong_file_is_named_with_its_line(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(PipelineError, match=message):
        load_submission(str(write(tmp_path, text)))


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(PipelineError, match="no such file"):
        load_submission(str(tmp_path / "nothing.py"))


def test_a_file_of_another_kind(tmp_path: Path) -> None:
    with pytest.raises(PipelineError, match=r"give a file\.py"):
        load_submission(str(tmp_path / "x.txt"))


IR = {"schemaVersion": "2.1.0", "root": {}, "pipelineInfo": {"name": "x"}}
PLATFORMS = {"platforms": {"nodewise": {}}}


@pytest.mark.parametrize("name", ["x.yaml", "x.json"])
def test_a_compiled_file_with_one_document(tmp_path: Path, name: str) -> None:
    loaded = load_submission(str(write(tmp_path, json.dumps(IR), name)))
    assert (loaded.pipeline_spec, loaded.platform_spec) == (IR, None)


def test_a_compiled_file_with_two_documents(tmp_path: Path) -> None:
    loaded = load_submission(str(write(tmp_path, yaml.safe_dump_all([IR, PLATFORMS]), "x.yaml")))
    assert (loaded.pipeline_spec, loaded.platform_spec) == (IR, PLATFORMS)


def test_a_json_file_with_both_in_one_object(tmp_path: Path) -> None:
    text = json.dumps({"pipeline_spec": IR, "platform_spec": PLATFORMS})
    loaded = load_submission(str(write(tmp_path, text, "x.json")))
    assert (loaded.pipeline_spec, loaded.platform_spec) == (IR, PLATFORMS)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "a: [",
        "3",
        "{}",
        "a: 1\n---\nb: 1\n---\nc: 1\n",
        "!!python/object:os.system {}",
        "\x00",
        "[" * 5000,
    ],
)
@pytest.mark.parametrize("name", ["x.yaml", "x.json"])
def test_a_file_that_holds_no_pipeline_is_refused(tmp_path: Path, text: str, name: str) -> None:
    with pytest.raises(NodewiseError, match=r"x\.(yaml|json)"):
        load_submission(str(write(tmp_path, text, name)))


ARGO = "apiVersion: argoproj.io/v1alpha1\nkind: Workflow\nspec: {}\n"


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        (ARGO, r"was compiled by KFP 1 \(it is an Argo workflow\)"),
        ("", "is empty"),
        (" \n---\n", "is empty"),
        ("root: {}\n---\nx: 1\n", "its second document is no platform section"),
        ("root: {}\n---\n[]\n", "must hold a pipeline, and after it at most a platform section"),
        ("implementation: {container: 3}\n", "is no component that KFP can read"),
    ],
)
def test_a_compiled_file_is_refused_for_what_it_is(tmp_path: Path, text: str, rule: str) -> None:
    with pytest.raises(InvalidPipeline, match=rf"x\.yaml: {rule}"):
        load_submission(str(write(tmp_path, text, "x.yaml")))


def test_an_empty_document_at_the_end_is_none(tmp_path: Path) -> None:
    text = yaml.safe_dump(IR, explicit_start=True) + "---\n"
    assert load_submission(str(write(tmp_path, text, "x.yaml"))).pipeline_spec == IR


def test_a_job_of_kfps_is_its_pipeline(tmp_path: Path) -> None:
    text = json.dumps({"displayName": "x", "runtimeConfig": {}, "pipelineSpec": IR})
    assert load_submission(str(write(tmp_path, text, "x.json"))).pipeline_spec == IR


COMPONENT = """\
name: say
inputs: [{name: text, type: String}]
implementation:
  container: {image: alpine, command: [echo, {inputValue: text}]}
"""


def test_a_components_file_is_a_pipeline_of_one_step(tmp_path: Path) -> None:
    loaded = load_submission(str(write(tmp_path, COMPONENT, "x.yaml")))
    (step,) = read_program(loaded.pipeline_spec, loaded.platform_spec).root.steps
    assert step.name == "say"


THEIRS = """\
from kfp import dsl
@dsl.component(base_image="x")
def c(n: int) -> int:
    return n
"""


def test_a_component_that_is_named_is_a_pipeline_of_one_step(tmp_path: Path) -> None:
    file = write(tmp_path, THEIRS)
    loaded = load_submission(f"{file}:c")
    assert [step.name for step in read_program(loaded.pipeline_spec).root.steps] == ["c"]
    with pytest.raises(
        PipelineError, match=r"has no pipeline, but components: name one of them, .*mine\.py:c"
    ):
        load_submission(str(file))


def test_a_pipeline_that_was_imported_is_not_the_files_own(tmp_path: Path) -> None:
    write(tmp_path, ONE, "imported_by_mine.py")
    text = "from imported_by_mine import *\n@pipeline\ndef p():\n    first()\n"
    assert load_submission(str(write(tmp_path, text))).name == "p"
    assert load_submission(str(write(tmp_path, "from imported_by_mine import first\n"))).name == "the-first"


def test_an_empty_python_file(tmp_path: Path) -> None:
    with pytest.raises(PipelineError, match=r"mine\.py: is empty"):
        load_submission(str(write(tmp_path, "\n")))


@pytest.mark.parametrize("name", ["folder", "folder.yaml", "folder.py"])
def test_a_directory(tmp_path: Path, name: str) -> None:
    (tmp_path / name).mkdir()
    with pytest.raises(NodewiseError, match="is a directory: name a file in it"):
        load_submission(str(tmp_path / name))


def test_a_compiled_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(InvalidPipeline, match="cannot be read"):
        load_submission(str(tmp_path / "nothing.yaml"))
