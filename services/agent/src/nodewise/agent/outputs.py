"""What a finished task left, checked and carried to the store."""

import json
import math
import stat
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from nodewise.agent.folder import AttemptFolder
from nodewise.core.errors import NodewiseError
from nodewise.core.model.artifact import ArtifactRef, TaskOutputs
from nodewise.core.model.component import Artifact, ContainerWork, Parameter, ValueKind
from nodewise.core.model.job import Job
from nodewise.core.store import ArtifactStore
from nodewise.core.store.trees import NotStorable, go_on, open_regular, translated_source

LIMIT_BYTES: Final = 1 << 20
"""Parameters and metadata travel in messages and rows; what is larger belongs into an artifact."""
LIMIT_DEPTH: Final = 64
"""Levels of nesting. Whoever serialises a value on its way to the database allows a few hundred at most."""
_READ_LIMIT: Final = 4 * LIMIT_BYTES
"""Of a file with parameters: it may be written more spaciously than what is sent."""

_TYPES: Final[Mapping[ValueKind, type]] = {
    ValueKind.STRING: str,
    ValueKind.BOOLEAN: bool,
    ValueKind.LIST: list,
    ValueKind.STRUCT: dict,
    ValueKind.TASK_FINAL_STATUS: dict,
    ValueKind.TASK_CONFIG: dict,
}


class OutputError(NodewiseError):
    """The task ended well, but what it left is not what it declared."""


@dataclass(frozen=True, slots=True)
class _Made:
    """What the executor says of an artifact: where it is, if the task chose the place, and its metadata."""

    place: str | None
    metadata: dict[str, object]


def collect(
    job: Job, folder: AttemptFolder, store: ArtifactStore, *, checkpoint: Callable[[], None] = go_on
) -> TaskOutputs:
    """The outputs of a task that ended well; its artifacts are in the store afterwards.

    Args:
        job: What the task declared.
        folder: Where it left its outputs.
        store: Where the artifacts go.
        checkpoint: Called again and again on the way; what it raises ends the work.

    Raises:
        OutputError: The task's fault: a declared parameter is missing, or of another type, all are too large or
            nested too deeply, or an artifact is nothing that can be stored.
        StoreError: An artifact could not be stored.
        OSError: The system could not read what the task left.
    """
    confined = isinstance(job.work, ContainerWork)
    if confined:
        _refuse_moved(job, folder)
    parameters, made = _read(job, folder)
    artifacts = {}
    for name, spec in job.signature.output_artifacts.items():
        checkpoint()
        stored, size = _store(name, made[name], folder, store, confined=confined, checkpoint=checkpoint)
        artifacts[name] = _artifact(name, spec, made[name], uri=stored, size=size)
    return TaskOutputs(parameters=parameters, artifacts=artifacts)


def _read(job: Job, folder: AttemptFolder) -> tuple[dict[str, object], dict[str, _Made]]:
    try:
        left = _object(_read_executor_output(folder.executor_output), "the executor's output")
        given = _object(left.get("parameterValues"), "parameterValues")
        parameters = {
            name: _parameter(name, spec, given, folder.parameter(name))
            for name, spec in job.signature.output_parameters.items()
        }
        made = {name: _made(left, name) for name in job.signature.output_artifacts}
        _check_size(parameters, made)
    except NotStorable as error:
        raise OutputError(f"the outputs cannot be read: {error}") from error
    except (RecursionError, TypeError, ValueError) as error:
        # Only what the task wrote is looked at here, so it is at fault, whatever we did not think of.
        raise OutputError(f"the outputs cannot be read: {error}") from error
    return parameters, made


def read_bounded(path: Path, limit_bytes: int) -> bytes | None:
    """The beginning of a file that a task may have put there; None when there is nothing.

    Raises:
        NotStorable: It is no regular file.
        OSError: The system does not read it.
    """
    try:
        with open_regular(path) as file:
            return file.read(limit_bytes)
    except FileNotFoundError:
        return None


def _read_text(path: Path) -> str | None:
    raw = read_bounded(path, _READ_LIMIT + 1)
    if raw is None:
        return None
    if len(raw) > _READ_LIMIT:
        raise OutputError(f"{path.name} takes more than {_READ_LIMIT} bytes; use an artifact")
    return raw.decode("utf-8", "replace")


def _read_executor_output(path: Path) -> object:
    """What KFP's executor wrote; nothing when the process ended before (`sys.exit(0)`)."""
    text = _read_text(path)
    if text is None:
        return {}
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise OutputError(f"the executor's output is not readable: {error}") from error


