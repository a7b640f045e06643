"""Staging: everything that a job needs is put into its attempt's folder, and the runner's order is written."""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from nodewise.agent.cache import ArtifactCache
from nodewise.agent.folder import AttemptFolder
from nodewise.agent.processes import MARK
from nodewise.core.ir.launch import Launch, Locations, launch
from nodewise.core.model.artifact import ArtifactRef
from nodewise.core.model.component import ContainerWork
from nodewise.core.model.job import Job
from nodewise.core.model.trace import VARIABLE

_LOCAL: Final = "file://"
_GPUS: Final = ("CUDA_VISIBLE_DEVICES", "NVIDIA_VISIBLE_DEVICES")
_INHERITED: Final = (
    "PATH", "HOME", "USER", "LOGNAME", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "LD_LIBRARY_PATH", "SSL_CERT_FILE",
    *_GPUS, "NODEWISE_STACK",
)  # fmt: skip
_THREADS: Final = (
    "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS", "VECLIB_MAXIMUM_THREADS",
    "LOKY_MAX_CPU_COUNT",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Staged:
    """What an attempt's process is started with; the packages are those of a Python component."""

    launched: Launch
    environment: Mapping[str, str]
    packages: tuple[str, ...] = ()
    pip_options: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    """What the reader of its log should know of its inputs, a line each."""


def stage(job: Job, folder: AttemptFolder, cache: ArtifactCache, *, cores: tuple[int, ...]) -> Staged:
    """Fetch what the job needs, and write the runner's order where it is a Python component.

    Raises:
        UnresolvedInput: A placeholder asks for what was not given.
        StoreError: An artifact cannot be had.
        OSError: The disk does not take it.
    """
    notes: list[str] = []
    inputs = {
        name: tuple(
            _stage_input(ref, folder.input(name, index), cache, notes) for index, ref in enumerate(refs)
        )
        for name, refs in job.inputs.artifacts.items()
    }
    if job.dataset_uri is not None:
        cache.stage(job.dataset_uri, folder.dataset)
    launched = launch(job, _locations(job, folder, inputs))
    work = job.work
    if isinstance(work, ContainerWork):
        own = _container_environment(job, folder, launched.environment)
        return Staged(launched=launched, environment=own, notes=tuple(notes))
    folder.source.write_text(work.source, encoding="utf-8", errors="surrogatepass")
    order = _order(folder, work.function, launched.executor_input, cores=cores)
    folder.task.write_text(json.dumps(order))
    return Staged(
        launched=launched,
        environment=environment(job, folder, launched.environment, os.environ),
        packages=work.packages,
        pip_options=work.pip_options,
        notes=tuple(notes),
    )


def _locations(job: Job, folder: AttemptFolder, inputs: Mapping[str, tuple[str, ...]]) -> Locations:
    signature = job.signature
    return Locations(
        inputs=inputs,
        output_parameters={name: str(folder.parameter(name)) for name in signature.output_parameters},
        output_artifacts={name: str(folder.output(name)) for name in signature.output_artifacts},
        output_file=str(folder.executor_output),
    )


def _stage_input(ref: ArtifactRef, destination: Path, cache: ArtifactCache, notes: list[str]) -> str:
    """What the task gets as the artifact's uri: a local path, or its address where the content is not fetched (see `foreign`)."""
    if ref.uri.startswith("store://"):
        cache.stage(ref.uri, destination)
        return str(destination)
    if ref.uri.startswith(_LOCAL):
        return ref.uri.removeprefix(_LOCAL)
    if "://" not in ref.uri:
        return ref.uri
    reason = cache.stage_foreign(ref.uri, destination)
    if reason is None:
        return str(destination)
    notes.append(f"the artifact {ref.name!r} stays at {ref.uri[:300]}, its path leads to no file: {reason}")
    return ref.uri


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
    given = {"TMPDIR": str(folder.temporary.resolve()), **_told(job, folder)}
    return {**inherited(base), **given, **own, MARK: str(folder.root)}


def inherited(base: Mapping[str, str]) -> dict[str, str]:
    """What every runner's environment has, whatever its task: of the agent's, and for Python and KFP to load as they should."""
    kept = {name: value for name, value in base.items() if name in _INHERITED or name.startswith("PYTHON")}
    return {**kept, "PYTHONUNBUFFERED": "1", "_KFP_RUNTIME": "true"}


def _container_environment(job: Job, folder: AttemptFolder, own: Mapping[str, str]) -> dict[str, str]:
    """What the image's own environment is extended by."""
    gpus = {name: os.environ[name] for name in _GPUS if name in os.environ} if job.resources.gpus else {}
    return {**gpus, **_told(job, folder), **own, MARK: str(folder.root)}


def _told(job: Job, folder: AttemptFolder) -> dict[str, str]:
    """What every task may want to know: how many threads are its share, where its data set is, which trace it is a part of."""
    threads = dict.fromkeys(_THREADS, str(max(1, job.resources.millicores // 1000)))
    dataset = {} if job.dataset_uri is None else {"NODEWISE_DATASET": str(folder.dataset)}
    trace = {} if job.traceparent is None else {VARIABLE: job.traceparent}
    return {**threads, **dataset, **trace}
