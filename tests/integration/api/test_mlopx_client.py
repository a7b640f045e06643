"""PyPI's mlopx 1.0.8, unmodified, from an environment of its own, against our gateway over HTTP."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.integration.api.conftest import Api
from tests.support import mlopx_scripts as scripts
from tests.support.seed_client import answer_of, require_seed_client, run_script

pytestmark = pytest.mark.timeout(240)


@pytest.fixture(autouse=True)
def _installed() -> None:
    require_seed_client()


def sent(api: Api, folder: Path, **changes: Any) -> "subprocess.CompletedProcess[str]":
    return run_script(scripts.write_project(folder, server=str(api.http.base_url).rstrip("/"), **changes))


@pytest.mark.parametrize("metadata", [scripts.LINEAR, scripts.CNN], ids=["linear regression", "cnn"])
def test_its_pipelines_become_runs(api: Api, tmp_path: Path, metadata: dict[str, Any]) -> None:
    answer = answer_of(sent(api, tmp_path, metadata=metadata))
    assert answer["status"] == "success"
    run = api.http.get(f"/v1/runs/{answer['pipeline_id']}").json()
    assert (run["name"], run["tasks"]["total"]) == ("line_lr", 3)
    tasks = {task["path"]: task for task in api.http.get(f"/v1/runs/{run['id']}/tasks").json()["items"]}
    kinds = {path: task["kind"] for path, task in tasks.items()}
    assert kinds == {
        "data-preprocessing": "preprocessing",
        "model-training": "training",
        "model-evaluation": "evaluation",
    }
    assert tasks["model-training"]["task_class"] == f"training/{metadata['model']['type']}"
    assert all(task["effort_flops"] for task in tasks.values())
    notes = " ".join(answer["notes"])
    assert "'line'" in notes
    assert "not run" not in notes, "what the client itself writes into the script is not worth a note"
    shown = api.http.get(f"/pipelines/{run['id']}").json()
    assert [item["type"] for item in shown["components"].values()] == list(kinds.values())


def test_types_that_it_loses_on_the_way_are_noted(api: Api, tmp_path: Path) -> None:
    """It drops the type of a component whose name has neither capital nor underscore."""
    (tmp_path / "fetch.py").write_text(
        "from mlopx.pipelines.artifacts import OutputDataset\n\ndef fetch(rows: OutputDataset):\n    pass\n"
    )
    (tmp_path / "metadata.json").write_text(json.dumps({"components_type": {"fetch": "training"}}))
    script = tmp_path / "pipeline.py"
    script.write_text(
        "from mlopx.pipelines import Pipeline, Component\nfrom fetch import fetch\n"
        "fetching = Component('python', fetch, {})\n"
        "pipeline = Pipeline('small', 'metadata.json')\npipeline.add([fetching])\n"
        f"pipeline.submit('{str(api.http.base_url).rstrip('/')}')\n"
    )
    answer = answer_of(run_script(script))
    assert any("fetch" in note and "preprocessing" in note for note in answer["notes"])


def test_a_script_that_cannot_be_read_is_refused_and_it_says_so(api: Api, tmp_path: Path) -> None:
    script = scripts.write_project(tmp_path, server=str(api.http.base_url).rstrip("/"))
    text = script.read_text()
    script.write_text(text.replace("pipeline.add([component_1, component_2, component_3])",
                                   "pipeline.add([c for c in (component_1, component_2, component_3)])"))  # fmt: skip
    done = run_script(script)
    assert done.returncode == 0
    assert "422" in done.stdout
    assert api.http.get("/v1/runs").json()["items"] == []
