"""What `nodewise.sdk` exports, and what importing it costs."""

import subprocess
import sys

import nodewise.sdk


def test_the_exported_names_are_these() -> None:
    assert sorted(nodewise.sdk.__all__) == [
        "Artifact", "Client", "Command", "CompiledPipeline", "ContainerTask", "Dataset", "DatasetHint", "In", "Metrics",
        "Model", "ModelHint", "Out", "Pipeline", "PipelineError", "Resources", "RunStatus", "Task", "TaskHandle", "collect",
        "compile", "container_task", "dataset_path", "each", "elif_when", "load_pipelines", "load_submission", "on_exit",
        "one_of", "otherwise", "pipeline", "task", "when",
    ]  # fmt: skip


def test_each_name_is_there() -> None:
    assert all(getattr(nodewise.sdk, name) is not None for name in nodewise.sdk.__all__)
    assert not hasattr(nodewise.sdk, "Nothing")


def test_importing_it_and_writing_a_task_brings_neither_kfp_nor_http() -> None:
    code = (
        "import sys, tests.support.sdk_pipelines as p; p.best([1.0]);"
        "heavy = {'kfp', 'httpx', 'google.protobuf', 'pydantic', 'yaml', 'typer'} & set(sys.modules); sys.exit(str(heavy) if heavy else 0)"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], check=False, capture_output=True, text=True, timeout=60
    )
    assert result.returncode == 0, result.stderr
