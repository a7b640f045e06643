"""Volumes: what is taken for a data set, what is left out, what is refused; and what a component gets on its node."""

import json
import os
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

import pytest

from nodewise.core.compat.mlopx import Converted, Part, UnreadableScript
from tests.support import mlopx_scripts as scripts
from tests.support.mlopx_scripts import read

HEAD = "from mlopx.pipelines import Component, Pipeline\nfrom make import make\n"
TAIL = "pipeline = Pipeline(name='p', metadata_file='m.json')\npipeline.add([c])\npipeline.submit('u')\n"
MAKE = "def make(path: str = 'x', more: str = '', many: list = []):\n    print(path)\n"


def mounted(args: str, *, component: str = MAKE, mount: str = "/mnt/data") -> Converted:
    script = f"{HEAD}c = Component('i', make, {args})\nc.mount_volume('claim', {mount!r})\n{TAIL}"
    return read(script=script, components={"make": component})


def hints(converted: Converted, task: str) -> dict[str, Any]:
    section: Any = converted.platforms["nodewise"]
    found: dict[str, Any] = section["deploymentSpec"]["executors"][f"exec-{task}"]
    return found


def module(converted: Converted, task: str) -> str:
    deployment: Any = converted.pipeline_spec["deploymentSpec"]
    return str(deployment["executors"][f"exec-{task}"]["container"]["command"][-1])


def test_a_path_on_a_volume_names_a_data_set_and_its_author_is_told() -> None:
    converted = read()
    dataset = hints(converted, "data-preprocessing")["dataset"]
    assert (dataset["name"], dataset["samples"]) == ("line", 500)
    assert any("'dataset_path'" in note and "'line'" in note for note in converted.notes)
    (volume,) = converted.volumes["exec-data-preprocessing"]
    assert (volume.claim, volume.path) == ("datasets-pvc", "/mnt/datasets")


def test_a_data_set_that_the_metadata_do_not_describe_is_named_only() -> None:
    assert hints(mounted("{'path': '/mnt/data/other'}"), "make")["dataset"] == {"name": "other"}


@pytest.mark.parametrize("args", ["{}", "{'path': '/mnt/database/x'}", "{'path': 'mnt/data/x'}"])
def test_a_volume_that_nothing_refers_to_is_left_out_with_a_note(args: str) -> None:
    converted = mounted(args)
    assert "name" not in hints(converted, "make").get("dataset", {})
    assert any("claim is left out" in note for note in converted.notes)


def test_a_default_that_lies_on_a_volume_counts_like_an_argument() -> None:
    component = "def make(path: str = '/mnt/data/wine/red.csv'):\n    print(path)\n"
    assert hints(mounted("{}", component=component), "make")["dataset"]["name"] == "wine"


@pytest.mark.parametrize(
    ("args", "why"),
    [
        ("{'path': '/mnt/data'}", "whole volume"),
        ("{'path': '/mnt/data/'}", "whole volume"),
        ("{'path': '/mnt/data/../x'}", "whole volume"),
        ("{'path': '/mnt/data/a', 'more': '/mnt/data/b'}", "several data sets"),
        ("{'many': ['/mnt/data/a']}", "inside a list"),
        ("{'many': [{'k': {'/mnt/data/a': 1}}]}", "inside a list"),
    ],
)
def test_other_arguments_on_a_volume_are_refused(args: str, why: str) -> None:
    with pytest.raises(UnreadableScript, match=why) as refused:
        mounted(args)
    assert (refused.value.part, refused.value.line) == (Part.PIPELINE, 3)


@pytest.mark.parametrize("text", ["'/mnt/data/x'", "f'/mnt/data/{path}'", "'/mnt/data'"])
def test_a_path_on_a_volume_in_the_code_is_refused_with_its_line(text: str) -> None:
    with pytest.raises(UnreadableScript, match=r"no node has.*artifact") as refused:
        mounted("{}", component=f"def make(path: str = ''):\n    a = 1\n    open({text})\n")
    assert (refused.value.part, refused.value.file, refused.value.line) == (Part.COMPONENTS, "make.py", 3)


@pytest.mark.parametrize("mount", ["data", "/", "/a/../b", "/" + "x" * 2000])
def test_a_volume_must_have_an_absolute_path_below_the_root(mount: str) -> None:
    with pytest.raises(UnreadableScript, match="must be absolute") as refused:
        mounted("{}", mount=mount)
    assert refused.value.line == 4


READER = """import json, os, sys
def make(path: str, more: str = ''):
    kind = 'folder' if os.path.isdir(path) else 'file'
    files = sorted(os.listdir(path)) if kind == 'folder' else open(path).read()
    print(json.dumps([kind, os.path.basename(path), files, more]))
"""


