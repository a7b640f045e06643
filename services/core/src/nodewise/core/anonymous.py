"""What foreign code said when it failed, as everybody may read it: it was shown the tasks of all teams, and may name any."""

import re
from typing import Final

_UUID: Final = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
_TASK: Final = re.compile(
    # As our own values print themselves, as (run, path) pairs do, and as `run/path`, the way in which planners know tasks.
    rf"(?:TaskId|TaskRef|AttemptKey)\([^()]*\)|\(['\"]{_UUID}['\"][^()]*\)|{_UUID}/[^\s,;:'\"()]+",
    re.IGNORECASE,
)
_RUN: Final = re.compile(rf"['\"]?{_UUID}['\"]?", re.IGNORECASE)


def unnamed(text: str) -> str:
    """The text without the ids of runs, and without the tasks that stand beside them."""
    return _RUN.sub("a run", _TASK.sub("a task", text))


def said(error: Exception) -> str:
    """What an exception is, and says; of ours, what it says."""
    return unnamed(f"{type(error).__name__}: {error}")
