"""Staging: everything that a job needs is put into its attempt's folder, and the runner's order is written."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from nodewise.agent.cache import ArtifactCache
from nodewise.agent.folder import AttemptFolder
from nodewise.agent.processes import MARK
from nodewise.core.model.artifact import ArtifactRef
from nodewise.core.model.job import Job
from nodewise.core.model.pipeline import ArtifactSpec

_INHERITED: Final = (
    "PATH", "HOME", "USER", "LOGNAME", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "LD_LIBRARY_PATH", "SSL_CERT_FILE",
    "CUDA_VISIBLE_DEVICES", "NVIDIA_VISIBLE_DEVICES", "NODEWISE_STACK",
)  # fmt: skip
_THREADS: Final = (
    "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS", "VECLIB_MAXIMUM_THREADS",
    "LOKY_MAX_CPU_COUNT",
)  # fmt: skip


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
        "TMPDIR": str(folder.temporary.resolve()),
        MARK: str(folder.root),
        **dict.fromkeys(_THREADS, threads),
    }
    if job.dataset_uri is not None:
        given["NODEWISE_DATASET"] = str(folder.dataset)
    return {**inherited, **given, **job.code.environment, MARK: str(folder.root)}
