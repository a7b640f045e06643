"""`nodewise.sdk.compat.mlopx`: the seed's scripts with changed import lines, compiled here and submitted with our client."""

import json
import runpy
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from kfp import components as kfp_components

from nodewise.core.compat.mlopx import UnreadableScript
from nodewise.core.errors import InvalidPipeline
from nodewise.core.ir import read_program
from nodewise.sdk.client.errors import ApiError
from nodewise.sdk.compat import mlopx
from nodewise.sdk.compat.mlopx import Component, InputDataset, ModelDetails, OutputDataset, Pipeline
from nodewise.sdk.compat.mlopx import artifacts as types
from nodewise.sdk.compat.mlopx.pipelines import Component as SameComponent
from nodewise.sdk.compat.mlopx.pipelines import artifacts
from nodewise.sdk.compat.mlopx.utils import ModelDetails as SameDetails
from tests.support import mlopx_scripts as scripts
from tests.support.fake_api import FakeApi, problem, served

SCALE = 2


def make(out: OutputDataset, factor: int = 1):
    with open(out.path, "w") as file:  # noqa: PTH123 (it travels without its imports)
        file.write(str(factor * SCALE))


def take(out: InputDataset) -> str:
    return open(out.path).read()  # noqa: PTH123


def submitted(fake: FakeApi) -> dict[str, Any]:
    """The body of the one submission."""
    (request,) = [request for request in fake.requests if request.method == "POST"]
    body: dict[str, Any] = json.loads(request.content)
    return body


@pytest.fixture
def metadata(tmp_path: Path) -> Path:
    file = tmp_path / "metadata.json"
    file.write_text(json.dumps({"components_type": {"make": "preprocessing", "take": "evaluation"}}))
    return file


@pytest.fixture
def run_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], dict[str, Any]]]:
    """Runs the seed's project with its import lines changed, in this process; gives what the script defined."""

    def run(server: str) -> dict[str, Any]:
        script = scripts.write_project(tmp_path, server=server)
        for file in tmp_path.glob("*.py"):
            file.write_text(file.read_text().replace("from mlopx.", "from nodewise.sdk.compat.mlopx."))
        monkeypatch.chdir(tmp_path)
        monkeypatch.syspath_prepend(str(tmp_path))
        return runpy.run_path(str(script), run_name="__main__")

    yield run
    for name in scripts.COMPONENTS:
        sys.modules.pop(name, None)


def test_a_seed_script_runs_with_its_import_lines_changed(
    run_project: Callable[[str], dict[str, Any]], capsys: pytest.CaptureFixture[str]
) -> None:
    fake = FakeApi()
    with served(fake) as url:
        names = run_project(url)
    request = submitted(fake)
    assert request["name"] == "line_lr"
    answer = json.loads(capsys.readouterr().out)
    assert set(answer) == {"status", "message", "pipeline_id", "notes"}
    assert answer["pipeline_id"] in fake.runs
    compiled = names["pipeline"].compile()
    uploaded = scripts.read()
    assert compiled.pipeline_spec == uploaded.pipeline_spec, "both ways in read the same texts alike"
    assert compiled.platform_spec == {"platforms": uploaded.platforms}


def test_on_the_client_components_may_be_made_in_a_loop(metadata: Path) -> None:
    pipeline = Pipeline("p", str(metadata))
    pipeline.add([Component("python", function, {}) for function in (make, take)])
    compiled = pipeline.compile()
    program = read_program(compiled.pipeline_spec, compiled.platform_spec)
    assert {step.name: step.upstream for step in program.root.steps} == {"make": (), "take": ("make",)}
    source = compiled.pipeline_spec["deploymentSpec"]["executors"]["exec-make"]["container"]["command"][-1]
    assert "SCALE = 2" in source
    assert "pytest" not in source


