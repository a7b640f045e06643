"""Staging: everything that a job needs is put into its attempt's folder, and the runner's order is written."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from nodewise.agent.cache import ArtifactCache
from nodewise.agent.folder import AttemptFolder
from nodewise.agent.processes import MARK
from nodewise.core.errors import UnsupportedFeature
from nodewise.core.ir.launch import Locations, launch
from nodewise.core.model.artifact import ArtifactRef
from nodewise.core.model.component import PythonWork
from nodewise.core.model.job import Job

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
    if not isinstance(job.work, PythonWork):
        raise UnsupportedFeature(
            "job.work", "a container on this node", "run it where a container runtime is"
        )
    inputs = {
        name: tuple(_stage_input(ref, folder.input(name, index), cache) for index, ref in enumerate(refs))
        for name, refs in job.inputs.artifacts.items()
    }
    if job.dataset_uri is not None:
        cache.stage(job.dataset_uri, folder.dataset)
    launched = launch(job, _locations(job, folder, inputs))
    folder.source.write_text(job.work.source, encoding="utf-8", errors="surrogatepass")
    order = _order(folder, job.work.function, launched.executor_input, cores=cores)
    folder.task.write_text(json.dumps(order))
    return environment(job, folder, launched.environment, os.environ)


def _locations(job: Job, folder: AttemptFolder, inputs: Mapping[str, tuple[str, ...]]) -> Locations:
    signature = job.signature
    return Locations(
        inputs=inputs,
        output_parameters={name: str(folder.parameter(name)) for name in signature.output_parameters},
        output_artifacts={name: str(folder.output(name)) for name in signature.output_artifacts},
        output_file=str(folder.executor_output),
    )


def _stage_input(ref: ArtifactRef, destination: Path, cache: ArtifactCache) -> str:
    """What the task gets as the artifact's uri: a local path, or what its maker set (for example s3://...)."""
    if not ref.uri.startswith("store://"):
        return ref.uri
    cache.stage(ref.uri, destination)
    return str(destination)


def _order(
    folder: AttemptFolder, function: str, executor_input: Mapping[str, object], *, cores: tuple[int, ...]
) -> dict[str, Any]:
    return {
        "agent_pid": os.getpid(),
        "cores": list(cores),
        "source_path": str(folder.source),
        "function": function,
        "error_path": str(folder.error),
        "peak_path": str(folder.peak),
        "executor_input": executor_input,
    }


def environment(
    job: Job, folder: AttemptFolder, own: Mapping[str, str], base: Mapping[str, str]
) -> dict[str, str]:
    """The task's environment: little of the agent's, and none of its secrets (broker and store addresses).

    `own` are the component's variables, `base` those of the agent.
    """
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
    return {**inherited, **given, **own, MARK: str(folder.root)}
