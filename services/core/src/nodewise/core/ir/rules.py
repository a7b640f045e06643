"""What the IR says of how a step runs: its loop and its retries."""

import json
from datetime import timedelta
from typing import Any, Final

from nodewise.core.errors import InvalidPipeline
from nodewise.core.ir.guard import at, check_json
from nodewise.core.ir.parameters import whole_numbers
from nodewise.core.ir.tree import ArtifactLoop, ParameterLoop
from nodewise.core.model.task import RetryPolicy

_MAX_FACTOR: Final = 1000.0
_MAX_BACKOFF: Final = timedelta(days=365)
_MAX_RETRIES: Final = 1000


def read_loop(message: Any, *, path: str) -> ParameterLoop | ArtifactLoop | None:
    """The loop of a `PipelineTaskSpec`.

    Raises:
        InvalidPipeline: it names no items or no input for them.
    """
    kind = message.WhichOneof("iterator")
    if kind is None:
        return None
    key = "parameterIterator" if kind == "parameter_iterator" else "artifactIterator"
    iterator, path = getattr(message, kind), at(path, key)
    if not iterator.item_input:
        raise InvalidPipeline(at(path, "itemInput"), "is required")
    if kind == "artifact_iterator":
        return ArtifactLoop(item_input=iterator.item_input, items_input=iterator.items.input_artifact)
    if iterator.items.WhichOneof("kind") == "raw":
        items = _items(iterator.items.raw, at(path, "items.raw"))
        return ParameterLoop(item_input=iterator.item_input, items=items)
    return ParameterLoop(item_input=iterator.item_input, items_input=iterator.items.input_parameter)


def _items(raw: str, path: str) -> tuple[object, ...]:
    try:
        items = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise InvalidPipeline(path, "must be a list as JSON text") from error
    if not isinstance(items, list):
        raise InvalidPipeline(path, "must be a list as JSON text")
    check_json(items, root=path)
    return tuple(whole_numbers(item) for item in items)


def read_retry(message: Any, *, path: str) -> RetryPolicy:
    """A `RetryPolicy`; one that says nothing means no retry.

    Raises:
        InvalidPipeline: a number or duration out of range.
    """
    if not 0 <= message.max_retry_count <= _MAX_RETRIES:
        raise InvalidPipeline(at(path, "maxRetryCount"), f"must be from 0 to {_MAX_RETRIES}")
    factor = message.backoff_factor or 2.0
    if not 0 < factor <= _MAX_FACTOR:
        raise InvalidPipeline(at(path, "backoffFactor"), f"must be from 0 to {_MAX_FACTOR:.0f}")
    longest = _duration(message.backoff_max_duration, at(path, "backoffMaxDuration"))
    return RetryPolicy(
        max_retries=message.max_retry_count,
        backoff=_duration(message.backoff_duration, at(path, "backoffDuration")),
        factor=factor,
        max_backoff=longest or timedelta(hours=1),
    )


def _duration(message: Any, path: str) -> timedelta:
    duration = timedelta(seconds=message.seconds, microseconds=message.nanos // 1000)
    if not timedelta(0) <= duration <= _MAX_BACKOFF:
        raise InvalidPipeline(path, f"must be from 0 to {_MAX_BACKOFF.days} days")
    return duration