def _object(value: object, what: str) -> dict[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise OutputError(f"{what} is {_short(value)}, which is no object")
    return value


def _made(left: Mapping[str, Any], name: str) -> _Made:
    what = f"the output artifact {name!r}"
    listed = _object(_object(left.get("artifacts"), "artifacts").get(name), what).get("artifacts")
    if listed is not None and not isinstance(listed, list):
        raise OutputError(f"{what} is {_short(listed)}, which is no list")
    said = _object(listed[0], what) if listed else {}
    place = said.get("custom_path") or said.get("uri") or None
    if place is not None and (not isinstance(place, str) or clean(place) != place):
        raise OutputError(f"the uri of {what} is {_short(place)}, which is no text")
    metadata = _object(said.get("metadata"), f"the metadata of {what}")
    _check_depth(metadata, f"the metadata of {what}")
    return _Made(place=place, metadata={str(clean(key)): clean(value) for key, value in metadata.items()})


def _parameter(name: str, spec: Parameter, given: Mapping[str, Any], path: Path) -> object:
    if name in given:
        return convert(name, given[name], spec.kind)
    text = _read_text(path)
    if text is None:
        raise OutputError(f"the output parameter {name!r} was not written")
    if spec.kind is ValueKind.STRING:
        return convert(name, text, spec.kind)
    try:
        value = json.loads(text)
    except ValueError as error:
        raise OutputError(f"the output parameter {name!r} is not JSON: {text[:100]!r}") from error
    except RecursionError as error:
        raise OutputError(f"the output parameter {name!r} is nested too deeply") from error
    return convert(name, value, spec.kind)


def convert(name: str, value: object, kind: ValueKind) -> object:
    """The value as its declared type, if it is one that JSON and Postgres can carry.

    Raises:
        OutputError: It is not.
    """
    _check_depth(value, f"the output parameter {name!r}")
    fitting = _fitting(value, kind)
    if fitting is None:
        raise OutputError(f"the output parameter {name!r} is {_short(value)}, which is no {kind}")
    if clean(fitting) != fitting:
        raise OutputError(f"the output parameter {name!r} holds what JSON cannot carry: {_short(value)}")
    return fitting


def _short(value: object) -> str:
    try:
        return f"{value!r:.100}"
    except (RecursionError, ValueError):
        return f"some {type(value).__name__}"


def _fitting(value: object, kind: ValueKind) -> object:
    """The value as that type; None when it is another."""
    if kind in (ValueKind.NUMBER_INTEGER, ValueKind.NUMBER_DOUBLE):
        return _number(value, whole=kind is ValueKind.NUMBER_INTEGER)
    return value if isinstance(value, _TYPES[kind]) else None


def _number(value: object, *, whole: bool) -> int | float | None:
    if not isinstance(value, int | float) or isinstance(value, bool):
        return None
    if not whole:
        return _double(value)
    return int(value) if isinstance(value, int) or value.is_integer() else None


def _double(value: int | float) -> float | None:
    """The value as a double; None when it is beyond every double."""
    try:
        return float(value)
    except OverflowError:
        return None


def _check_depth(value: object, what: str) -> None:
    if any(depth > LIMIT_DEPTH for depth in _depths(value)):
        raise OutputError(f"{what} is nested deeper than {LIMIT_DEPTH} levels")


def _depths(value: object) -> Iterator[int]:
    """The depth of every list and object in the value, itself being 1. No recursion: it may be deep."""
    stack = [(1, value)]
    while stack:
        depth, part = stack.pop()
        if isinstance(part, dict | list):
            yield depth
            items = part.values() if isinstance(part, dict) else part
            stack.extend((depth + 1, item) for item in items)


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


def _check_size(parameters: Mapping[str, object], made: Mapping[str, _Made]) -> None:
    size = len(json.dumps([parameters, [artifact.metadata for artifact in made.values()]]))
    if size > LIMIT_BYTES:
        raise OutputError(
            f"parameters and metadata take {size} bytes, the limit is {LIMIT_BYTES}; use an artifact"
        )


def _artifact(name: str, spec: Artifact, made: _Made, *, uri: str, size: int) -> ArtifactRef:
    return ArtifactRef(
        name=name, uri=uri, schema_title=spec.schema_title, size_bytes=size, metadata=made.metadata
    )


def _store(
    name: str,
    made: _Made,
    folder: AttemptFolder,
    store: ArtifactStore,
    *,
    confined: bool,
    checkpoint: Callable[[], None],
) -> tuple[str, int]:
    """The address and the size of the artifact, which is in the store now. `confined`: it must lie in the attempt's folder."""
    place = (made.place or str(folder.output(name))).removeprefix("file://")
    if "://" in place:
        # The task put it elsewhere itself (s3://...): who reads it gets that address.
        return place, 0
    try:
        path = _real_path(folder.work / place, folder)
        if path is None:
            return store.put_bytes(b""), 0
        if confined:
            path = _linked_path(path, folder)
        return store.put_path(path, checkpoint=checkpoint)
    except NotStorable as error:
        raise OutputError(f"the output artifact {name!r}: {error}") from error


def _refuse_moved(job: Job, folder: AttemptFolder) -> None:
    """Who ran in a container sees less than who reads what it left: a folder of ours must not lead elsewhere now.

    Raises:
        OutputError: One does.
    """
    places = [folder.executor_output, *map(folder.parameter, job.signature.output_parameters)]
    for place in {path.parent for path in places}:
        if not _is_own(place.resolve(), folder):
            raise OutputError(f"the folder {place.name!r} of its outputs leads out of the attempt's folder")


def _is_own(path: Path, folder: AttemptFolder) -> bool:
    return any(path.is_relative_to(root.resolve()) for root in (folder.root, folder.temporary))


def _real_path(path: Path, folder: AttemptFolder) -> Path | None:
    """Where the artifact lies; None when the task made none.

    Raises:
        NotStorable: It cannot be reached, or is a link to nothing or to what is not the attempt's own.
    """
    try:
        with translated_source(path):
            linked = stat.S_ISLNK(path.lstat().st_mode)
    except FileNotFoundError:
        return None
    return _linked_path(path, folder) if linked else path


def _linked_path(link: Path, folder: AttemptFolder) -> Path:
    try:
        path = link.resolve(strict=True)
    except (OSError, RuntimeError) as error:
        raise NotStorable(f"a link that leads nowhere: {link}") from error
    if not _is_own(path, folder):
        raise NotStorable(f"a path that leads out of the attempt's folder: {link} -> {path}")
    return path