def test_what_is_wrong_is_refused_with_the_users_file_and_line(metadata: Path) -> None:
    pipeline = Pipeline("p", metadata)
    component = Component("python", make, args={"factor": "x"})
    line = component.as_use().line
    pipeline.add([component])
    with pytest.raises(
        UnreadableScript, match=r"test_mlopx_sdk.py.*'factor' must be a whole number"
    ) as refused:
        pipeline.compile()
    assert (refused.value.line, line is not None) == (line, True)


@pytest.mark.parametrize("function", [len, lambda: 1, Path], ids=["builtin", "lambda", "class"])
def test_what_is_no_function_of_a_file_is_refused_at_once(function: Any) -> None:
    with pytest.raises(InvalidPipeline):
        Component("python", function)


def test_a_metadata_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    pipeline = Pipeline("p", tmp_path / "gone.json")
    pipeline.add([Component("python", make)])
    with pytest.raises(InvalidPipeline, match=r"gone.json"):
        pipeline.compile()


def test_a_refusal_of_the_gateway_raises(metadata: Path) -> None:
    pipeline = Pipeline("p", metadata)
    pipeline.add([Component("python", make)])
    fake = FakeApi()
    fake.faults.append(problem(422, "Unprocessable Entity", detail="no"))
    with served(fake) as url, pytest.raises(ApiError):
        pipeline.submit(url)


def test_options_of_a_submission_are_handed_on(metadata: Path) -> None:
    pipeline = Pipeline("p", metadata)
    pipeline.add([Component("python", make)])
    fake = FakeApi()
    with served(fake) as url:
        pipeline.submit(url, priority=7, name="other")
    request = submitted(fake)
    assert (request["priority"], request["name"]) == (7, "other")


def test_a_file_for_plain_kfp_has_volumes_as_claims_and_images_with_a_tag(
    metadata: Path, tmp_path: Path
) -> None:
    component = Component("registry.localhost/base", make, {})
    component.mount_volume("claim", "/mnt/data")
    pipeline = Pipeline("p", metadata)
    pipeline.add([component])
    file = pipeline.write_for_kfp(tmp_path / "p.yaml", platform="amd64")
    spec, platforms = yaml.safe_load_all(file.read_text())
    executors = platforms["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    assert executors["exec-make"]["pvcMount"][0]["mountPath"] == "/mnt/data"
    assert (
        spec["deploymentSpec"]["executors"]["exec-make"]["container"]["image"]
        == "registry.localhost/base:amd64"
    )
    assert kfp_components.load_component_from_file(str(file)).name == "p"
    assert pipeline.notes()


def test_the_modules_have_the_names_that_mlopx_gives_them() -> None:
    assert set(mlopx.__all__) == {
        "Component", "InputDataset", "InputModel", "ModelDetails", "OutputDataset", "OutputModel", "Pipeline",
    }  # fmt: skip
    assert (SameComponent, SameDetails) == (Component, ModelDetails)
    assert artifacts.OutputModel is types.OutputModel


def layer(kind: str, **own: Any) -> Any:
    made = type(kind, (), {})()
    made.input, made.output = (
        SimpleNamespace(shape=(None, 28, 28, 1)),
        SimpleNamespace(shape=(None, 26, 26, 32)),
    )
    made.count_params = lambda: 320
    made.__dict__.update(own)
    return made


def test_layers_of_a_model_are_described_for_metadata(capsys: pytest.CaptureFixture[str]) -> None:
    model = SimpleNamespace(
        layers=[
            layer("Conv2D", kernel_size=(3, 3), strides=(1, 1)),
            layer("MaxPooling2D", pool_size=(2, 2)),
            layer("Flatten"),
        ]
    )
    described = ModelDetails.tf_dnn_layers(model, display=True)
    assert described[0] == {
        "type": "Conv2D", "input_shape": [28, 28, 1], "output_shape": [26, 26, 32], "params": 320,
        "kernel_size": [3, 3], "strides": [1, 1],
    }  # fmt: skip
    assert [set(item) - {"type", "input_shape", "output_shape", "params"} for item in described[1:]] == [
        {"pool_size"},
        set(),
    ]
    assert json.loads(capsys.readouterr().out) == described
