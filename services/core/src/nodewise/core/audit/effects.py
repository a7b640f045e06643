"""Whether what a task did counts once, however often it was tried."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from itertools import pairwise

from nodewise.core.audit.finding import Check, Finding
from nodewise.core.audit.record import AttemptRecord, EventRecord, RunRecord, TaskRecord
from nodewise.core.lifecycle import AttemptState, TaskEvent, TaskState
from nodewise.core.model.ids import TaskPath

_GOOD_ENDS = frozenset({TaskEvent.SUCCEED, TaskEvent.RESOLVE})


def counted_once(run: RunRecord) -> Iterator[Finding]:
    """One good end at most per task: in its events, and among its attempts, of which it is the latest.

    Outputs, state and end of a task are written by one statement (`queries.moves`), so outputs are those of the attempt
    that its one good end names.
    """
    attempts: dict[TaskPath, list[AttemptRecord]] = {}
    for attempt in run.attempts:
        attempts.setdefault(attempt.path, []).append(attempt)
    ends: dict[TaskPath, list[EventRecord]] = {}
    for event in run.events:
        if event.path is not None and event.event in _GOOD_ENDS:
            ends.setdefault(event.path, []).append(event)
    for task in run.tasks:
        tries = attempts.get(task.path, [])
        yield from (_of(run, task, *found) for found in _ended_twice(ends.get(task.path, [])))
        yield from (_of(run, task, *found) for found in _counted(task, tries, ends.get(task.path, [])))
        yield from (_of(run, task, *found) for found in _side_by_side(tries))
        if not run.bound_early and [one.attempt for one in tries] != list(range(1, task.attempt + 1)):
            numbers = ", ".join(str(one.attempt) for one in tries) or "none"
            yield _of(run, task, None, f"it counts {task.attempt} attempts, and on record are {numbers}")


_Found = tuple[AttemptRecord | EventRecord | None, str]


def _of(run: RunRecord, task: TaskRecord, about: AttemptRecord | EventRecord | None, text: str) -> Finding:
    return Finding(
        check=Check.COUNTED_ONCE,
        run_id=run.id,
        path=task.path,
        attempt=about.attempt if about else None,
        node=about.node if isinstance(about, AttemptRecord) else None,
        since=_instant(about),
        text=text,
    )


def _instant(about: AttemptRecord | EventRecord | None) -> datetime | None:
    if about is None:
        return None
    return about.at if isinstance(about, EventRecord) else about.finished_at


def _ended_twice(ends: Sequence[EventRecord]) -> Iterator[_Found]:
    for event in ends[1:]:
        yield event, f"it ended well {len(ends)} times"


def _counted(
    task: TaskRecord, attempts: Sequence[AttemptRecord], ends: Sequence[EventRecord]
) -> Iterator[_Found]:
    good = [one for one in attempts if one.state is AttemptState.SUCCEEDED]
    for one in good[1:]:
        yield one, f"{len(good)} of its attempts succeeded"
    if task.state is not TaskState.SUCCEEDED:
        if task.has_outputs:
            yield None, f"it is {task.state}, and has outputs"
        # A run that is being canceled takes a good end that comes late for what it is, and does not count it.
        if good and task.state is not TaskState.CANCELED:
            yield good[0], f"an attempt of it succeeded, and it is {task.state}"
        return
    if not ends:
        yield None, "it is SUCCEEDED, and no event says when"
    elif ends[-1].event == TaskEvent.SUCCEED:
        yield from _good_end(task, attempts, good, ends[-1])


def _good_end(
    task: TaskRecord, attempts: Sequence[AttemptRecord], good: Sequence[AttemptRecord], end: EventRecord
) -> Iterator[_Found]:
    if not good:
        yield end, "it succeeded, and none of its attempts did"
        return
    latest = max(one.attempt for one in attempts)
    for one in good:
        if not one.attempt == task.attempt == end.attempt == latest:
            yield (
                one,
                f"attempt {one.attempt} succeeded, the one that counts is {end.attempt}, the latest {latest}",
            )
        elif one.finished_at != task.finished_at:
            yield one, f"it ended at {one.finished_at}, and its task at {task.finished_at}"


def _side_by_side(attempts: Sequence[AttemptRecord]) -> Iterator[_Found]:
    """Attempts of one task hold room one after the other; one clock, the database's, stamped both."""
    for before, one in pairwise(attempts):
        if before.booking is None or one.booking is None:
            continue
        released = before.booking.released_at
        if released is None or released > one.booking.booked_at:
            yield one, f"it was booked before attempt {before.attempt} had given back what it held"
