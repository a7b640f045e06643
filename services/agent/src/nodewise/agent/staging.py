"""An attempt's folder: what the runner finds there, and where it leaves what it made.

<folder>/task.json  component.py  log.txt        the runner's order, the user's module, stdout and stderr
<folder>/inputs/<name>   outputs/<name>          artifacts
<folder>/parameters/<name>                       parameters that the task writes to a path
<folder>/work/  tmp/                             the process's current and temporary folder
<folder>/executor_output.json  error.txt  peak.txt   what the executor, an exception, and the end left
"""

import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from nodewise.agent.cache import ArtifactCache
from nodewise.agent.processes import MARK
from nodewise.core.model.artifact import ArtifactRef
from nodewise.core.model.job import Job
from nodewise.core.model.pipeline import ArtifactSpec
from nodewise.core.store.addresses import safe_segment

_INHERITED: Final = (
    "PATH", "HOME", "USER", "LOGNAME", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "LD_LIBRARY_PATH", "SSL_CERT_FILE",
    "CUDA_VISIBLE_DEVICES", "NVIDIA_VISIBLE_DEVICES", "NODEWISE_STACK",
)  # fmt: skip
_THREADS: Final = (
    "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS", "VECLIB_MAXIMUM_THREADS",
    "LOKY_MAX_CPU_COUNT",
)  # fmt: skip
_BULKY: Final = ("inputs", "outputs", "parameters", "work", "tmp", "dataset")


class AttemptFolder:
    """The paths of one attempt."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.task = root / "task.json"
        self.source = root / "component.py"
        self.log = root / "log.txt"
        self.executor_output = root / "executor_output.json"
        self.error = root / "error.txt"
        self.peak = root / "peak.txt"
        self.work = root / "work"
        self.temporary = root / "tmp"
        self.dataset = root / "dataset" / "data"

    def input(self, name: str) -> Path:
        return self.root / "inputs" / safe_segment(name)

    def output(self, name: str) -> Path:
        return self.root / "outputs" / safe_segment(name)

    def parameter(self, name: str) -> Path:
        return self.root / "parameters" / safe_segment(name)

    def create(self) -> None:
        """Make it new: what an earlier process with the same key left is gone."""
        shutil.rmtree(self.root, ignore_errors=True)
        for path in (self.work, self.temporary, self.root / "outputs", self.root / "parameters"):
            path.mkdir(parents=True)

    def clear(self) -> None:
        """Remove the bulk: all but the log and the small files."""
        for name in _BULKY:
            shutil.rmtree(self.root / name, ignore_errors=True)


def stage(job: Job, folder: AttemptFolder, cache: ArtifactCache, *, cores: tuple[int, ...]) -> dict[str, str]:
    """Fetch what the job needs and write the runner's order.

    Returns:
        The environment of its process.

    Raises:
        StoreError: An artifact cannot be had.
        OSError: The disk does not take it.
    """
    inputs = {name: _stage_input(ref, folder.input(name), cache) for name, ref in job.artifacts.items()}
    if job.dataset_uri is not None:
        cache.stage(job.dataset_uri, folder.dataset)
    folder.source.write_text(job.code.source, encoding="utf-8", errors="surrogatepass")
    folder.task.write_text(json.dumps(_order(job, folder, inputs, cores)))
    return environment(job, folder, os.environ)


def _stage_input(ref: ArtifactRef, destination: Path, cache: ArtifactCache) -> str:
    """What the task gets as the artifact's uri: a local path, or what its maker set (for example s3://...)."""
    if not ref.uri.startswith("store://"):
        return ref.uri
    cache.stage(ref.uri, destination)
    return str(destination)


def _order(
    job: Job, folder: AttemptFolder, inputs: Mapping[str, str], cores: tuple[int, ...]
) -> dict[str, Any]:
    return {
        "agent_pid": os.getpid(),
        "cores": list(cores),
        "source_path": str(folder.source),
        "function": job.code.function,
        "error_path": str(folder.error),
        "peak_path": str(folder.peak),
        "executor_input": _executor_input(job, folder, inputs),
    }


def _executor_input(job: Job, folder: AttemptFolder, inputs: Mapping[str, str]) -> dict[str, Any]:
    """KFP's ExecutorInput, with local paths for uris."""
    return {
        "inputs": {
            # An absent value lets the function's own default apply.
            "parameterValues": {name: v for name, v in job.parameters.items() if v is not None},
            "artifacts": {
                name: _artifact(ref.name, inputs[name], ref.schema_title, ref.metadata)
                for name, ref in job.artifacts.items()
            },
        },
        "outputs": {
            "parameters": {
                name: {"outputFile": str(folder.parameter(name))} for name in job.output_parameters
            },
            "artifacts": {
                name: _output_artifact(name, spec, folder) for name, spec in job.output_artifacts.items()
            },
            "outputFile": str(folder.executor_output),
        },
    }


def _output_artifact(name: str, spec: ArtifactSpec, folder: AttemptFolder) -> dict[str, Any]:
    return _artifact(name, str(folder.output(name)), spec.schema_title, {})


def _artifact(name: str, uri: str, schema_title: str, metadata: Mapping[str, object]) -> dict[str, Any]:
    kind = {"schemaTitle": schema_title, "schemaVersion": "0.0.1"}
    return {"artifacts": [{"name": name, "type": kind, "uri": uri, "metadata": dict(metadata)}]}


def environment(job: Job, folder: AttemptFolder, base: Mapping[str, str]) -> dict[str, str]:
    """The task's environment: little of the agent's, and none of its secrets (broker and store addresses)."""
    inherited = {
        name: value for name, value in base.items() if name in _INHERITED or name.startswith("PYTHON")
    }
    threads = str(max(1, job.resources.millicores // 1000))
    given = {
        "PYTHONUNBUFFERED": "1",
        "_KFP_RUNTIME": "true",
        "TMPDIR": str(folder.temporary),
        MARK: str(folder.root),
        **dict.fromkeys(_THREADS, threads),
    }
    if job.dataset_uri is not None:
        given["NODEWISE_DATASET"] = str(folder.dataset)
    return {**inherited, **given, **job.code.environment, MARK: str(folder.root)}
