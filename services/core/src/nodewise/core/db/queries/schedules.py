"""Recurring runs: how they get in, how they are found, what becomes of them. Writer: api."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, RowMapping, bindparam, text
from sqlalchemy.dialects.postgresql import JSONB

from nodewise.core.errors import Conflict
from nodewise.core.model.ids import ScheduleId
from nodewise.core.model.schedule import Rules, Step, Timetable
from nodewise.core.model.trigger import Cron, Interval, Trigger


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """What a user said of a recurring run. `request` is the body of its submissions, without the pipeline."""

    name: str
    team: str
    spec_digest: str
    pipeline_name: str
    request: Mapping[str, object]
    timetable: Timetable
    rules: Rules
    enabled: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class NewSchedule:
    """What its creation writes. `request_digest` is equal for equal requests."""

    id: ScheduleId
    schedule: Schedule
    created_at: datetime
    request_digest: str
    idempotency_key: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DueSchedule:
    """A schedule that this transaction holds, with the first of its times that is not dealt with.

    `row` is for `schedule_of`, which may find that a later release, or another machine, cannot read it any more.
    """

    id: ScheduleId
    row: RowMapping
    next_at: datetime
    active: int


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownSchedule:
    """The schedule that an idempotency key already stands for."""

    id: ScheduleId
    request_digest: str
    deleted: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduleFilter:
    """Which schedules a page shows. None: all. `before`: only those created before (time, id)."""

    team: str | None = None
    name: str | None = None
    enabled: bool | None = None
    before: tuple[datetime, ScheduleId] | None = None


_INSERT = text("""
INSERT INTO schedules (id, name, team, spec_digest, pipeline_name, request, cron, time_zone, interval_seconds, start_at,
                       end_at, catchup, max_concurrency, enabled, next_at, look_at, idempotency_key, request_digest,
                       created_at)
VALUES (:id, :name, :team, :spec_digest, :pipeline_name, :request, :cron, :time_zone, :interval_seconds, :start_at,
        :end_at, :catchup, :max_concurrency, :enabled, :next_at, :next_at, :idempotency_key, :request_digest,
        :created_at)
ON CONFLICT DO NOTHING
RETURNING id
""").bindparams(bindparam("request", type_=JSONB))

_KNOWN = text("""
SELECT id, request_digest, deleted_at IS NOT NULL AS deleted FROM schedules WHERE team = :team AND idempotency_key = :key
""")

_COLUMNS = """
SELECT s.*, (SELECT count(*) FROM runs AS r
             WHERE r.schedule_id = s.id AND r.state IN ('PENDING', 'RUNNING', 'CANCELING')) AS active
FROM schedules AS s
WHERE s.deleted_at IS NULL
"""
_BY_ID = text(_COLUMNS + "AND s.id = :id AND (CAST(:team AS text) IS NULL OR s.team = :team)")
_PAGE = text(
    _COLUMNS
    + """
  AND (CAST(:team AS text) IS NULL OR s.team = :team)
  AND (CAST(:name AS text) IS NULL OR s.name = :name)
  AND (CAST(:enabled AS boolean) IS NULL OR s.enabled = :enabled)
  AND (CAST(:before_at AS timestamptz) IS NULL OR (s.created_at, s.id) < (:before_at, CAST(:before_id AS uuid)))
ORDER BY s.created_at DESC, s.id DESC LIMIT :limit
"""
)

# NO KEY UPDATE: a run that is asked for at once meanwhile need not wait (its foreign key takes KEY SHARE). SKIP LOCKED:
# several api processes look at the same table.
_TAKE = text("""
SELECT * FROM schedules
WHERE enabled AND deleted_at IS NULL AND look_at <= :now AND (CAST(:id AS uuid) IS NULL OR id = CAST(:id AS uuid))
ORDER BY look_at, id LIMIT 1
FOR NO KEY UPDATE SKIP LOCKED
""")

_ACTIVE = text("""
SELECT count(*) FROM runs WHERE schedule_id = :id AND state IN ('PENDING', 'RUNNING', 'CANCELING')
""")

_ADVANCE = text("""
UPDATE schedules SET next_at = :next_at, look_at = :look_at, reason_code = :reason_code, reason = :reason,
       last_at = coalesce(CAST(:tick AS timestamptz), last_at),
       refusals = CASE WHEN CAST(:tick AS timestamptz) IS NULL THEN refusals ELSE 0 END
WHERE id = :id
""")

_NOTE_REFUSAL = text("""
UPDATE schedules SET last_error = :error, last_error_at = :at, refusals = refusals + 1 WHERE id = :id
""")

# Where a time was held back, it is looked at again at once.
_ENABLE = text("""
UPDATE schedules SET enabled = :enabled, look_at = next_at WHERE id = :id AND deleted_at IS NULL AND enabled <> :enabled
  AND (CAST(:team AS text) IS NULL OR team = :team)
