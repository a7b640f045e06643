"""The loop that makes the runs whose time has come.

Each look is one transaction: the schedule is locked, the run is written and the schedule moves on, all or nothing. Several
processes may loop at once: what one holds, the others pass over, and what is killed holds nothing. Should a time be looked
at twice in spite of that, the schema lets it have one run.
"""

from datetime import datetime, timedelta
from typing import Final

import structlog
from prometheus_client import Counter
from sqlalchemy import Connection
from sqlalchemy.exc import OperationalError

from nodewise.api.acceptance import accept, to_wake
from nodewise.api.refusals import REFUSALS, problem_of
from nodewise.api.scheduling.creation import recurring_body, recurring_submission
from nodewise.api.submission import Origin
from nodewise.api.wiring import Services
from nodewise.core.db.engine import transaction
from nodewise.core.db.queries.schedules import (
    DueSchedule,
    Schedule,
    advance_schedule,
    note_refusal,
    schedule_of,
    take_due,
)
from nodewise.core.db.queries.specs import compiled_specs
from nodewise.core.db.queries.submissions import NewRun
from nodewise.core.errors import InvalidTrigger
from nodewise.core.messaging.loop import WakeLoop
from nodewise.core.model.schedule import ScheduleReason, Step, decide, refused

_BATCH: Final = 100
_UNREADABLE_PATIENCE: Final = timedelta(minutes=1)
"""A schedule that this release cannot read is looked at so often, in case that another release is to come."""

_LOOKS = Counter(
    "nodewise_schedule_looks_total", "Looks at due schedules by what became of the time.", ["outcome"]
)
_log = structlog.get_logger()


class Ticker:
    """Takes due schedules, the longest due first."""

    def __init__(self, services: Services) -> None:
        self._services = services

    def loop(self) -> WakeLoop:
        """A loop that looks at every tick of the settings; not started yet."""
        return WakeLoop("schedules", self.look, self._services.settings.tick)

    def look(self) -> bool:
        """Make what is due; True: there may be more."""
        return all(self._look_at_one() for _ in range(_BATCH))

    def _look_at_one(self) -> bool:
        """Deal with the schedule that is longest due; False: none is."""
        now = self._services.clock()
        due: DueSchedule | None = None
        try:
            with transaction(self._services.engine) as connection:
                due = take_due(connection, now=now)
                if due is None:
                    return False
                run = _Look(connection, self._services, due, now=now).take()
        except OperationalError:
            raise
        except Exception as error:
            if due is None:
                raise
            _log.exception("a schedule failed", schedule=due.id)
            self._pass_over(due, error, now=now)
            return True
        if run is not None:
            self._services.waker.wake(to_wake(run))
        return True

    def _pass_over(self, due: DueSchedule, error: Exception, *, now: datetime) -> None:
        """What nobody foresaw must not hold up all other schedules."""
        with transaction(self._services.engine) as connection:
            again = take_due(connection, now=now, schedule_id=due.id)
            if again is not None:
                _Look(connection, self._services, again, now=now).refuse(
                    f"an unexpected error: {type(error).__name__}"
                )


class _Look:
    """One look at one schedule, in the transaction that holds it."""

    def __init__(
        self, connection: Connection, services: Services, due: DueSchedule, *, now: datetime
    ) -> None:
        self._connection = connection
        self._services = services
        self._due = due
        self._now = now

    def take(self) -> NewRun | None:
        """Make the run that is due, if there is to be one, and move the schedule on."""
        try:
            schedule = schedule_of(self._due.row)
        except InvalidTrigger as error:
            self.refuse(str(error))
            return None
        step = self._step(schedule)
        if step.tick is None:
            self._advance(step)
            return None
        return self._make(schedule, step, step.tick)

    def refuse(self, why: str, tick: datetime | None = None) -> None:
        """Note why there is no run, and when it is tried again."""
        tick = tick or self._due.next_at
        note_refusal(self._connection, self._due.id, why, at=self._now)
        try:
            schedule = schedule_of(self._due.row)
            step = refused(schedule.timetable, schedule.rules, tick=tick, why=why, now=self._now)
        except InvalidTrigger:
            again = self._now + _UNREADABLE_PATIENCE
            step = Step(next_at=tick, look_at=again, reason=ScheduleReason.REFUSED, text=why)
        self._advance(step)

    def _step(self, schedule: Schedule) -> Step:
        return decide(
            schedule.timetable,
            schedule.rules,
            next_at=self._due.next_at,
            active=self._due.active,
            now=self._now,
            patience=self._services.settings.tick,
        )

    def _make(self, schedule: Schedule, step: Step, tick: datetime) -> NewRun | None:
        settings = self._services.settings
        ir, platforms = compiled_specs(self._connection, [schedule.spec_digest])[schedule.spec_digest]
        body = recurring_body(schedule, ir, platforms)
        origin = Origin(schedule_id=self._due.id, scheduled_for=tick)
        try:
            submission = recurring_submission(schedule, body, origin, key=None, settings=settings)
            new = accept(self._connection, submission, settings, now=self._now).new
        except REFUSALS as error:
            self.refuse(problem_of(error).detail, tick)
            return None
        self._advance(step)
        return new.run if new else None

    def _advance(self, step: Step) -> None:
        _LOOKS.labels(step.reason.value if step.tick is None and step.reason else "made").inc()
        advance_schedule(self._connection, self._due.id, step)