def on_a_node(folder: Path, path: str, *, staged: Path | None) -> "subprocess.CompletedProcess[str]":
    """Call the component's module as a node does."""
    converted = mounted(f"{{'path': {path!r}, 'more': 'm'}}", component=READER)
    file = folder / "component.py"
    file.write_text(module(converted, "make") + f"\nmake(path={path!r}, more='m')\n")
    env = {
        **os.environ,
        "_KFP_RUNTIME": "true",
        "TMPDIR": str(folder),
        **({"NODEWISE_DATASET": str(staged)} if staged else {}),
    }
    return subprocess.run([sys.executable, str(file)], env=env, capture_output=True, text=True, check=False)


def packed(folder: Path) -> Path:
    """A folder of data as `nodewise data put` stores it."""
    (folder / "data").mkdir()
    (folder / "data" / "red.csv").write_text("red")
    (folder / "data" / "white.csv").write_text("white")
    tar = folder / "staged"
    with tarfile.open(tar, "w") as file:
        file.add(folder / "data", arcname=".")
    return tar


def single(folder: Path) -> Path:
    (folder / "staged").write_text("all")
    return folder / "staged"


@pytest.mark.parametrize(
    ("path", "stage", "seen"),
    [
        ("/mnt/data/wine", packed, ["folder", "wine", ["red.csv", "white.csv"], "m"]),
        ("/mnt/data/wine/red.csv", packed, ["file", "red.csv", "red", "m"]),
        ("/mnt/data/wine.csv", single, ["file", "wine.csv", "all", "m"]),
        ("/mnt/data/wine/raw/red.csv", single, ["file", "red.csv", "all", "m"]),
    ],
)
def test_on_its_node_the_function_gets_the_registered_data_under_the_same_names(
    tmp_path: Path, path: str, stage: Any, seen: list[object]
) -> None:
    done = on_a_node(tmp_path, path, staged=stage(tmp_path))
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == seen


def test_a_file_that_the_data_set_does_not_have_is_named(tmp_path: Path) -> None:
    done = on_a_node(tmp_path, "/mnt/data/wine/gone.csv", staged=packed(tmp_path))
    assert "FileNotFoundError: the data set 'wine' has nothing that is 'wine/gone.csv'" in done.stderr


def test_without_a_registered_data_set_a_node_without_the_path_says_what_to_do(tmp_path: Path) -> None:
    done = on_a_node(tmp_path, "/mnt/data/wine", staged=None)
    assert "register the data set 'wine'" in done.stderr


def test_a_node_that_has_the_path_itself_needs_no_registered_data_set(tmp_path: Path) -> None:
    (tmp_path / "wine").mkdir()
    (tmp_path / "wine" / "x").touch()
    text = READER.replace("''", "'m'")
    script = f"{HEAD}c = Component('i', make, {{'path': {str(tmp_path / 'wine')!r}}})\nc.mount_volume('claim', {str(tmp_path)!r})\n{TAIL}"
    file = tmp_path / "component.py"
    converted = read(script=script, components={"make": text})
    file.write_text(module(converted, "make") + f"\nmake(path={str(tmp_path / 'wine')!r})\n")
    env = {**os.environ, "_KFP_RUNTIME": "true"}
    done = subprocess.run([sys.executable, str(file)], env=env, capture_output=True, text=True, check=False)
    assert json.loads(done.stdout) == ["folder", "wine", ["x"], "m"], done.stderr


def test_the_whole_project_runs_as_kfp_runs_it(tmp_path: Path) -> None:
    """KFP starts the command of each executor with an ExecutorInput: the first step, through `sh`, is enough to show it."""
    folder = tmp_path / "line"
    folder.mkdir()
    (folder / "points.csv").write_text(scripts.points(10))
    converted = read(script=scripts.SCRIPT.replace("/mnt/datasets", str(tmp_path)))
    deployment: Any = converted.pipeline_spec["deploymentSpec"]
    container = deployment["executors"]["exec-data-preprocessing"]["container"]
    outputs = {name: tmp_path / "out" / name for name in ("train_ds", "test_ds")}
    order = {
        "inputs": {"parameterValues": {"dataset_path": str(folder / "points.csv")}},
        "outputs": {
            "artifacts": {
                name: {"artifacts": [{"name": name, "type": {"schemaTitle": "system.Dataset"}, "uri": str(path)}]}
                for name, path in outputs.items()
            },
            "outputFile": str(tmp_path / "executor_output.json"),
        },
    }  # fmt: skip
    args = [json.dumps(order) if word == "{{$}}" else word for word in container["args"]]
    bin_folder = tmp_path / "bin"
    bin_folder.mkdir()
    (bin_folder / "python3").write_text(f'#!/bin/sh\nexec "{sys.executable}" -W ignore "$@"\n')
    (bin_folder / "python3").chmod(0o755)
    env = {**os.environ, "PATH": f"{bin_folder}:{os.environ['PATH']}", "TMPDIR": str(tmp_path)}
    done = subprocess.run(
        [*container["command"], *args], env=env, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert len(outputs["train_ds"].read_text().splitlines()) == 8
    assert outputs["test_ds"].read_text().splitlines() == ["8.0,25.0", "9.0,28.0"]