""")

_DELETE = text("""
UPDATE schedules SET deleted_at = :at
WHERE id = :id AND deleted_at IS NULL AND (CAST(:team AS text) IS NULL OR team = :team)
RETURNING id
""")


def insert_schedule(connection: Connection, new: NewSchedule) -> KnownSchedule | None:
    """Write a schedule, whose pipeline is stored already.

    Returns:
        None, or the schedule that the idempotency key already stands for; then nothing was written.

    Raises:
        Conflict: The team has another schedule of that name.
    """
    if connection.execute(_INSERT, _values(new)).first() is not None:
        return None
    known = known_schedule(connection, new.schedule.team, new.idempotency_key or "")
    if known is None:
        raise Conflict(f"team {new.schedule.team!r} already has a schedule named {new.schedule.name!r}")
    return known


def known_schedule(connection: Connection, team: str, key: str) -> KnownSchedule | None:
    """The schedule of that team that was made under that idempotency key."""
    row = connection.execute(_KNOWN, {"team": team, "key": key}).first()
    return (
        KnownSchedule(id=ScheduleId(str(row.id)), request_digest=row.request_digest, deleted=row.deleted)
        if row
        else None
    )


def schedule_by_id(connection: Connection, schedule_id: ScheduleId, *, team: str | None) -> RowMapping | None:
    """The row of a schedule that was not deleted, of that team (None: of any), with how many of its runs are `active`."""
    return connection.execute(_BY_ID, {"id": schedule_id, "team": team}).mappings().first()


def schedules_page(connection: Connection, wanted: ScheduleFilter, *, limit: int) -> Sequence[RowMapping]:
    """At most `limit` schedules as `schedule_by_id` gives them, newest first."""
    before_at, before_id = wanted.before or (None, None)
    values = {
        "team": wanted.team,
        "name": wanted.name,
        "enabled": wanted.enabled,
        "before_at": before_at,
        "before_id": before_id,
        "limit": limit,
    }
    return connection.execute(_PAGE, values).mappings().all()


def take_due(
    connection: Connection, *, now: datetime, schedule_id: ScheduleId | None = None
) -> DueSchedule | None:
    """Lock the enabled schedule that is longest due and that nobody else holds, or that one; None: there is none."""
    row = connection.execute(_TAKE, {"now": now, "id": schedule_id}).mappings().first()
    if row is None:
        return None
    active = connection.execute(_ACTIVE, {"id": row["id"]}).scalar_one()
    return DueSchedule(
        id=ScheduleId(str(row["id"])),
        row=row,
        next_at=row["next_at"].astimezone(UTC),
        active=active,
    )


def advance_schedule(connection: Connection, schedule_id: ScheduleId, step: Step) -> None:
    """Write what a look at a (locked) schedule led to."""
    values = {
        "id": schedule_id,
        "tick": step.tick,
        "next_at": step.next_at,
        "look_at": step.look_at,
        "reason_code": step.reason and step.reason.value,
        "reason": step.text,
    }
    connection.execute(_ADVANCE, values)


def note_refusal(connection: Connection, schedule_id: ScheduleId, error: str, *, at: datetime) -> None:
    """Write why a run of a (locked) schedule was refused, and count it."""
    connection.execute(_NOTE_REFUSAL, {"id": schedule_id, "error": error, "at": at})


def enable_schedule(
    connection: Connection, schedule_id: ScheduleId, *, enabled: bool, team: str | None
) -> None:
    """Let a schedule of that team (None: of any) go on, or not. Doing it twice changes nothing; its times stay as they are."""
    connection.execute(_ENABLE, {"id": schedule_id, "enabled": enabled, "team": team})


def delete_schedule(
    connection: Connection, schedule_id: ScheduleId, *, now: datetime, team: str | None
) -> bool:
    """Forget it; its runs go on. False: there is none of that team (None: of any)."""
    return connection.execute(_DELETE, {"id": schedule_id, "at": now, "team": team}).first() is not None


def schedule_of(row: RowMapping | Mapping[Any, Any]) -> Schedule:
    """What the row says, as values.

    Raises:
        InvalidTrigger: Its cron expression or time zone means nothing here.
    """
    return Schedule(
        name=row["name"],
        team=row["team"],
        spec_digest=row["spec_digest"],
        pipeline_name=row["pipeline_name"],
        request=row["request"],
        timetable=Timetable(
            trigger=_trigger(row),
            start=row["start_at"].astimezone(UTC),
            end=row["end_at"] and row["end_at"].astimezone(UTC),
        ),
        rules=Rules(catchup=row["catchup"], max_concurrency=row["max_concurrency"]),
        enabled=row["enabled"],
    )


def _trigger(row: Mapping[Any, Any]) -> Trigger:
    if row["cron"] is not None:
        return Cron(expression=row["cron"], time_zone=row["time_zone"])
    return Interval(seconds=row["interval_seconds"], anchor=row["start_at"].astimezone(UTC))


def _values(new: NewSchedule) -> dict[str, object]:
    schedule = new.schedule
    trigger, timetable = schedule.timetable.trigger, schedule.timetable
    cron = trigger if isinstance(trigger, Cron) else None
    return {
        "id": new.id,
        "name": schedule.name,
        "team": schedule.team,
        "spec_digest": schedule.spec_digest,
        "pipeline_name": schedule.pipeline_name,
        "request": dict(schedule.request),
        "cron": cron and cron.expression,
        "time_zone": cron and cron.time_zone,
        "interval_seconds": trigger.seconds if isinstance(trigger, Interval) else None,
        "start_at": timetable.start,
        "end_at": timetable.end,
        "catchup": schedule.rules.catchup,
        "max_concurrency": schedule.rules.max_concurrency,
        "enabled": schedule.enabled,
        "next_at": timetable.first(),
        "idempotency_key": new.idempotency_key,
        "request_digest": new.request_digest,
        "created_at": new.created_at,
    }
