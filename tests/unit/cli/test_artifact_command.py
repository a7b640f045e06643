"""`nodewise artifact`, and what `get` shows of outputs."""

from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import Result

from tests.support.fake_api import FakeApi, artifact_info, task_info

Cli = Callable[..., Result]


@pytest.fixture
def api() -> FakeApi:
    api = FakeApi()
    api.add_run("r")
    artifacts = {
        "model": artifact_info("model"),
        "scores": artifact_info("scores", "Metrics", size_bytes=0, metadata={"accuracy": 0.97, "loss": 0.1}),
        "far": artifact_info("far", "Dataset", uri="s3://bucket/far"),
    }
    api.tasks["r"] = [
        task_info("r", "load", outputs={"parameters": {}, "artifacts": {}}),
        task_info("r", "fit", outputs={"parameters": {"Output": 0.97}, "artifacts": artifacts}),
    ]
    api.contents["tasks/fit/artifacts/model"] = b"weights" * 100_000
    return api


@pytest.fixture(autouse=True)
def here(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """What is taken home lands in an empty folder."""
    monkeypatch.chdir(tmp_path)


def test_without_a_name_the_artifacts_are_listed(cli: Cli) -> None:
    lines = cli("artifact", "r", "fit").stdout.splitlines()
    assert [line.split()[:4] for line in lines[1:]] == [
        ["model", "Model", "1.5", "KiB"], ["scores", "Metrics", "0", "B"], ["far", "Dataset", "elsewhere", "s3://bucket/far"],
    ]  # fmt: skip
    assert cli("artifact", "r", "load").stdout == "no artifacts\n"


@pytest.mark.parametrize(("option", "file"), [(None, "model"), ("mine.pkl", "mine.pkl"), (".", "model")])
def test_an_artifact_is_brought_here(cli: Cli, tmp_path: Path, option: str | None, file: str) -> None:
    result = cli("artifact", "r", "fit", "model", *(["-o", option] if option else []))
    assert (result.exit_code, result.stdout) == (0, f"{file}\n")
    assert [path.name for path in tmp_path.iterdir()] == [file]
    assert (tmp_path / file).read_bytes() == b"weights" * 100_000


def test_what_is_not_there_names_what_is(cli: Cli) -> None:
    assert "no artifact named 'x'; known: far, model, scores" in cli("artifact", "r", "fit", "x").stderr
    assert "no task named 'x'; known: load, fit" in cli("artifact", "r", "x").stderr
    result = cli("artifact", "r", "fit", "model", "-o", "nowhere/at/all")
    assert result.exit_code == 1
    assert result.stderr == "error: cannot write nowhere/at/all: No such file or directory\n"


def test_get_shows_parameters_metrics_and_artifacts(cli: Cli) -> None:
    assert cli("get", "r").stdout.splitlines()[-6:] == [
        "fit.Output = 0.97", "fit.model: Model, 1.5 KiB", "fit.scores.accuracy = 0.97", "fit.scores.loss = 0.1",
        "fit.scores: Metrics, 0 B", "fit.far: Dataset, elsewhere",
    ]  # fmt: skip
