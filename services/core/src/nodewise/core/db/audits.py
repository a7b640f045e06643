"""An audit of what is on record: rows are read a bounded number at a time, and all of one moment."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from sqlalchemy import Connection, Engine

from nodewise.core.audit import (
    Allowance,
    BookingRecord,
    Finding,
    RunRecord,
    audit_run,
    booked_sums,
    within_capacity,
)
from nodewise.core.db.engine import snapshot
from nodewise.core.db.queries.audited import (
    RunToAudit,
    bookings_by_time,
    open_bookings,
    rooms,
    run_records,
    runs_to_audit,
)
from nodewise.core.model.ids import RunId

_TASKS_AT_A_TIME: Final = 1000
"""Runs are read in groups of so many tasks together; a larger run alone. A task has about eight events, 2 KB in all."""

Place = tuple[datetime, RunId]
"""Where a run stands in the order of submissions."""


@dataclass(slots=True)
class Audit:
    """What was looked at, and what does not hold. `behind` is where more runs begin; None: these were all."""

    runs: int = 0
    tasks: int = 0
    attempts: int = 0
    events: int = 0
    bookings: int = 0
    nodes: int = 0
    findings: list[Finding] = field(default_factory=list)
    behind: Place | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """Which part of the record: runs submitted from `since` on and behind `after`, at most `limit` of them.

    The nodes are looked at where `after` is None, all of them, for what was held after `since`.
    """

    since: datetime
    limit: int
    after: Place | None = None


def audit(database: Engine, scope: Scope, *, now: datetime, allowance: Allowance | None = None) -> Audit:
    """Check that part of the record, on one snapshot.

    Costs what it reads: four queries for every thousand tasks, and one pass over the bookings of the period by the order
    of time. Locks nothing; while it reads, vacuum keeps what it sees.
    """
    allowed = allowance or Allowance()
    done = Audit()
    with snapshot(database) as connection:
        if scope.after is None:
            _audit_nodes(connection, scope, done)
        found = runs_to_audit(connection, since=scope.since, after=scope.after, limit=scope.limit + 1)
        for group in _groups(found[: scope.limit]):
            for run in run_records(connection, group):
                _count(done, run)
                done.findings += audit_run(run, now=now, allowance=allowed)
    if len(found) > scope.limit:
        last = found[scope.limit - 1]
        done.behind = (last.submitted_at, last.id)
    return done


def _audit_nodes(connection: Connection, scope: Scope, done: Audit) -> None:
    known = rooms(connection)
    capacities = {room.node: room.capacity for room in known}
    done.nodes = len(known)

    def counted() -> Iterator[BookingRecord]:
        for booking in bookings_by_time(connection, since=scope.since):
            done.bookings += 1
            yield booking

    done.findings += within_capacity(counted(), capacities)
    done.findings += booked_sums(known, open_bookings(connection))


def _groups(runs: Sequence[RunToAudit]) -> Iterator[list[RunId]]:
    group: list[RunId] = []
    tasks = 0
    for run in runs:
        if group and tasks + run.tasks > _TASKS_AT_A_TIME:
            yield group
            group, tasks = [], 0
        group.append(run.id)
        tasks += run.tasks
    if group:
        yield group


def _count(done: Audit, run: RunRecord) -> None:
    done.runs += 1
    done.tasks += len(run.tasks)
    done.attempts += len(run.attempts)
    done.events += len(run.events)
