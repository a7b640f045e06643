"""The trace of a run: the trace id of W3C's Trace Context, https://www.w3.org/TR/trace-context/, from its submission to its tasks. Pure.

A run is a trace of its own, whose id is the run's without dashes, unless its submitter has one: then it is a part of that. Each
attempt at a task is a span of it and finds itself as `TRACEPARENT` in its environment, where OpenTelemetry looks for it.
"""

import hashlib
import re
from typing import Final

from nodewise.core.model.ids import AttemptKey, RunId

VARIABLE: Final = "TRACEPARENT"
"""Of a task's environment, and of whoever submits."""
_LATEST: Final = "00"
_SAMPLED: Final = "01"
_PARENT: Final = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?", re.ASCII)


def read_traceparent(text: str | None) -> str | None:
    """The header in the form of version 00; None: it is none. As W3C has it, one that is malformed counts for nothing."""
    found = _PARENT.fullmatch((text or "").strip())
    if found is None:
        return None
    version, trace, span, flags, more = found.groups()
    if version == "ff" or (version == _LATEST and more) or not int(trace, 16) or not int(span, 16):
        return None
    return f"{_LATEST}-{trace}-{span}-{flags}"


def trace_id(run_id: RunId, traceparent: str | None) -> str:
    """32 hex digits. `traceparent` is the submitter's, as `read_traceparent` gives it."""
    return run_id.replace("-", "") if traceparent is None else traceparent.split("-")[1]


def traceparent_of(key: AttemptKey, traceparent: str | None) -> str:
    """What the attempt hands on: the trace of its run, and a span that follows from its key."""
    flags = _SAMPLED if traceparent is None else traceparent.split("-")[3]
    span = hashlib.sha256(str(key).encode()).hexdigest()[:16]
    return f"{_LATEST}-{trace_id(key.run_id, traceparent)}-{span}-{flags}"
