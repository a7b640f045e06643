"""A history in which nothing is wrong, to plant faults into: two tasks, the first of them lost once and tried again."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from nodewise.core.audit import AttemptRecord, BookingRecord, EventRecord, RunRecord, TaskRecord
from nodewise.core.lifecycle import AttemptState, RunState, TaskState
from nodewise.core.model.ids import NodeName, RunId, TaskPath
from nodewise.core.model.resources import Resources
from tests.support.rows import NOW

RUN = RunId("11111111-1111-1111-1111-111111111111")
LOAD, FIT = TaskPath("load"), TaskPath("fit")
SIZE = Resources(millicores=1000, memory_mib=100)


def at(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


def booking(
    path: str, attempt: int, since: float, until: float | None, *, node: str = "n1", size: Resources = SIZE
) -> BookingRecord:
    return BookingRecord(
        run_id=RUN,
        path=TaskPath(path),
        attempt=attempt,
        node=NodeName(node),
        resources=size,
        booked_at=at(since),
        released_at=None if until is None else at(until),
    )


def attempt(
    path: str, number: int, state: AttemptState, since: float, until: float | None, **changes: Any
) -> AttemptRecord:
    """One that was booked at `since`, started half a second later, and ended `until`."""
    made = AttemptRecord(
        path=TaskPath(path),
        attempt=number,
        node=NodeName("n1"),
        state=state,
        started_at=at(since + 0.5),
        finished_at=None if until is None else at(until),
        booking=booking(path, number, since, until),
    )
    return replace(made, **changes)


def task(path: str, number: int, until: float | None = None, **changes: Any) -> TaskRecord:
    """One that succeeded in its attempt of that number."""
    made = TaskRecord(
        path=TaskPath(path),
        state=TaskState.SUCCEEDED,
        attempt=number,
        upstream=(),
        finished_at=None if until is None else at(until),
        has_outputs=True,
    )
    return replace(made, **changes)


_STEPS: tuple[tuple[float, str | None, int | None, str, str | None, str, str], ...] = (
    (0, None, None, "submit", None, "PENDING", "api"),
    (0, "load", None, "submit", None, "WAITING", "api"),
    (0, "fit", None, "submit", None, "WAITING", "api"),
    (0, "load", 0, "inputs_ready", "WAITING", "READY", "recorder"),
    (1, "load", 0, "admit", "READY", "ADMITTED", "scheduler"),
    (1, "load", 1, "place", "ADMITTED", "PLACED", "placer"),
    (2, "load", 1, "start", "PLACED", "RUNNING", "recorder"),
    (2, None, None, "start", "PENDING", "RUNNING", "recorder"),
    (3, "load", 1, "lose", "RUNNING", "READY", "recorder"),
    (4, "load", 1, "admit", "READY", "ADMITTED", "scheduler"),
    (4, "load", 2, "place", "ADMITTED", "PLACED", "placer"),
    (5, "load", 2, "start", "PLACED", "RUNNING", "recorder"),
    (6, "load", 2, "succeed", "RUNNING", "SUCCEEDED", "recorder"),
    (6, "fit", 0, "inputs_ready", "WAITING", "READY", "recorder"),
    (7, "fit", 0, "admit", "READY", "ADMITTED", "scheduler"),
    (7, "fit", 1, "place", "ADMITTED", "PLACED", "placer"),
    (9, "fit", 1, "succeed", "PLACED", "SUCCEEDED", "recorder"),
    (9, None, None, "succeed", "RUNNING", "SUCCEEDED", "recorder"),
)


def clean() -> RunRecord:
    """A run of `load` and then `fit`; `load` succeeded in its second attempt. Event ids are places in the list, from 1."""
    events = tuple(
        EventRecord(
            id=number,
            at=at(seconds),
            path=None if path is None else TaskPath(path),
            attempt=count,
            event=event,
            from_state=before,
            to_state=then,
            service=service,
        )
        for number, (seconds, path, count, event, before, then, service) in enumerate(_STEPS, start=1)
    )
    return RunRecord(
        id=RUN,
        state=RunState.SUCCEEDED,
        bound_early=False,
        settled=True,
        tasks=(task("load", 2, 6), task("fit", 1, 9, upstream=(LOAD,))),
        attempts=(
            attempt("fit", 1, AttemptState.SUCCEEDED, 7, 9),
            attempt("load", 1, AttemptState.LOST, 1, 3),
            attempt("load", 2, AttemptState.SUCCEEDED, 4, 6),
        ),
        events=events,
    )


def with_task(run: RunRecord, path: TaskPath, **changes: Any) -> RunRecord:
    return replace(run, tasks=tuple(replace(t, **changes) if t.path == path else t for t in run.tasks))


def with_attempt(run: RunRecord, path: TaskPath, number: int, **changes: Any) -> RunRecord:
    changed = tuple(
        replace(a, **changes) if (a.path, a.attempt) == (path, number) else a for a in run.attempts
    )
    return replace(run, attempts=changed)


def with_event(run: RunRecord, number: int, **changes: Any) -> RunRecord:
    return replace(run, events=tuple(replace(e, **changes) if e.id == number else e for e in run.events))


def without_event(run: RunRecord, number: int) -> RunRecord:
    return replace(run, events=tuple(e for e in run.events if e.id != number))
