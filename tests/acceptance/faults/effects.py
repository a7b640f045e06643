"""What the tasks did, by their own traces, against what is on record. Pure but for reading the traces."""

import json
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from nodewise.core.lifecycle import AttemptState

GAVE_UP = frozenset({AttemptState.LOST})
"""An attempt that ended so may have run, and its task runs again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trace:
    """A line that a task wrote: which attempt of which task it was by its folder, and its token, drawn anew each time."""

    what: str
    path: str
    attempt: int
    node: str
    token: str
    before: tuple[str, ...]
    at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """What is on record of one task: the states of its attempts by number, and the token among its outputs."""

    states: Mapping[int, AttemptState]
    token: str | None


def traces(file: Path) -> list[Trace]:
    """All lines of a run's file; none where nothing has run."""
    if not file.exists():
        return []
    return [_trace(json.loads(line)) for line in file.read_text().splitlines()]


def _trace(said: Mapping[str, object]) -> Trace:
    # <work_dir>/attempts/<run>/<path>/<attempt>; the work_dir's name is that of the node.
    place = Path(str(said["place"]))
    return Trace(
        what=str(said["what"]),
        path=place.parent.name,
        attempt=int(place.name),
        node=place.parents[3].name,
        token=str(said["token"]),
        before=tuple(str(said["before"]).split()),
        at=float(str(said["at"])),
    )


def doubled(found: Sequence[Trace], recorded: Mapping[str, Recorded]) -> Iterator[str]:
    """What counted or ran more often than the record can explain, of one run.

    An attempt runs once. A task runs again only where an attempt before was given up. What others were given, and what
    is on record, is of one execution: that of the attempt that succeeded.
    """
    begun: dict[str, list[Trace]] = defaultdict(list)
    for trace in found:
        if trace.what == "begins":
            begun[trace.path].append(trace)
    for path, executions in begun.items():
        yield from _ran_too_often(path, executions, recorded.get(path))
    for path, task in recorded.items():
        made = {t.token for t in begun[path] if task.states.get(t.attempt) is AttemptState.SUCCEEDED}
        if task.token is None or made != {task.token}:
            yield f"{path}: on record is {task.token}, and its good attempts made {sorted(made)}"
    known = {task.token for task in recorded.values()}
    for trace in found:
        if not set(trace.before) <= known:
            yield f"{trace.path}#{trace.attempt} was given {trace.before}, which is not what counts"


def _ran_too_often(path: str, executions: Sequence[Trace], task: Recorded | None) -> Iterator[str]:
    for attempt, count in Counter(trace.attempt for trace in executions).items():
        if count > 1:
            yield f"{path}#{attempt} ran {count} times"
    if task is None:
        yield f"{path} ran, and is not on record"
        return
    for trace in executions:
        state = task.states.get(trace.attempt)
        if state is None:
            yield f"{path}#{trace.attempt} ran, and is not on record"
        elif state not in GAVE_UP and state is not AttemptState.SUCCEEDED:
            yield f"{path}#{trace.attempt} ran, and is {state}"
