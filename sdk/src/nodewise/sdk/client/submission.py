"""What is submitted, and until when it should be done."""

import os
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from nodewise.sdk.compiled import CompiledPipeline, compile  # noqa: A004 (the word for it)
from nodewise.sdk.dsl.options import seconds_of
from nodewise.sdk.loading import load_submission

_ONLY_WHERE_SAID: Final = frozenset({"cache", "engine"})


def read_target(target: object) -> CompiledPipeline:
    """The compiled form of whatever a user may submit.

    Raises:
        PipelineError: The user's file or function is wrong; names the line.
        UnknownName: The file has no pipeline of that name.
        InvalidPipeline: It is no pipeline.
    """
    if isinstance(target, str | os.PathLike):
        return load_submission(os.fspath(target))
    return compile(target)


def body_of(
    target: object,
    parameters: Mapping[str, Any],
    *,
    deadline: datetime | timedelta | str | None,
    **options: Any,
) -> dict[str, Any]:
    """What `POST /v1/runs` and `POST /v1/plans` take. `options` are its other fields.

    `cache` is left out where it is None: then every task does what its author said.

    Raises:
        As `read_target` and `deadline_text` do.
    """
    compiled = read_target(target)
    said = {key: value for key, value in options.items() if key not in _ONLY_WHERE_SAID or value is not None}
    return {
        "pipeline_spec": compiled.pipeline_spec,
        "platform_spec": compiled.platform_spec or None,
        "parameters": dict(parameters),
        "deadline": deadline_text(deadline),
        **said,
    }


def deadline_text(deadline: datetime | timedelta | str | None) -> str | None:
    """RFC 3339 in UTC; durations count from now.

    Raises:
        ValueError: The text is neither a duration (`90m`, `1d12h`) nor a time; or the time has no zone.
    """
    if deadline is None:
        return None
    when = _read(deadline) if isinstance(deadline, str) else deadline
    if isinstance(when, timedelta):
        when = datetime.now(UTC) + when
    if when.tzinfo is None:
        raise ValueError(f"the deadline {deadline!s} needs a time zone, for example {deadline!s}Z")
    return when.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _read(text: str) -> datetime | timedelta:
    try:
        return datetime.fromisoformat(text.strip())
    except ValueError:
        pass
    try:
        return timedelta(seconds=seconds_of(text.strip()))
    except ValueError as error:
        raise ValueError(
            f"{text!r} is no deadline: give a duration such as 90m or 2h, or a time such as 2026-11-30T18:00Z"
        ) from error
