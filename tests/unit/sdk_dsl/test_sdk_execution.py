"""A compiled task runs where only its text is: in a fresh process, through KFP's executor."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from nodewise.core.ir import read_program
from nodewise.core.ir.tree import Leaf
from nodewise.core.model.component import PythonWork
from nodewise.sdk import compile, pipeline  # noqa: A004
from tests.support.programs import leaf_of
from tests.support.sdk_pipelines import best, demo, optional, reads_the_data_set


@pipeline
def others(flag: bool):
    optional(flag=flag)
    reads_the_data_set()


def compiled_task(target: Any, name: str) -> Leaf:
    compiled = compile(target)
    return leaf_of(read_program(compiled.pipeline_spec, compiled.platform_spec), name)


def run(
    task: Leaf,
    folder: Path,
    *,
    parameters: dict[str, Any],
    artifacts: dict[str, Path] | None = None,
    **env: str,
) -> dict[str, Any]:
    """Run it as a node would; the executor's output file."""
    module, signature = folder / "component.py", task.signature
    assert isinstance(task.work, PythonWork)
    module.write_text(task.work.source)
    inputs = {name: [{"name": name, "uri": str(path), "type": {"schemaTitle": signature.input_artifacts[name].schema_title}}]
              for name, path in (artifacts or {}).items()}  # fmt: skip
    outputs = {name: [{"name": name, "uri": str(folder / name), "type": {"schemaTitle": spec.schema_title}}]
               for name, spec in signature.output_artifacts.items()}  # fmt: skip
    document = {
        "inputs": {"parameterValues": parameters, "artifacts": {name: {"artifacts": items} for name, items in inputs.items()}},
        "outputs": {
            "parameters": {name: {"outputFile": str(folder / name)} for name in signature.output_parameters},
            "artifacts": {name: {"artifacts": items} for name, items in outputs.items()},
            "outputFile": str(folder / "output.json"),
        },
    }  # fmt: skip
    command = [
        sys.executable, "-m", "kfp.dsl.executor_main", "--component_module_path", str(module),
        "--function_to_execute", task.work.function, "--executor_input", json.dumps(document),
    ]  # fmt: skip
    environment = {**os.environ, "_KFP_RUNTIME": "true", **env}
    result = subprocess.run(
        command, check=False, capture_output=True, text=True, env=environment, cwd=folder, timeout=60
    )
    assert result.returncode == 0, result.stdout + result.stderr
    return json.loads((folder / "output.json").read_text())  # type: ignore[no-any-return]


def test_artifacts_parameters_and_named_outputs(tmp_path: Path) -> None:
    output = run(compiled_task(demo, "prepare"), tmp_path, parameters={"rows": 3, "note": "hi"})
    assert (tmp_path / "train").read_text() == "3 rows, seed 7, hi"
    assert output["parameterValues"] == {"train_rows": 3, "test_rows": 1}
    assert output["artifacts"]["train"]["artifacts"][0]["metadata"] == {"rows": 3}


def test_an_artifact_in_a_metric_and_a_value_out(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.write_text("the data")
    output = run(compiled_task(demo, "fit"), tmp_path, parameters={"rate": 0.5}, artifacts={"data": data})
    assert (tmp_path / "model").read_text() == "the data"
    assert output["parameterValues"] == {"Output": 1.0}
    assert output["artifacts"]["metrics"]["artifacts"][0]["metadata"] == {"rate": 0.5}


def test_a_function_on_one_line(tmp_path: Path) -> None:
    output = run(compiled_task(demo, "best"), tmp_path, parameters={"scores": [1.5, 2.5], "label": "top "})
    assert output["parameterValues"] == {"Output": "top 2.5"}
    assert best.function([1.5]) == "1.5"


def test_optional_and_keyword_only_inputs(tmp_path: Path) -> None:
    output = run(compiled_task(others, "optional"), tmp_path, parameters={"flag": True})
    assert output["parameterValues"] == {"Output": True}


def test_the_data_set_is_found_in_a_task(tmp_path: Path) -> None:
    data = tmp_path / "digits.csv"
    data.write_text("1,2")
    output = run(
        compiled_task(others, "reads-the-data-set"), tmp_path, parameters={}, NODEWISE_DATASET=str(data)
    )
    assert output["parameterValues"] == {"Output": "1,2"}


def test_outside_a_task_there_is_no_data_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NODEWISE_DATASET", raising=False)
    with pytest.raises(Exception, match="NODEWISE_DATASET is not set"):
        reads_the_data_set()
