"""What a finished task left, checked and carried to the store."""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from nodewise.agent.folder import AttemptFolder
from nodewise.core.errors import NodewiseError
from nodewise.core.model.artifact import ArtifactRef, TaskOutputs
from nodewise.core.model.job import Job
from nodewise.core.model.pipeline import ArtifactSpec, ParameterSpec, ParameterType
from nodewise.core.store import ArtifactStore

LIMIT_BYTES: Final = 1 << 20
"""Parameters and metadata travel in messages and rows; what is larger belongs into an artifact."""

_TYPES: Final[Mapping[ParameterType, type]] = {
    ParameterType.STRING: str,
    ParameterType.BOOLEAN: bool,
    ParameterType.LIST: list,
    ParameterType.STRUCT: dict,
}


class OutputError(NodewiseError):
    """The task ended well, but what it left is not what it declared."""


def collect(job: Job, folder: AttemptFolder, store: ArtifactStore) -> TaskOutputs:
    """The outputs of a task that ended well; its artifacts are in the store afterwards.

    Raises:
        OutputError: A declared parameter is missing, or of another type, or all are too large.
        StoreError: An artifact could not be stored.
    """
    left = _read_executor_output(folder.executor_output)
    given = left.get("parameterValues", {})
    parameters = {
        name: _parameter(name, spec, given, folder.parameter(name))
        for name, spec in job.output_parameters.items()
    }
    made = {name: _first(left, name) for name in job.output_artifacts}
    _check_size(parameters, made)
    artifacts = {
        name: _artifact(name, spec, made[name], folder=folder, store=store)
        for name, spec in job.output_artifacts.items()
    }
    return TaskOutputs(parameters=parameters, artifacts=artifacts)


def _read_executor_output(path: Path) -> dict[str, Any]:
    """What KFP's executor wrote; nothing when the process ended before (`sys.exit(0)`)."""
    if not path.exists():
        return {}
    try:
        left = json.loads(path.read_text())
    except ValueError as error:
        raise OutputError(f"the executor's output is not readable: {error}") from error
    return left if isinstance(left, dict) else {}


def _first(left: Mapping[str, Any], name: str) -> dict[str, Any]:
    listed = left.get("artifacts", {}).get(name, {}).get("artifacts", [])
    return listed[0] if listed else {}


def _parameter(name: str, spec: ParameterSpec, given: Mapping[str, Any], path: Path) -> object:
    if name in given:
        return convert(name, given[name], spec.type)
    if not path.exists():
        raise OutputError(f"the output parameter {name!r} was not written")
    text = path.read_text(encoding="utf-8", errors="replace")
    if spec.type is ParameterType.STRING:
        return convert(name, text, spec.type)
    try:
        return convert(name, json.loads(text), spec.type)
    except ValueError as error:
        raise OutputError(f"the output parameter {name!r} is not JSON: {text[:100]!r}") from error


def convert(name: str, value: object, kind: ParameterType) -> object:
    """The value as its declared type, if it is one that JSON and Postgres can carry.

    Raises:
        OutputError: It is not.
    """
    fitting = _fitting(value, kind)
    if fitting is None:
        raise OutputError(f"the output parameter {name!r} is {value!r:.100}, which is no {kind}")
    if clean(fitting) != fitting:
        raise OutputError(f"the output parameter {name!r} holds what JSON cannot carry: {value!r:.100}")
    return fitting


def _fitting(value: object, kind: ParameterType) -> object:
    """The value as that type; None when it is another."""
    if kind in (ParameterType.NUMBER_INTEGER, ParameterType.NUMBER_DOUBLE):
        return _number(value, whole=kind is ParameterType.NUMBER_INTEGER)
    return value if isinstance(value, _TYPES[kind]) else None


def _number(value: object, *, whole: bool) -> int | float | None:
    if not isinstance(value, int | float) or isinstance(value, bool):
        return None
    if not whole:
        return float(value)
    return int(value) if isinstance(value, int) or value.is_integer() else None


def clean(value: object) -> object:
    """The value without what JSON or Postgres's jsonb refuse: NaN and infinities as text, no NUL, no lone surrogates."""
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, str):
        return value.replace("\0", "\N{REPLACEMENT CHARACTER}").encode("utf-8", "replace").decode()
    if isinstance(value, list):
        return [clean(item) for item in value]
    if isinstance(value, dict):
        return {str(clean(str(name))): clean(item) for name, item in value.items()}
    return value


def _check_size(parameters: Mapping[str, object], made: Mapping[str, Mapping[str, Any]]) -> None:
    size = len(json.dumps([parameters, [artifact.get("metadata") for artifact in made.values()]]))
    if size > LIMIT_BYTES:
        raise OutputError(
            f"parameters and metadata take {size} bytes, the limit is {LIMIT_BYTES}; use an artifact"
        )


def _artifact(
    name: str, spec: ArtifactSpec, made: Mapping[str, Any], *, folder: AttemptFolder, store: ArtifactStore
) -> ArtifactRef:
    metadata = clean(made.get("metadata") or {})
    uri = made.get("custom_path") or made.get("uri") or str(folder.output(name))
    uri = uri.removeprefix("file://")
    common = {"name": name, "schema_title": spec.schema_title}
    if "://" in uri:
        # The task put it elsewhere itself (s3://...): who reads it gets that address.
        return ArtifactRef(uri=uri, metadata=metadata, **common)  # type: ignore[arg-type]
    path = folder.work / uri
    if not path.exists():
        stored, size = store.put_bytes(b""), 0
    else:
        stored, size = store.put_path(path)
    return ArtifactRef(uri=stored, size_bytes=size, metadata=metadata, **common)  # type: ignore[arg-type]
